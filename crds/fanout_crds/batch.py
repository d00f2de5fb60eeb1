"""`policy.batch`: many events in one request, to a target that takes CloudEvents in batched mode.

One request, and its one answer, are for all of them, so nothing that is about a single event goes with it. The rules
here are those that the API server checks; `batching.check` repeats them for inherited policies and for the whole route.
"""

import typing
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from fanout_crds.kinds import Duration, Enum, Integer, Quantity
from fanout_crds.rules import Place, Rule, snake
from fanout_crds.words import Switch


class Batch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Deliveries go together, as one request: an array of events in JSON (application/cloudevents-batch+json).

    Only for a target that takes it: its one answer is for all of them. Source: CloudEvents JSON format 1.0.2 §4.
    """

    mode: Annotated[Switch | None, Enum(Switch), "Disabled: each by itself, whatever is inherited. Unset: Enabled."] = (
        None
    )
    max_events: Annotated[
        int | None, Integer(1, 1000), "Events in one request. With it a batch goes at once. Unset: 100."
    ] = None
    max_bytes: Annotated[
        int | None,
        Quantity(most="8Mi"),
        "Bytes of one request's body, up to 8Mi; one event may always go. With them a batch goes at once. Unset: 1Mi.",
    ] = None
    max_wait: Annotated[
        float | None,
        Duration(zero=True),
        "How long the first event of a batch waits for others. Unset: 1s. 0s: it takes along what is there.",
    ] = None


def _off(block: str) -> str:
    """Write in CEL that *block* is unset or disabled."""
    return f"!has(self.{block}) || (has(self.{block}.mode) && self.{block}.mode == 'Disabled')"


def _on(said: object) -> bool:
    """Whether a block of a policy is set and not disabled: the twin of `_off`."""
    return said is not None and getattr(said, "mode", None) != "Disabled"


def _of_one_event(target: typing.Any) -> Iterator[str]:
    """What of a target is about a single event, or about its answer."""
    for field in ("dependsOn", "compensate", "fallback", "cache"):
        if getattr(target, snake(field)):
            yield field
    if target.request:
        yield from (f"request.{field}" for field in target.request.of_one_event)


ALONE: Final = (
    Rule(
        f"{_off('batch')} || {_off('ordering')}",
        "batch does not go with ordering: deliveries of one key go one at a time",
        lambda it: not (_on(it.batch) and _on(it.ordering)),
        at="batch",
    ),
    Rule(
        f"{_off('batch')} || {_off('hedge')}",
        "batch does not go with hedge: this version sends a second try of single deliveries only",
        lambda it: not (_on(it.batch) and _on(it.hedge)),
        at="batch",
    ),
)
ALIKE: Final = Rule(
    f"!has(self.policy) || {_off('policy.batch')}"
    " || !(has(self.dependsOn) || has(self.compensate) || has(self.fallback) || has(self.cache)"
    " || (has(self.request) && (has(self.request.pathExpression)"
    " || has(self.request.bodyExpression) || has(self.request.forwardHeaders)"
    " || (has(self.request.method) && self.request.method in ['GET', 'DELETE'])"
    " || (has(self.request.mode) && self.request.mode == 'Structured')"
    " || (has(self.request.headers) && self.request.headers.exists(one, has(one.valueExpression)))"
    " || (has(self.request.query) && self.request.query.exists(one, has(one.valueExpression))))))",
    "policy.batch sends many events in one request: it does not go with dependsOn, compensate, fallback, cache, or a"
    " request that is made of one event (mode Structured, forwardHeaders, an expression) or has no body",
    lambda it: not (it.policy is not None and _on(it.policy.batch) and any(True for _ in _of_one_event(it))),
    places=lambda it: (Place(field) for field in _of_one_event(it)),
)
