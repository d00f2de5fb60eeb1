"""What the caller is answered: at once that the event is accepted, or later what its targets said.

The second is scatter-gather (all, a quorum, the first) and "respond after the critical one", from the same list of
targets: whom the caller waits for is one question, who is served another. Whatever the caller hears, every delivery
goes on as its policy says.
"""

import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal, Protocol

import msgspec

from fanout_crds import shape, texts
from fanout_crds.expressions import ANSWER_BODY, ANSWER_STATUS, ExpressionText
from fanout_crds.kinds import Duration, Enum, Integer, Quantity
from fanout_crds.nearest import hint
from fanout_crds.objects import ListOf, Object
from fanout_crds.policy import Policy
from fanout_crds.request import EACH_ONCE as EACH_HEADER_ONCE
from fanout_crds.rules import Place, Rule, repeated, said, snake

Mode = Literal["Accepted", "Settled"]
OnTimeout = Literal["Fail", "Partial"]

SETTLED: typing.Final = "has(self.respond) && has(self.respond.mode) && self.respond.mode == 'Settled'"  # of a spec
_WAITING = (
    "waitFor", "quorum", "timeout", "onTimeout", "maxBodySize", "status", "statusExpression", "headers",
    "bodyExpression",
)  # fmt: skip
_EACH_ONCE = Rule(
    "self.all(one, self.exists_one(other, other == one))",
    "each target may be named once",
    lambda names: len(set(names)) == len(names),
    places=lambda names: (Place(f"[{place}]") for place in repeated(names)),
)


class Respond(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the caller is answered, and when."""

    RULES: ClassVar = (
        Rule(
            f"(has(self.mode) && self.mode == 'Settled') || !({' || '.join(f'has(self.{one})' for one in _WAITING)})",
            f"{', '.join(_WAITING[:-1])} and {_WAITING[-1]} go with mode Settled",
            lambda it: it.mode == "Settled" or all(getattr(it, snake(one)) is None for one in _WAITING),
            places=said(*_WAITING),
        ),
        Rule(
            "!has(self.waitFor) || !has(self.quorum) || self.quorum <= size(self.waitFor)",
            "quorum must not be more than the targets that waitFor names",
            lambda it: it.wait_for is None or it.quorum is None or it.quorum <= len(it.wait_for),
            at="quorum",
        ),
        *shape.RULES,
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
        " Unset: every target but those with onDead Continue; every one, where all have that.",
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
    status: Annotated[
        int | None, Integer(200, 599), "Status of the answer. Unset: 200, unless statusExpression gives it."
    ] = None
    status_expression: Annotated[
        str | None,
        ExpressionText(ANSWER_STATUS),
        "Status of the answer as an expression in CEL that gives a whole number from 200 to 599. Besides event, data"
        " and headers it has what each target that is waited for said, as targets.<name>.status, .headers and .body."
        " Where it fails, as where another one here does, the caller has 500 (expression-failed). Unset: status says"
        " it.",
    ] = None
    headers: Annotated[
        tuple[shape.AnswerHeader, ...] | None,
        ListOf(item=Object(shape.AnswerHeader), most=16, key="name", rules=(EACH_HEADER_ONCE,)),
        "Headers of the answer. Unset: none but our own.",
    ] = None
    body_expression: Annotated[
        str | None,
        ExpressionText(ANSWER_BODY),
        "Body of the answer, as an expression in CEL: a string is sent as text/plain, bytes as"
        " application/octet-stream, any other value as JSON, up to 1 MiB. Unset: what every target said, by name.",
    ] = None


def _has_queue(policy: Policy | None) -> bool:
    return policy is not None and policy.bulkhead is not None and policy.bulkhead.max_queue is not None


def settled(spec: typing.Any) -> bool:
    """Whether callers of the route with this *spec* wait for its targets: what SETTLED says in CEL."""
    return spec.respond is not None and spec.respond.mode == "Settled"


def _queues(spec: typing.Any, target: typing.Any) -> bool:
    if not _has_queue(target.policy):
        return True
    return target.name in waited_for(spec.respond, spec.targets) and not target.depends_on


def _answered_to_nobody(spec: typing.Any) -> Iterator[int]:
    """Which targets have a static answer that no caller sees."""
    waited = waited_for(spec.respond, spec.targets)
    for place, target in enumerate(spec.targets):
        if target.fallback is not None and target.fallback.type == "Static" and target.name not in waited:
            yield place


def _strangers(spec: typing.Any) -> Iterator[Place]:
    """Which names in waitFor no target has."""
    names = [target.name for target in spec.targets]
    for place, name in enumerate(spec.respond.wait_for):
        if name not in names:
            yield Place(f"respond.waitFor[{place}]", f"; {hint(name, names)}")


KNOWN = Rule(
    "!has(self.respond) || !has(self.respond.waitFor)"
    " || self.respond.waitFor.all(one, self.targets.exists(target, target.name == one))",
    "respond.waitFor may only name targets of the route",
    lambda spec: (
        spec.respond is None
        or spec.respond.wait_for is None
        or set(spec.respond.wait_for) <= {target.name for target in spec.targets}
    ),
    at="respond.waitFor",
    places=_strangers,
)
_VITAL = "self.targets.filter(target, !has(target.onDead) || target.onDead == 'Fail')"
_WAITED = (
    f"({SETTLED} && (has(self.respond.waitFor) ? self.respond.waitFor.exists(one, one == target.name)"
    f" : !has(target.onDead) || target.onDead == 'Fail' || size({_VITAL}) == 0))"
)
QUEUED = Rule(
    "self.targets.all(target, !has(target.policy) || !has(target.policy.bulkhead)"
    " || !has(target.policy.bulkhead.maxQueue)"
    f" || ({_WAITED} && (!has(target.dependsOn) || size(target.dependsOn) == 0)))",
    "policy.bulkhead.maxQueue goes with targets that callers wait for (respond.mode Settled, and in waitFor where that"
    " names any) and that depend on no other",
    lambda spec: all(_queues(spec, target) for target in spec.targets),
    at="targets",
    places=lambda spec: (
        Place(f"targets[{place}].policy.bulkhead.maxQueue")
        for place, target in enumerate(spec.targets)
        if not _queues(spec, target)
    ),
)
QUEUED_BY_DEFAULT = Rule(
    "!has(self.defaults) || !has(self.defaults.policy) || !has(self.defaults.policy.bulkhead)"
    f" || !has(self.defaults.policy.bulkhead.maxQueue) || ({SETTLED})",
    "defaults.policy.bulkhead.maxQueue goes with respond.mode Settled: elsewhere nobody waits",
    lambda spec: not _has_queue(spec.defaults and spec.defaults.policy) or settled(spec),
    at="defaults.policy.bulkhead.maxQueue",
)
ENOUGH = Rule(
    "!has(self.respond) || !has(self.respond.quorum) || has(self.respond.waitFor)"
    f" || self.respond.quorum <= size({_VITAL}) || (size({_VITAL}) == 0 && self.respond.quorum <= size(self.targets))",
    "respond.quorum must not be more than the targets that the caller waits for",
    lambda spec: (
        spec.respond is None
        or spec.respond.quorum is None
        or spec.respond.quorum <= len(waited_for(spec.respond, spec.targets))
    ),
    at="respond.quorum",
    places=lambda spec: [
        Place("respond.quorum", f", which are {', '.join(waited_for(spec.respond, spec.targets))}"),
    ],
)
SEEN = Rule(
    f"self.targets.all(target, !has(target.fallback) || target.fallback.type != 'Static' || {_WAITED})",
    "a fallback of type Static is for a caller: respond.mode must be Settled, and the caller wait for its target",
    lambda spec: not any(True for _ in _answered_to_nobody(spec)),
    at="targets",
    places=lambda spec: (Place(f"targets[{place}].fallback") for place in _answered_to_nobody(spec)),
)


class Waitable(Protocol):
    """A target, as far as it says whether a caller waits for it."""

    @property
    def name(self) -> str:
        """What waitFor calls it."""

    @property
    def on_dead(self) -> str | None:
        """What its death means for the answer."""


def waited_for(said: Respond | None, targets: Sequence[Waitable]) -> tuple[str, ...]:
    """Name the targets that a caller waits for: unless that is said, those without which there is no answer."""
    if said is None or said.mode != "Settled":
        return ()
    vital = tuple(target.name for target in targets if target.on_dead != "Continue")
    return said.wait_for or vital or tuple(target.name for target in targets)
