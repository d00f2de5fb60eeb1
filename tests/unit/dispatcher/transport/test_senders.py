"""Making senders: a target that nothing can be sent to is refused at once, in words, without its secrets."""

import asyncio

import msgspec
import pytest

from fanout_crds.plan import Mapping, Target
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.transport.protocol import Unsendable
from fanout_dispatcher.transport.senders import HttpSenders
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Reason, Refused
from tests.unit.dispatcher.transport.support import OK, Pad, answering, event, meeting, sending, span_ids, target, turns

UNKNOWN_NAME = msgspec.structs.replace(target("http://a.example/"), mapping=Mapping(method="POST", body="dta.x"))


def showing(handle: str) -> Target:
    return msgspec.structs.replace(target("https://a.example/"), client_certificate=handle)


@pytest.mark.parametrize(
    ("asked", "credentials", "sentence"),
    [
        (target("http://10.0.0.1/"), {}, "URL is refused: a private address"),
        (target("http://0x7f.1/"), {}, "four decimal numbers"),
        (target(""), {}, "URL is refused"),
        (target("http://a.example/", bearer="a.bearer"), {}, "the bearer token that the plan names"),
        (target("http://a.example/", bearer="b"), {"b": b"canary\x00secret"}, "the bearer token is empty or holds"),
        (target("https://a.example/", ca="a.ca"), {}, "the CA bundle that the plan names"),
        (target("https://a.example/", ca="c"), {"c": b"canary"}, "no certificate that can be read"),
        (target("https://a.example/", ca="c"), {"c": b"\xff\xfe"}, "no certificate that can be read"),
        (target("https://a.example/", ca="c"), {"c": b""}, "no certificate that can be read"),
        (showing("us"), {}, "the client certificate that the plan names"),
        (showing("us"), {"us": b"canary"}, "the client certificate cannot be read, or does not go with its key"),
        (target("http://a.example/", headers=(("host", "b"),)), {}, "not one that a manifest may set"),
        (UNKNOWN_NAME, {}, "unknown name dta"),
    ],
)
async def test_a_target_that_cannot_be_sent_to_is_refused(
    asked: Target, credentials: dict[str, bytes], sentence: str
) -> None:
    senders = HttpSenders(asyncio.get_running_loop(), Guard(), span_ids=span_ids)

    with pytest.raises(Unsendable, match=sentence) as refused:
        senders(asked, credentials)

    assert "canary" not in str(refused.value)


async def test_an_event_that_must_not_be_sent_fails_alone() -> None:
    async with meeting(answering(OK)) as (found, sender):
        pad = Pad()
        poisoned = pad.launch(sender, event(attributes=b"ce-id: 7\r\n\r\nPOST /evil HTTP/1.1\r\n"))
        cancelled = pad.launch(sender, event(attributes=b"ce-id: 7\n"))
        assert pad.outcomes[poisoned] == []
        sender.cancel(cancelled)

        outcome = await pad.outcome(poisoned)
        await turns()
        assert isinstance(outcome, Failed)
        assert outcome.fault is Fault.PROTOCOL_ERROR
        assert pad.outcomes[cancelled] == []
        assert found.requests == []


async def test_a_closed_sender_refuses() -> None:
    async with meeting(answering(OK)) as (_, sender):
        sender.close()

        assert await Pad().send(sender) == Refused("the sender is closed")


async def test_a_bearer_token_arrives() -> None:
    async with meeting(answering(OK)) as (found, _):
        senders = HttpSenders(asyncio.get_running_loop(), Guard(allow_loopback=True), span_ids=span_ids)
        sender = senders(target(found.url, bearer="payment.bearer"), {"payment.bearer": b"t0ken"})
        await Pad().send(sender)
        sender.close()
        await turns()

        assert b"\r\nauthorization: Bearer t0ken\r\n" in found.requests[0]


async def test_an_event_that_no_request_can_be_made_of_is_refused_for_good_and_nobody_is_asked() -> None:
    async with meeting(answering(OK)) as (found, _):
        mapped = msgspec.structs.replace(target(found.url), mapping=Mapping(method="POST", path="['orders', data.id]"))
        async with sending(mapped) as sender:
            outcome = await Pad().send(sender, event(b"{}"))
            good = await Pad().send(sender, event(b'{"id": "7"}'))

        why = 'request.pathExpression: there is no "id" in data; has() asks whether there is'
        assert outcome == Refused(why, Reason.EXPRESSION_FAILED)
        assert good == Delivered(200)
        assert [request.partition(b" HTTP")[0] for request in found.requests] == [b"POST /orders/7?x=1"]
