"""The answer to a caller that waited for targets: what each of them said, by name.

One shape, whether it went well or not: in the body of a 200, or as members of a problem document, ``targets`` holds an
object per target that was waited for; ``fallback`` says that what stands in for it has said it::

    {"receipt": "…", "targets": {"pricing": {"state": "Delivered", "status": 200, "body": {"amount": 7}}}}

A body that is JSON stands there as JSON, one that is UTF-8 as a string, any other in Base64 under another name
(``bodyBase64``), so that nobody has to guess. Whatever becomes of the wait, the event is accepted and its receipt is in
the headers. A route may give the answer another shape (`respond.status`, `headers`, `bodyExpression`).
"""

import base64
import typing

import msgspec

from fanout_dispatcher.ingress import answer, bodies, problems
from fanout_dispatcher.ingress.answer import STATUS, Answer
from fanout_dispatcher.ingress.problems import Headers, Members, Problem, Refusal
from fanout_dispatcher.ingress.request import Request
from fanout_dispatcher.policies.shape import Shape, Unshaped
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Ending, Heard, Settled
from fanout_dispatcher.values.event import Head, State
from fanout_dispatcher.values.media import is_json

GOES_ON: typing.Final = "the event is accepted and goes on"
OVER: typing.Final = "the event was accepted, and what died of it is kept"
ANSWERED: typing.Final = "the event was accepted, and all that was waited for is settled"
ONCE: typing.Final = {
    GOES_ON: ": do not send it again",
    OVER: ": replay that, do not send it again",
    ANSWERED: ": do not send it again",
}
UNSURE: typing.Final = "whether the event is kept is not known yet"
_PARTIAL: typing.Final = b"fanout-partial: true\r\n"
_CIRCUIT: typing.Final = "CircuitOpen"


class _Target(msgspec.Struct, omit_defaults=True, rename="camel", gc=False):
    """One target, in the words of the status URL: its state, why it is dead or held; and its answer."""

    state: str
    reason: str = ""
    held: str = ""
    detail: str = ""
    status: int = 0
    body: str | msgspec.Raw = ""
    body_base64: str = ""
    truncated: bool = False
    fallback: bool = False
    cached: bool = False


class _Document(msgspec.Struct, omit_defaults=True, gc=False):
    receipt: str | None
    targets: dict[str, _Target]
    partial: bool = False


_encode: typing.Final = msgspec.json.Encoder().encode


def answered(request: Request, told: Settled) -> Answer:
    """Write the 200: enough targets have succeeded, or what there is will do."""
    assert told.receipt is not None, "no target is asked before the event has a receipt"
    return answer.settled(request, told.receipt, _document(told), _marks(told))


class Shaping(msgspec.Struct, frozen=True, gc=False):
    """The shape of an answer, and the event that it is the answer to."""

    shape: Shape
    head: Head
    body: bytes


def shaped(request: Request, told: Settled, shaping: Shaping) -> Answer | Refusal:
    """Write the answer in the shape that the route gives it, or say why there is none."""
    assert told.receipt is not None, "no target is asked before the event has a receipt"
    try:
        made = shaping.shape.of(shaping.head, shaping.body, told.heard)
    except Unshaped as why:
        return problems.EXPRESSION_FAILED(
            f"{why}; {_since(request, told)}", headers=_receipt(told), more=_members(told)
        )
    body = _document(told) if made.body is None else made.body
    return answer.shaped(request, told.receipt, made, body, _marks(told))


def refusal(request: Request, told: Settled) -> Refusal | None:
    """Say why the caller gets no answer of its targets; None where it does."""
    match told.ending:
        case Ending.ANSWERED | Ending.PARTIAL:
            return None
        case Ending.FAILED:
            return _problem(request, _failed(told), told)
        case Ending.TIMEOUT:
            return _problem(request, problems.TARGETS_TIMEOUT, told)
        case Ending.DRAINING:
            return _problem(request, problems.SHUTTING_DOWN, told)
        case Ending.GONE:
            raise AssertionError("nobody is there to be told")
        case _:
            typing.assert_never(told.ending)


def _failed(told: Settled) -> Problem:
    """Tell targets that were asked and failed from targets that we chose not to ask."""
    lost = [one for one in told.heard if one.lost]
    if any(one.failed for one in lost):
        return problems.TARGETS_FAILED
    if all(one.reason == "Draining" for one in lost):
        return problems.SHUTTING_DOWN
    return problems.CIRCUIT_OPEN if any(one.reason == _CIRCUIT for one in lost) else problems.TARGETS_HELD


def _problem(request: Request, problem: Problem, told: Settled) -> Refusal:
    missing = "; ".join(_sentence(one) for one in told.heard if one.lost or one.state == State.PENDING)
    return problem(f"{missing}; {_since(request, told)}", headers=_receipt(told), more=_members(told))


def _since(request: Request, told: Settled) -> str:
    """Say how it is with the event, so that nobody sends it again; a GET one may (RFC 9110 §9.2.1)."""
    if told.receipt is None:
        return UNSURE
    if any(one.state == State.PENDING for one in told.heard):
        what = GOES_ON
    else:
        what = OVER if any(one.lost for one in told.heard) else ANSWERED
    return what if request.method == b"GET" else what + ONCE[what]


def _sentence(one: Heard) -> str:
    if not one.lost:
        return f"{one.target}: no answer yet" + (f" ({one.detail})" if one.detail else "")
    why = f"{one.reason}, {one.detail}" if one.detail else one.reason
    return f"{one.target}: {why}"


def _receipt(told: Settled) -> Headers:
    """Say under which name the event is known, and where its state can be read."""
    if told.receipt is None:
        return ()
    receipt = told.receipt.encode("ascii")
    return ((b"location", STATUS.encode("ascii") + receipt), (b"fanout-receipt", receipt))


def _members(told: Settled) -> Members:
    """What a problem document tells besides: the receipt, and every target."""
    targets: Members = (("targets", _targets(told)),)
    return targets if told.receipt is None else (("receipt", told.receipt), *targets)


def _marks(told: Settled) -> bytes:
    return _PARTIAL if told.ending is Ending.PARTIAL else b""


def _document(told: Settled) -> bytes:
    return _encode(_Document(told.receipt, _targets(told), told.ending is Ending.PARTIAL))


def _targets(told: Settled) -> dict[str, _Target]:
    return {one.target: _target(one) for one in told.heard}


def _target(one: Heard) -> _Target:
    state, kept = State.NAMES[one.state], one.answer
    reason, held = (one.reason, "") if one.failed else ("", one.reason)
    if kept is None:
        return _Target(state, reason, held, one.detail, fallback=one.fallback)
    body, coded = _body(kept) if kept.body else ("", "")
    return _Target(state, reason, held, one.detail, kept.status, body, coded, kept.truncated, one.fallback, kept.cached)


def _body(kept: Captured) -> tuple[str | msgspec.Raw, str]:
    """Show a body by what it is, whatever it says it is; a content coding hides that."""
    headers = dict(kept.headers)
    if "content-encoding" not in headers:
        content_type = headers.get("content-type", "").encode("latin-1")
        if is_json(content_type) and bodies.fault(kept.body) is None:
            return msgspec.Raw(kept.body), ""
        try:
            return kept.body.decode(), ""
        except UnicodeDecodeError:
            pass
    return "", base64.b64encode(kept.body).decode("ascii")
