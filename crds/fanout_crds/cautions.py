"""What is no fault and will surprise all the same: an expression reads an answer that need not have come, or a state
that is always the same there.

Whoever waits for a part of the targets, or for a time, may hear of some that they have not answered; and a target whose
answer was lost is undone without one. The first such event would tell; ``fanout validate`` tells before, ``fanout run``
in its log, and the operator in the route's status.

What holds a target is told there anyway; ``fanout validate`` alone has to say it beforehand (`held`).
"""

from collections.abc import Iterator

from fanout_crds import answers, builtin, expressions, outbox
from fanout_crds.compile import Compiled
from fanout_crds.expressions import Reads
from fanout_crds.faults import Fault
from fanout_crds.plan import Respond
from fanout_crds.route import FanoutRoute

_PARTS = frozenset({"body", "headers", "status"})  # of an answer: without one they are not there


def cautions(route: FanoutRoute) -> tuple[Fault, ...]:
    """Say which answers are read of *route*, a good one, without asking whether they are there."""
    return (*_of_answer(builtin.respond(route.spec.respond, route.spec.targets)), *_of_compensations(route))


def held(route: FanoutRoute, made: Compiled, *, whole: bool) -> Iterator[Fault]:
    """Say who would be held by the Secrets that *made* was compiled from; they may not be those that it meets.

    *whole*: there were some, so that one which is not among them is probably forgotten; else they are kept elsewhere,
    as Services always are.
    """
    places = (path for path, _ in route.spec.places())
    paths = {one.name: path for one, path in zip(made.plan.everybody, places, strict=True)}
    for name, why in made.unresolved:
        path = paths.get(name, f"spec.{outbox.NAME}")
        if why.reason in ("SecretKeyNotFound", "SecretUnusable"):
            yield Fault(path, f"{why.message}: {name} is held until it is mended")
        elif why.reason == "SecretNotFound" and whole:
            yield Fault(path, f"{why.message}: {name} is held unless it is kept elsewhere")


def _of_answer(respond: Respond | None) -> Iterator[Fault]:
    if respond is None or respond.shape is None:
        return
    all_succeed = not respond.partial and respond.quorum >= len(respond.wait_for)
    for path, text, scope in respond.shape.expressions():
        reads = expressions.compile(text, scope).reads
        if all_succeed:
            yield from _of_states(path, reads)
            continue
        for name, part in _unasked(reads):
            yield Fault(
                path,
                f"{name} need not have answered, and then the caller has 500:"
                f" ask has(targets.{name}.{part}) before targets.{name}.{part} is read",
            )


def _of_states(path: str, reads: Reads) -> Iterator[Fault]:
    for name, parts in (reads.targets or {}).items():
        if "state" in (parts or {}):
            yield Fault(
                path,
                f"targets.{name}.state is Delivered whenever this is asked: it shapes the answer of a success,"
                f" and where {name} fails the caller has 502 (respond.quorum and onTimeout change that)",
            )


def _of_compensations(route: FanoutRoute) -> Iterator[Fault]:
    for path, of, reads in answers.undoing(route):
        for name, part in _unasked(reads):
            if name == of:
                yield Fault(
                    path,
                    f"{name} may have done it without an answer (a timeout), and then the saga is stuck:"
                    f" ask has(targets.{name}.{part}) before targets.{name}.{part} is read",
                )


def _unasked(reads: Reads) -> Iterator[tuple[str, str]]:
    """Give the targets of which a part is read that need not be there, and that part."""
    for name, parts in (reads.targets or {}).items():
        read = sorted(_PARTS & (parts or {}).keys())
        if read and name not in reads.tested and "state" not in (parts or {}):
            yield name, read[0]
