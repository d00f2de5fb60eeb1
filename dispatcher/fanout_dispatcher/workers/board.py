"""The board: which plans are in force, kept by the supervisor, who passes every change on to the workers.

To the plan source it is the sink, so it has to say at once whether a plan can be carried out, while the workers hear of
it later. It can, because the two reasons to refuse a plan are known here: a path that belongs to another route, and a
limit that does not go round. Everything else that may be wrong with a target holds that target, and is no refusal. So
does a limit that does not go round in a plan that was in force before there were so many workers (see `shares`).

A worker that starts, or starts again, is told all that is on the board. Before the source has said anything, that is
what the workers found in their journals: a worker that is new then runs what its older siblings know.
"""

import asyncio
import types
import typing

from fanout_crds import plan as plans
from fanout_dispatcher.telemetry.seam import RouteRefused, Seam
from fanout_dispatcher.values.sink import PlanRefused
from fanout_dispatcher.workers.messages import Adopt, Plans, Retire
from fanout_dispatcher.workers.owners import Owners, keyed
from fanout_dispatcher.workers.shares import Share


class Board:
    """The PlanSink of a supervisor. *post* gets what changed, once per turn of the loop."""

    def __init__(self, share: Share, owners: Owners, *, seam: Seam, post: typing.Callable[[Plans], None]) -> None:
        self._share = share
        self._owners = owners
        self._seam = seam
        self._post = post
        self._in_force: dict[str, Adopt] = {}
        self._by_claim: dict[str, str] = {}
        self._changes: list[Adopt | Retire] = []
        self._posting: asyncio.Handle | None = None
        self.refused: dict[str, str] = {}  # route -> why its newest plan is not in force
        self.watchers: list[typing.Callable[[str], None]] = []
        self.known = False

    # --- PlanSink -----------------------------------------------------------------------------------------------------

    def adopt(self, plan: plans.Plan, credentials: plans.Credentials) -> None:
        """Have every worker carry out *plan*. Raises PlanRefused; then the last good one stays."""
        before = self._in_force.get(plan.key)
        self._check_path(plan)
        why = self._why_not(plan)
        if why is not None and (before is None or self._why_not(before.plan) is None):
            raise PlanRefused(why)
        self._put(plan, credentials)
        if why is not None:  # neither does the one before, which a journal kept: a newer one takes nothing away
            self.refuse(plan.key, why)
        elif self.refused.pop(plan.key, None) is not None:
            self._tell_watchers(plan.key)

    def refuse(self, route: str, why: str) -> None:
        """Remember that a newer plan of *route* is not in force."""
        if self.refused.get(route) != why:
            self.refused[route] = why
            self._seam.tell(RouteRefused(route=route, why=why))
            self._tell_watchers(route)

    def retire(self, route: str) -> None:
        """Have every worker stop *route*."""
        if self.refused.pop(route, None) is not None:
            self._tell_watchers(route)
        before = self._in_force.pop(route, None)
        if before is not None:
            del self._by_claim[before.plan.claim]
            self._add(Retire(route=route))

    def routes(self) -> typing.Mapping[str, str]:
        """The routes in force: by key, the uid in their plans."""
        return {key: one.plan.uid for key, one in self._in_force.items()}

    def synced(self) -> None:
        """The source's first complete load is in."""
        self.known = True
        self._soon()

    # --- for the supervisor -------------------------------------------------------------------------------------------

    def recover(self, kept: typing.Mapping[str, bytes]) -> None:
        """Take what a worker's journal kept, where no other's had it before.

        A plan without a path is of a route that was deleted: the worker itself goes on with its end.
        """
        for route, text in kept.items():
            if route in self._in_force:
                continue
            try:
                plan = plans.decode(text)
                self._check_path(plan)
            except (ValueError, PlanRefused) as fault:
                self.refuse(route, str(fault))
                continue
            if not plan.path:
                continue
            self._put(plan, {})
            self.known = True
            if (why := self._why_not(plan)) is not None:
                self.refuse(route, why)

    def everything(self, kept: typing.Mapping[str, bytes] = types.MappingProxyType({})) -> Plans:
        """All that is in force, for a worker that starts and goes on with the plans that its journal *kept*.

        First goes what is not in force any more as it was kept: a route that was deleted while nobody could tell the
        worker, and one that listens elsewhere now, since its path may be another's. What is made again in the same
        turn takes its backlog over.
        """
        gone = [Retire(route=route) for route, text in kept.items() if self._outdated(route, text)]
        return Plans(changes=(*gone, *self._in_force.values()), known=self.known)

    def longest_attempt(self) -> float:
        """Seconds that an attempt of what is in force may take in any worker."""
        attempts = (target.policy.timeouts.attempt for one in self._in_force.values() for target in one.plan.everybody)
        return max(attempts, default=0.0)

    def __repr__(self) -> str:
        return f"<Board {len(self._in_force)} in force, {len(self.refused)} refused, known={self.known}>"

    def _check_path(self, plan: plans.Plan) -> None:
        holder = self._by_claim.get(plan.claim)
        if holder is not None and holder != plan.key:
            raise PlanRefused(f"spec.listen.path: {plan.path} belongs to the route {holder}: choose another path")

    def _why_not(self, plan: plans.Plan) -> str | None:
        """Say why workers cannot carry *plan* out: an owner has all of its limits, which need not go round then."""
        return self._owners.why_not(plan) if keyed(plan) else self._share.why_not(plan)

    def _put(self, plan: plans.Plan, credentials: plans.Credentials) -> None:
        before = self._in_force.get(plan.key)
        if before is not None:
            if (before.plan.revision, before.credentials) == (plan.revision, credentials):
                return
            del self._by_claim[before.plan.claim]
        adopt = self._in_force[plan.key] = Adopt(plan=plan, credentials=dict(credentials), owner=self._owners.of(plan))
        self._by_claim[plan.claim] = plan.key
        self._add(adopt)

    def _outdated(self, route: str, text: bytes) -> bool:
        adopt = self._in_force.get(route)
        if adopt is None:
            return route not in self.refused  # what is refused was not deleted: its backlog stays
        try:
            return plans.decode(text).claim != adopt.plan.claim
        except ValueError:
            return False  # the worker could not read it either

    def _add(self, change: Adopt | Retire) -> None:
        self._changes.append(change)
        self._soon()

    def _soon(self) -> None:
        if self._posting is None:
            self._posting = asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        changes, self._changes, self._posting = self._changes, [], None
        self._post(Plans(changes=tuple(changes), known=self.known))

    def _tell_watchers(self, route: str) -> None:
        for watcher in self.watchers:
            watcher(route)
