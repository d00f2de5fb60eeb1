"""What the caller is answered: at once that the event is accepted, or later what its targets said.

The second is scatter-gather (all, a quorum, the first) and "respond after the critical one", from the same list of
targets: whom the caller waits for is one question, who is served another. Whatever the caller hears, every delivery
goes on as its policy says.
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from fanout_crds import texts
from fanout_crds.kinds import Duration, Enum, Integer, Quantity
from fanout_crds.objects import ListOf
from fanout_crds.rules import Rule

Mode = Literal["Accepted", "Settled"]
OnTimeout = Literal["Fail", "Partial"]

_WAITING = ("waitFor", "quorum", "timeout", "onTimeout", "maxBodySize")
_EACH_ONCE = Rule(
    "self.all(one, self.exists_one(other, other == one))",
    "each target may be named once",
    lambda names: len(set(names)) == len(names),
)


class Respond(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the caller is answered, and when."""

    RULES: ClassVar = (
        Rule(
            f"(has(self.mode) && self.mode == 'Settled') || !({' || '.join(f'has(self.{one})' for one in _WAITING)})",
            "waitFor, quorum, timeout, onTimeout and maxBodySize go with mode Settled",
            lambda it: (
                it.mode == "Settled"
                or (it.wait_for, it.quorum, it.timeout, it.on_timeout, it.max_body_size) == (None,) * len(_WAITING)
            ),
        ),
        Rule(
            "!has(self.waitFor) || !has(self.quorum) || self.quorum <= size(self.waitFor)",
            "quorum must not be more than the targets that waitFor names",
            lambda it: it.wait_for is None or it.quorum is None or it.quorum <= len(it.wait_for),
        ),
    )
    mode: Annotated[
        Mode,
        Enum(Mode),
        "Accepted: 202 with a receipt as soon as the event is kept. Settled: the caller waits for targets, and the"
        " answer holds what they said; one who asks for it (Prefer: respond-async, RFC 7240) has 202 all the same."
        " Unset: Accepted.",
    ] = "Accepted"
    wait_for: Annotated[
        tuple[str, ...] | None,
        ListOf(item=texts.Label, most=64, least=1, rules=(_EACH_ONCE,)),
        "Names of the targets that the caller waits for. The others are served as well, and nobody waits for them."
        " Unset: every target.",
    ] = None
    quorum: Annotated[
        int | None,
        Integer(1, 64),
        "How many of these must succeed: the answer is sent when they have, or when so many can no longer (502, naming"
        " each target that failed and why). 1: the first to succeed answers. Unset: all of them.",
    ] = None
    timeout: Annotated[
        float | None,
        Duration(),
        "How long the caller waits, from the event's last byte on. After it the answer is as onTimeout says; deliveries"
        " go on. Unset: 10s.",
    ] = None
    on_timeout: Annotated[
        OnTimeout | None,
        Enum(OnTimeout),
        "Fail: 504, with what has arrived. Partial: 200 with what has arrived, marked as partial, if at least one"
        " target has succeeded; else 504. Unset: Fail.",
    ] = None
    max_body_size: Annotated[
        int | None,
        Quantity(most="1Mi"),
        "How much of each target's answer is kept for the caller, in bytes, up to 1Mi; what is longer is cut off and"
        " marked as truncated. Unset: 256Ki.",
    ] = None


KNOWN = Rule(
    "!has(self.respond) || !has(self.respond.waitFor)"
    " || self.respond.waitFor.all(one, self.targets.exists(target, target.name == one))",
    "respond.waitFor may only name targets of the route",
    lambda spec: (
        spec.respond is None
        or spec.respond.wait_for is None
        or set(spec.respond.wait_for) <= {target.name for target in spec.targets}
    ),
)
ENOUGH = Rule(
    "!has(self.respond) || !has(self.respond.quorum) || self.respond.quorum <= size(self.targets)",
    "respond.quorum must not be more than there are targets",
    lambda spec: spec.respond is None or spec.respond.quorum is None or spec.respond.quorum <= len(spec.targets),
)
