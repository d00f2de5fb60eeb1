"""Ours and aiohttp's client, before the same certificates: whom a sender believes, and what it shows."""

import datetime
import pathlib
import ssl

import cryptography.x509
import pytest
import trustme

from fanout_dispatcher.values.outcome import Delivered, Failed, Fault
from tests.contract.dial import Dial, Meet, Terms
from tests.support.certificates import self_signed, serving, strict
from tests.unit.dispatcher.transport.support import OK, Call, Pad, answering, event, happened, turns

NAME = "payment.example"

VERSIONS = pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


async def nothing_is_sent(
    meet: Meet, shown: ssl.SSLContext, trusted: trustme.CA | None, *, host: str = NAME, says: str = "certificate"
) -> None:
    """Meet a peer that shows that: the handshake fails and says why, and no request comes."""
    async with meet(answering(OK), Terms(trusted=trusted), host=host, tls=shown) as (found, sender):
        outcome = await Pad().send(sender)

        assert isinstance(outcome, Failed)
        assert (outcome.status, outcome.fault) == (0, Fault.TLS_FAILURE)
        assert says in outcome.detail
        assert found.requests == []


@pytest.mark.parametrize("host", [NAME, "127.0.0.1"])
async def test_a_certificate_of_the_trusted_authority_for_the_asked_name_is_believed(
    meet: Meet, authority: trustme.CA, host: str
) -> None:
    sizes = [2, 100_000, 3_000_000, 2]
    shown = serving(authority.issue_cert(host))
    async with meet(answering(OK), Terms(trusted=authority), host=host, tls=shown) as (found, sender):
        pad = Pad()

        assert [await pad.send(sender, event(b"x" * size)) for size in sizes] == [Delivered(200)] * 4
        assert [len(request.partition(b"\r\n\r\n")[2]) for request in found.requests] == sizes
        assert found.connections == 1


@pytest.mark.parametrize(("host", "named"), [(NAME, NAME), ("127.0.0.1", None)])
async def test_a_handshake_names_the_target_and_not_the_address_it_was_found_at(
    meet: Meet, authority: trustme.CA, host: str, named: str | None
) -> None:
    """Server Name Indication, by which a front of many names picks its certificate; never an address (RFC 6066 §3)."""
    asked: list[str | None] = []
    shown = serving(authority.issue_cert(host))
    shown.sni_callback = lambda connection, name, its: asked.append(name)

    async with meet(answering(OK), Terms(trusted=authority), host=host, tls=shown) as (_, sender):
        assert await Pad().send(sender) == Delivered(200)

    assert asked == [named]


@pytest.mark.parametrize("host", [NAME, "127.0.0.1"])
async def test_a_certificate_for_another_name_is_not_believed(meet: Meet, authority: trustme.CA, host: str) -> None:
    await nothing_is_sent(meet, serving(authority.issue_cert("other.example")), authority, host=host, says=host)


async def test_a_certificate_of_another_authority_is_not_believed(meet: Meet, authority: trustme.CA) -> None:
    await nothing_is_sent(meet, serving(trustme.CA().issue_cert(NAME)), authority)


async def test_a_certificate_that_signed_itself_is_not_believed(
    meet: Meet, authority: trustme.CA, tmp_path: pathlib.Path
) -> None:
    await nothing_is_sent(meet, self_signed(tmp_path), authority)


async def test_an_expired_certificate_is_not_believed(meet: Meet, authority: trustme.CA) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    old = authority.issue_cert(NAME, not_before=past, not_after=past + datetime.timedelta(days=1))

    await nothing_is_sent(meet, serving(old), authority, says="expired")


async def test_a_certificate_of_the_future_is_not_believed(meet: Meet, authority: trustme.CA) -> None:
    future = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    early = authority.issue_cert(NAME, not_before=future, not_after=future + datetime.timedelta(days=1))

    await nothing_is_sent(meet, serving(early), authority, says="valid")


async def test_where_no_authority_is_named_the_machines_are_asked(meet: Meet, authority: trustme.CA) -> None:
    await nothing_is_sent(meet, serving(authority.issue_cert(NAME)), None)


async def test_a_peer_that_does_not_speak_tls_is_a_tls_failure(meet: Meet, authority: trustme.CA) -> None:
    async def script(call: Call) -> None:
        await call.reader.read(1)
        await call.answer(b"HTTP/1.1 400 Plain\r\ncontent-length: 0\r\n\r\n")

    async with meet(script, Terms(trusted=authority), host=NAME) as (_, sender):
        outcome = await Pad().send(sender)

    assert isinstance(outcome, Failed)
    assert outcome.fault is Fault.TLS_FAILURE


async def test_a_reset_after_the_request_is_a_reset_and_the_next_flight_has_a_connection_of_its_own(
    meet: Meet, authority: trustme.CA
) -> None:
    async def script(call: Call) -> None:
        await call.request()
        if call.number == 1:
            await call.reset()
        else:
            await call.answer(OK)

    shown = serving(authority.issue_cert(NAME))
    async with meet(script, Terms(trusted=authority), host=NAME, tls=shown) as (_, sender):
        pad = Pad()
        reset = Failed(fault=Fault.RESET, detail="connection reset")

        assert [await pad.send(sender), await pad.send(sender)] == [reset, Delivered(200)]


async def test_an_idle_connection_that_the_target_closed_is_replaced(meet: Meet, authority: trustme.CA) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(OK)

    shown = serving(authority.issue_cert(NAME))
    async with meet(script, Terms(trusted=authority), host=NAME, tls=shown) as (found, sender):
        pad = Pad()
        assert await pad.send(sender) == Delivered(200)
        await happened(found.left)
        await turns()

        assert await pad.send(sender) == Delivered(200)
        assert found.connections == 2


@VERSIONS
async def test_a_target_that_asks_for_a_certificate_is_shown_ours(
    dial: Dial, authority: trustme.CA, most: ssl.TLSVersion
) -> None:
    shown = authority.issue_cert("us@shop.example")
    serial = cryptography.x509.load_pem_x509_certificate(shown.cert_chain_pems[0].bytes()).serial_number

    with strict(authority, most=most) as found:
        async with dial(f"https://{NAME}:{found.port}/", Terms(trusted=authority, shown=shown)) as sender:
            pad = Pad()
            outcomes = [await pad.send(sender), await pad.send(sender)]

        assert outcomes == [Delivered(200), Delivered(200)]
        assert found.shown == [serial, serial]


async def test_a_target_that_does_not_ask_for_a_certificate_is_sent_to_all_the_same(
    meet: Meet, authority: trustme.CA
) -> None:
    terms = Terms(trusted=authority, shown=authority.issue_cert("us@shop.example"))
    async with meet(answering(OK), terms, host=NAME, tls=serving(authority.issue_cert(NAME))) as (_, sender):
        assert await Pad().send(sender) == Delivered(200)


@VERSIONS
@pytest.mark.parametrize("whose", ["nobody's", "a stranger's"])
async def test_a_target_that_wants_another_certificate_is_never_taken_to_have_answered(
    dial: Dial, authority: trustme.CA, whose: str, most: ssl.TLSVersion
) -> None:
    """Until TLS 1.2 it ends the handshake; since then it looks when the request may be out already (RFC 8446 §2)."""
    shown = trustme.CA().issue_cert("us@shop.example") if whose == "a stranger's" else None
    fault = Fault.TLS_FAILURE if most is ssl.TLSVersion.TLSv1_2 else Fault.RESET

    with strict(authority, most=most) as found:
        async with dial(f"https://{NAME}:{found.port}/", Terms(trusted=authority, shown=shown)) as sender:
            outcomes = [await Pad().send(sender) for _ in range(5)]

        assert [outcome.fault if isinstance(outcome, Failed) else outcome for outcome in outcomes] == [fault] * 5
        assert found.shown == []
