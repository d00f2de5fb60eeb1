"""The routes in force: how a plan comes into force, and how a route ends.

A plan replaces the one before as a whole, between two turns of the loop. Lanes outlive plans, because their backlog and
what they know of their target do: a lane is found by route and target name, told its new plan, and goes on.

The backlog belongs to namespace/name. A route that is deleted takes no more events; its lanes go on for a while, and
what is left then is dead-lettered. A route of the same name made within that time simply takes over. A target that is
taken out of its route is treated alike. The journal keeps the plan of a deleted route until its lanes are empty, with
no path: so a restart within that time goes on with the end of the route, and its path is free for another.
"""

import asyncio
import functools
import itertools
import typing

import msgspec

from fanout_crds import expressions
from fanout_crds import plan as plans
from fanout_crds.expressions import Unusable
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.filters import Filters, filters
from fanout_dispatcher.engine.hedging import hedged
from fanout_dispatcher.engine.holds import MISSING, SUSPENDED, Held, Holds
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.order import orders
from fanout_dispatcher.engine.paths import Paths
from fanout_dispatcher.engine.route import Route, forwarding, graph_of, keyed_by, parameters, reads, waits
from fanout_dispatcher.engine.works import Pumped, Works
from fanout_dispatcher.policies.shape import shaped
from fanout_dispatcher.policies.turnstile import Turnstile, turnstile
from fanout_dispatcher.telemetry.seam import RouteAdopted, RouteRefused, RouteRetired
from fanout_dispatcher.transport.protocol import Sender, SenderFactory, Unsendable
from fanout_dispatcher.values.desk import LaneMeter, RouteMeter
from fanout_dispatcher.values.each import each
from fanout_dispatcher.values.outcome import Reason
from fanout_dispatcher.values.sink import PlanRefused
from fanout_dispatcher.values.views import SourceView

DRAIN: typing.Final = 30.0  # seconds that a deleted route's lanes go on delivering

LEFT: typing.Final = ("pending", "pending_bytes", "in_flight", "stuck", "dead_letters")  # of a meter, what there is now

LaneKey = tuple[Book, str, str]
Wanted = tuple[plans.Target, tuple[bytes | None, ...]]  # what a sender is made from: the same again, the same sender


class Share(typing.Protocol):
    """What one of several engines has of each plan."""

    def __call__(self, plan: plans.Plan) -> plans.Plan:
        """What it runs of *plan*. Raises PlanRefused."""

    def owner(self, plan: plans.Plan) -> int | None:
        """The other engine that takes the events of *plan*; None: this one does."""


class Undivided:
    """The share of an engine that is alone: everything."""

    def __call__(self, plan: plans.Plan) -> plans.Plan:
        """All of *plan*."""
        return plan

    def owner(self, _plan: plans.Plan) -> int | None:
        """No other engine."""
        return None


UNDIVIDED: typing.Final = Undivided()


class Routes:
    """Routes by key and by path, and every lane there is.

    *share* makes of each plan what this engine runs of it; the journal keeps the plan as it came.
    """

    def __init__(
        self, works: Works, *, senders: SenderFactory, durable: Book, memory: Book, share: Share = UNDIVIDED
    ) -> None:
        self.works = works
        self.share = share
        self.senders = senders
        self.durable = durable
        self.memory = memory
        self._books = (durable, memory)
        self.by_key: dict[str, Route] = {}
        self.paths = Paths()
        self.lanes: dict[LaneKey, Lane] = {}
        self.together: dict[tuple[Book, str], dict[str, Lane]] = {}  # the lanes of a route in one book, by target
        self.made: dict[LaneKey, Wanted] = {}
        self.holds = Holds(works)
        self.refused: dict[str, str] = {}
        self.sources: dict[str, SourceView] = {}  # what routes fetch from by themselves, and how that goes
        self.retiring: dict[str, tuple[Route, asyncio.TimerHandle]] = {}
        self.parting: dict[LaneKey, asyncio.TimerHandle] = {}  # targets that were taken out of their route
        self.ended: dict[str, Route] = {}  # retired, and not empty yet
        self.draining = False

    def adopt(self, plan: plans.Plan, credentials: plans.Credentials) -> None:
        """Put *plan* in force. Raises PlanRefused; then the last good plan stays."""
        whole, plan = plan, self.share(plan)
        key = plan.key
        before = self.by_key.get(key)
        holder = self.paths.holder(plan)
        if holder is not None and holder is not before:
            why = f"spec.listen.path: {plan.path} belongs to the route {holder.plan.key}: choose another path"
            self.refuse(key, why)
            raise PlanRefused(why)
        filtering = self._filters(plan)
        self.refused.pop(key, None)
        route = self._route(plan, whole, credentials, before, filtering)
        if before is not None:
            self.paths.leave(before)
            self._part(before, plan)
        self.by_key[key] = route
        self.paths.enter(route)
        self._returned(key, plan)
        self._left_behind(plan, credentials)
        if before is None or before.plan.revision != plan.revision:
            self._keep(whole)
            held = tuple(lane.target.name for lane in route.lanes if lane.held)
            self.works.seam.tell(
                RouteAdopted(
                    route=key, revision=plan.revision, generation=plan.generation, targets=len(route.lanes), held=held
                )
            )
        self.works.changed(key)

    def recover(self, plan: plans.Plan) -> None:
        """Go on with a plan that the journal kept, or with the end of its route. Raises PlanRefused."""
        self.adopt(plan, {})
        if not plan.path:
            self.retire(plan.key)

    def refuse(self, key: str, why: str) -> None:
        """A newer plan is not understood: say so, and keep the last good one."""
        if self.refused.get(key) != why:
            self.refused[key] = why
            self.works.seam.tell(RouteRefused(route=key, why=why))
            self.works.changed(key)

    def retire(self, key: str) -> None:
        """The route is deleted: no more events; its lanes go on for a while."""
        forgotten = self.refused.pop(key, None)
        route = self.by_key.pop(key, None)
        if route is None:
            if forgotten is not None:
                self.works.changed(key)
            return
        self.paths.leave(route)
        self._keep(msgspec.structs.replace(route.whole, path=""))
        timer = self.works.loop.call_later(DRAIN, self._end, key)
        self.retiring[key] = (route, timer)
        self.works.seam.tell(RouteRetired(route=key))
        self.works.changed(key)

    def in_use(self, book: Book) -> tuple[set[int], set[int]]:
        """Numbers in *book*: of the frozen values of routes in force, and of the lanes there are."""
        frozen = {route.frozen.number for route in self.by_key.values() if route.book is book}
        return frozen, {lane.number for (of, _, _), lane in self.lanes.items() if of is book}

    def meter(self, lane: Lane) -> LaneMeter:
        """The meter of *lane*, and what its target has of the other book, from before its route changed over."""
        meter, other = lane.tally.meter, self.memory if lane.book is self.durable else self.durable
        there = self.lanes.get((other, lane.route, lane.target.name))
        if there is None:
            dead = other.dead_letters(lane.route, lane.target.name)
            return msgspec.structs.replace(meter, dead_letters=meter.dead_letters + dead) if dead else meter
        left = there.tally.meter
        both = {name: getattr(meter, name) + getattr(left, name) for name in LEFT}
        return msgspec.structs.replace(meter, backlog_age=max(meter.backlog_age, left.backlog_age), **both)

    def sweep(self, now: float) -> None:
        """Look after the lanes that owe something, and forget those that owe nothing more and that nothing can come to.

        With ten thousand routes nearly all lanes are asleep: those are looked at again once they were pumped.
        """
        each(self.works.loop, list(self.works.awake), functools.partial(self._look_after, now))
        for key, route in list(self.ended.items()):
            if not self._lanes_of(route):
                del self.ended[key]
                if key not in self.by_key:
                    self.durable.committer.keep_plan(key, None)

    def _look_after(self, now: float, awake: Pumped) -> None:
        lane = typing.cast(Lane, awake)
        lane.sweep(now)
        lane.herald.report(now)
        if not lane.tally.meter.pending:
            del self.works.awake[lane]
            self._dismiss(lane)

    def drain(self) -> None:
        """Shutting down: no lane starts anything more."""
        self.draining = True
        for lane in self.lanes.values():
            lane.hold("Draining")

    def close(self) -> None:
        """Close every sender."""
        for timer in [*self.parting.values(), *(timer for _, timer in self.retiring.values())]:
            timer.cancel()
        self.holds.close()
        for lane in self.lanes.values():
            if lane.sender is not None:
                lane.sender.close()

    def _filters(self, plan: plans.Plan) -> Filters | None:
        """Compile what *plan* says of which target gets which event. Raises PlanRefused."""
        try:
            return filters(plan)
        except Unusable as why:
            self.refuse(plan.key, str(why))
            raise PlanRefused(str(why)) from None

    def _route(
        self,
        plan: plans.Plan,
        whole: plans.Plan,
        credentials: plans.Credentials,
        before: Route | None,
        filtering: Filters | None,
    ) -> Route:
        book = self.durable if plan.durability == "Journal" else self.memory
        everybody = plan.everybody
        lanes = tuple(self._lane(book, plan, target, credentials) for target in everybody)
        for other, target in itertools.product(self._books, everybody):
            if other is not book and ((other, plan.key, target.name) in self.lanes or self._owes(other, plan.key)):
                self._lane(other, plan, target, credentials)  # for what came in under the other durability
        asked = reads(plan)
        ordering = orders(plan)
        exact, prefixes = forwarding(plan, asked)
        owner = self.share.owner(plan)
        return Route(
            plan=plan,
            whole=whole,
            book=book,
            lanes=lanes[: len(plan.targets)],
            behind=lanes[len(plan.targets) :],
            frozen=book.freeze(plan.key, plan.generation, tuple(target.name for target in everybody), graph_of(plan)),
            meter=before.meter if before is not None else RouteMeter(route=plan.key),
            filters=filtering,
            orders=ordering,
            judging=expressions.together(one.reads for one in (filtering, ordering) if one is not None),
            forwardable=exact,
            forward_prefixes=prefixes,
            posted="POST" in plan.methods,
            source=None if "{" in plan.path else plan.path,
            parameters=parameters(plan, asked),
            waits=waits(plan, book, lanes, durable=book is self.durable, before=before.waits if before else None),
            shape=shaped(plan.respond),
            turnstile=None if owner is not None else self._turnstile(plan, before),
            owner=owner,
            keyed_by=keyed_by(plan),
        )

    def _turnstile(self, plan: plans.Plan, before: Route | None) -> Turnstile | None:
        return turnstile(plan.rate, before.turnstile if before else None, self.works.loop.time())

    def _lane(self, book: Book, plan: plans.Plan, target: plans.Target, credentials: plans.Credentials) -> Lane:
        where = (book, plan.key, target.name)
        lane = self.lanes.get(where)
        if where in self.parting:
            self.parting.pop(where).cancel()
        if lane is None:
            lane = self.lanes[where] = Lane(plan.key, target, book=book, works=self.works)
            self.together.setdefault((book, plan.key), {})[target.name] = lane
        sender, held = self._sender(where, lane, target, credentials)
        if plan.suspend:
            held = SUSPENDED
        lane.adopt(target, sender, "Draining" if self.draining else held and held.reason)
        self.holds.follow(lane, held)
        return lane

    def _sender(
        self, where: LaneKey, lane: Lane, target: plans.Target, credentials: plans.Credentials
    ) -> tuple[Sender | None, Held | None]:
        """The sender for a target, and why it is held if it is; the same sender as before while nothing changes."""
        if target.held is not None:
            lane.tally.last_error = lane.tally.last_error or None  # once that is mended, no earlier one is of interest
            return lane.sender, Held(target.held, target.held_message or "")
        handles = target.handles
        if any(handle not in credentials for handle in handles):
            return lane.sender, MISSING
        wanted = (target, tuple(credentials[handle] for handle in handles))
        if lane.sender is not None and self.made.get(where) == wanted:
            return lane.sender, None
        try:
            sender = hedged(self.senders(target, credentials), target.policy, lane)
        except Unsendable as error:
            lane.tally.last_error = str(error)
            return lane.sender, Held("Unsendable", str(error))
        self.made[where] = wanted
        return sender, None

    def _part(self, before: Route, plan: plans.Plan) -> None:
        """The targets that are not in the plan any more go on for a while too, then end: a slip can be mended."""
        names = {target.name for target in plan.everybody}
        for book, target in itertools.product(self._books, before.plan.everybody):
            where = (book, plan.key, target.name)
            if where in self.lanes and target.name not in names and where not in self.parting:
                self.parting[where] = self.works.loop.call_later(DRAIN, self._part_with, where)

    def _part_with(self, where: LaneKey) -> None:
        del self.parting[where]
        if where in self.lanes:
            self.lanes[where].end(Reason.TARGET_REMOVED)

    def _returned(self, key: str, plan: plans.Plan) -> None:
        """The name was being retired: the backlog is the new route's."""
        retiring = self.retiring.pop(key, None)
        if retiring is not None:
            retiring[1].cancel()
            self._part(retiring[0], plan)

    def _left_behind(self, plan: plans.Plan, credentials: plans.Credentials) -> None:
        """End what a restart found of targets that had been removed: all others have their lanes by now."""
        for book in self._books:
            for name in book.left_behind(plan.key):
                lane = self._lane(book, plan, _stand_in(plan.targets[0], name), credentials)
                lane.end(Reason.TARGET_REMOVED)

    def _keep(self, plan: plans.Plan) -> None:
        """The journal keeps the plan, so that a restart needs nobody else to go on."""
        self.durable.committer.keep_plan(plan.key, plans.encode(plan))

    def _end(self, key: str) -> None:
        route, _ = self.retiring.pop(key)
        self.ended[key] = route
        for lane in self._lanes_of(route):
            lane.end(Reason.ROUTE_DELETED)

    def _lanes_of(self, route: Route) -> list[Lane]:
        wanted = itertools.product(self._books, [route.plan.key], [target.name for target in route.plan.everybody])
        return [self.lanes[where] for where in wanted if where in self.lanes]

    def _owes(self, book: Book, key: str) -> bool:
        """Whether events of a route are under way in *book*. They may yet owe to lanes that owe nothing now."""
        there = self.together.get((book, key), {})
        return any(lane.tally.meter.pending for lane in there.values()) or bool(book.left_behind(key))

    def _dismiss(self, lane: Lane) -> None:
        """Forget a lane that owes nothing, if nothing can come to it; or all of its book, where the route left that."""
        book, key, name = where = (lane.book, lane.route, lane.target.name)
        if self.lanes.get(where) is not lane:
            return
        if lane.ending is not None:
            self._forget(where, lane)
        route = self.by_key.get(key)
        if route is not None and route.book is not book and not self._owes(book, key):
            for name, one in list(self.together.get((book, key), {}).items()):
                self._forget((book, key, name), one)

    def _forget(self, where: LaneKey, lane: Lane) -> None:
        book, key, target = where
        book.leave_behind(key, target, lane.tally.left_behind(lane.index.ranked))
        del self.lanes[where]
        there = self.together[book, key]
        del there[target]
        if not there:
            del self.together[book, key]
        book.conductor.lanes.pop(lane.number, None)
        self.made.pop(where, None)
        self.holds.forget(lane)
        lane.forget()
        if lane.sender is not None:
            lane.sender.close()


def _stand_in(other: plans.Target, name: str) -> plans.Target:
    """A target that no plan has any more, made from *other* to end its lane with.

    Its dead letters are its own: what the other one says of making room for newer ones is not meant for them, nor is
    its static answer, which events that have a fallback would take for theirs.
    """
    letters = msgspec.structs.replace(other.policy.dead_letter, on_full="Reject")
    policy = msgspec.structs.replace(other.policy, dead_letter=letters)
    return msgspec.structs.replace(other, name=name, static=None, cache=None, policy=policy)
