"""A route in force: its plan, its lanes in the order of its targets, and what its front door needs to know."""

import msgspec

from fanout_crds import expressions, listen
from fanout_crds.expressions import Expression, Reads
from fanout_crds.plan import Plan
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.fallbacks import static_answer
from fanout_dispatcher.engine.filters import Filters
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.lines import lines
from fanout_dispatcher.engine.order import UNJUDGED, Judgement, Orders
from fanout_dispatcher.engine.waits import NOBODY, StandIn, Waits
from fanout_dispatcher.policies.shape import Shape
from fanout_dispatcher.policies.turnstile import Turnstile
from fanout_dispatcher.values.answers import Heard
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.event import Frozen, Head
from fanout_dispatcher.values.facts import Facts
from fanout_dispatcher.values.graph import Graph, Role, Step
from fanout_dispatcher.values.parameters import Parameters
from fanout_dispatcher.values.standing import Standing


class Route(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Replaced as a whole when a newer plan comes into force: an event sees one generation and no other."""

    plan: Plan
    whole: Plan  # as it came, and as the journal keeps it: `plan` is what this engine runs of it
    book: Book
    lanes: tuple[Lane, ...]  # of the targets
    behind: tuple[Lane, ...] = ()  # of what stands behind them: compensations, callbacks
    frozen: Frozen
    meter: RouteMeter
    filters: Filters | None  # None: every target gets every event
    orders: Orders | None  # None: no target keeps order
    judging: Reads  # what these two read of an event, together
    forwardable: frozenset[bytes]
    forward_prefixes: tuple[bytes, ...]
    posted: bool = True  # POST is one of its methods
    source: str | None  # of an event that has none: its path, unless that has names in braces
    parameters: Parameters | None = None  # what is kept of path and query; None: nothing
    waits: Waits | None = None  # what callers wait for, where they do
    shape: Shape | None = None  # of their answers; None: what every target said
    turnstile: Turnstile | None
    owner: int | None = None  # the worker that takes its events; None: this one does
    keyed_by: Expression | None = None  # gives an event's idempotency key; None: what it came with does
    standing: Standing = msgspec.field(default_factory=Standing)  # the one thing that changes, when it is replaced

    @property
    def everybody(self) -> tuple[Lane, ...]:
        """All its lanes, in the order of the plan's everybody."""
        return (*self.lanes, *self.behind)

    def judge(self, head: Head, body: bytes) -> Judgement:
        """Say for which targets an event is, and what each keeps it in order by. Whoever takes an event asks first."""
        if self.filters is None and self.orders is None:
            return UNJUDGED
        known = Facts(head, body, self.judging)
        judged = None if self.filters is None else self.filters.judge(known)
        return (judged, None) if self.orders is None else self.orders.judge(known, judged)


def graph_of(plan: Plan) -> Graph:
    """The graph of a plan's positions; empty when each target is on its own."""
    if not plan.behind and not any(target.depends_on or target.static for target in plan.targets):
        return ()
    places = {target.name: place for place, target in enumerate(plan.targets)}
    targets = (
        Step(
            role=Role.TARGET,
            after=tuple(sorted(places[name] for name in target.depends_on)),
            vital=target.on_dead == "Fail",
            when=target.when,
            keep=target.keep,
            covered=target.static is not None,
        )
        for target in plan.targets
    )
    behind = (
        Step(
            role=Role[one.role.upper()],
            after=(places[one.of],) if one.of else (),
            keep=plan.targets[places[one.of]].keep if one.target.name in plan.fallbacks else 0,
        )
        for one in plan.behind
    )
    return (*targets, *behind)


def forwarding(plan: Plan, asked: Reads) -> tuple[frozenset[bytes], tuple[bytes, ...]]:
    """Which of the producer's headers at least one target asks for: exact names, and prefixes.

    A header that an expression reads is asked for too: it is kept with the event, and sent to nobody for that.
    """
    wanted = {name.lower() for target in plan.everybody for name in target.forward_headers} | asked.headers
    exact = frozenset(name.encode() for name in wanted if not name.endswith("*"))
    prefixes = tuple(sorted(name[:-1].encode() for name in wanted if name.endswith("*")))
    return exact, prefixes


def reads(plan: Plan) -> Reads:
    """What the expressions of a plan read."""
    return expressions.together(expressions.compile(text, scope).reads for _, text, scope in plan.expressions())


def parameters(plan: Plan, asked: Reads) -> Parameters | None:
    """What is kept of path and query; None where no expression reads either."""
    named = listen.names(plan.path) if "path" in asked.variables else ()
    segments = plan.path[1:].split("/")
    query = None if asked.query is None else frozenset(asked.query)
    if not named and query == frozenset():
        return None
    return Parameters(segments=tuple((name, segments.index(f"{{{name}}}")) for name in named), query=query)


def keyed_by(plan: Plan) -> Expression | None:
    """Compile what gives an event's idempotency key, which was checked; None where no expression does."""
    text = plan.idempotency.key_expression if plan.idempotency is not None else None
    return None if text is None else expressions.compile(text, expressions.KEY)


def waits(
    plan: Plan, book: Book, lanes: tuple[Lane, ...], *, durable: bool, before: Waits | None = None
) -> Waits | None:
    """What callers of the route wait for; None where they do not. *before* is what they waited for until now."""
    rule = plan.respond
    if rule is None:
        return None
    names = tuple(target.name for target in plan.targets if target.name in rule.wait_for)
    waited = tuple(lane for lane in lanes if lane.target.name in names)
    instead = plan.fallbacks
    of = [instead.get(one.name, one.name) for one in plan.everybody]
    firsts = tuple(index for index, one in enumerate(plan.everybody) if one.name in names)
    return Waits(
        rule=rule,
        book=book,
        lanes=waited,
        lines=lines(waited, before.lines if before else ()),
        names=names,
        places=tuple(names.index(one) if one in names else NOBODY for one in of),
        silence=tuple(Heard(target=name) for name in names),
        captures=tuple(target.capture for target in plan.targets if target.name in names),
        firsts=firsts,
        stand_ins={index: found for index in firsts if (found := _stand_in(plan, lanes, index)) is not None},
        durable=durable,
    )


def _stand_in(plan: Plan, lanes: tuple[Lane, ...], index: int) -> StandIn | None:
    """What a caller hears of in place of a target."""
    target = plan.targets[index]
    if target.static is not None:
        return StandIn(answer=static_answer(target.static))
    for place, one in enumerate(plan.everybody):
        if plan.fallbacks.get(one.name) == target.name:
            return StandIn(index=place, lane=lanes[place])
    return None
