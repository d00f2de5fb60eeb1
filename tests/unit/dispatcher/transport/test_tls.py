"""TLS: certificates and names are always verified, by the target's own CA when it has one."""

import asyncio
import contextlib
import datetime
import pathlib
import ssl
import unittest.mock

import cryptography.x509
import msgspec
import pytest
import trustme

from fanout_dispatcher.transport import senders
from fanout_dispatcher.transport.sender import HttpSender
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault
from tests.support.strict_target import StrictTarget
from tests.unit.dispatcher.transport.support import (
    LAPTOP,
    OK,
    Call,
    Pad,
    Peer,
    answering,
    event,
    peer,
    policy,
    sending,
    span_ids,
    target,
    turns,
)

FAILED = Failed(fault=Fault.TLS_FAILURE, detail="TLS failed")


def failed(why: str) -> Failed:
    return Failed(fault=Fault.TLS_FAILURE, detail=f"TLS failed: {why}")


STRANGER = failed(
    "its certificate is not of an authority that is trusted here (those in tls.caSecret, else the machine's)"
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def one(name: str) -> list[str]:
    return ["127.0.0.1"]


def trusting(
    found: Peer, ca: trustme.CA, host: str = "payment.example"
) -> contextlib.AbstractAsyncContextManager[HttpSender]:
    """A sender to *found* under the name *host*, which trusts *ca*."""
    asked = target(f"https://{host}:{found.port}/charges", ca="payment.ca")
    return sending(asked, credentials={"payment.ca": ca.cert_pem.bytes()}, resolve=one)


@pytest.mark.parametrize("host", ["payment.example", "127.0.0.1"])
async def test_a_certificate_of_the_targets_ca_for_its_name_is_trusted(authority: trustme.CA, host: str) -> None:
    async with (
        peer(answering(OK), tls=serving(authority.issue_cert(host))) as found,
        trusting(found, authority, host) as sender,
    ):
        pad = Pad()

        outcomes = [await pad.send(sender, event(b"x" * size)) for size in (2, 100_000, 3_000_000, 2)]

        assert outcomes == [Delivered(200)] * 4
        assert found.connections == 1
        assert [len(request.partition(b"\r\n\r\n")[2]) for request in found.requests] == [2, 100_000, 3_000_000, 2]


@pytest.mark.parametrize(("host", "named"), [("payment.example", "payment.example"), ("127.0.0.1", None)])
async def test_a_handshake_names_the_target_and_not_the_address_it_was_found_at(
    authority: trustme.CA, host: str, named: str | None
) -> None:
    """Server Name Indication, by which a front of many names picks its certificate; never an address (RFC 6066 §3)."""
    asked: list[str | None] = []
    context = serving(authority.issue_cert(host))
    context.sni_callback = lambda connection, name, its: asked.append(name)

    async with peer(answering(OK), tls=context) as found, trusting(found, authority, host) as sender:
        assert await Pad().send(sender) == Delivered(200)

    assert asked == [named]


@pytest.mark.parametrize("host", ["payment.example", "127.0.0.1"])
async def test_a_certificate_for_another_name_is_refused(authority: trustme.CA, host: str) -> None:
    async with peer(answering(OK), tls=serving(authority.issue_cert("other.example"))) as found:
        async with trusting(found, authority, host) as sender:
            assert await Pad().send(sender) == failed(f"its certificate is not for {host}")
        assert found.requests == []


async def test_a_certificate_of_another_ca_is_refused(authority: trustme.CA) -> None:
    async with (
        peer(answering(OK), tls=serving(trustme.CA().issue_cert("payment.example"))) as found,
        trusting(found, authority) as sender,
    ):
        assert await Pad().send(sender) == STRANGER


async def test_a_certificate_that_signed_itself_is_refused(authority: trustme.CA, tmp_path: pathlib.Path) -> None:
    alone = trustme.CA()
    alone.cert_pem.write_to_path(tmp_path / "tls.crt")
    alone.private_key_pem.write_to_path(tmp_path / "tls.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")

    async with peer(answering(OK), tls=context) as found, trusting(found, authority) as sender:
        assert await Pad().send(sender) == STRANGER
        assert found.requests == []


async def test_a_handshake_that_drips_costs_the_connect_deadline(authority: trustme.CA) -> None:
    async def script(call: Call) -> None:
        await call.reader.read(1)
        await call.answer(b"\x16\x03\x03\x40\x00")  # a handshake record of 16 KiB, a byte at a time
        while True:
            await call.answer(b"\0")
            await asyncio.sleep(0.01)

    async with peer(script) as found:
        slow = target(f"https://payment.example:{found.port}/", ca="ca", settings=policy(connect=0.2))
        async with sending(slow, credentials={"ca": authority.cert_pem.bytes()}, resolve=one) as sender:
            outcome = await Pad().send(sender)
            await found.left.wait()

    assert outcome == Failed(fault=Fault.TIMEOUT, detail="connect timed out")


async def test_without_a_ca_of_its_own_a_target_is_judged_by_the_machines(authority: trustme.CA) -> None:
    async with (
        peer(answering(OK), tls=serving(authority.issue_cert("127.0.0.1"))) as found,
        sending(target(f"https://127.0.0.1:{found.port}/")) as sender,
    ):
        assert await Pad().send(sender) == STRANGER


async def test_an_expired_certificate_is_refused(authority: trustme.CA) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    expired = authority.issue_cert("payment.example", not_before=past, not_after=past + datetime.timedelta(days=1))
    async with (
        peer(answering(OK), tls=serving(expired)) as found,
        trusting(found, authority) as sender,
    ):
        assert await Pad().send(sender) == failed("its certificate has expired")


async def test_a_peer_that_does_not_speak_tls_is_a_tls_failure(authority: trustme.CA) -> None:
    async def script(call: Call) -> None:
        await call.reader.read(1)
        await call.answer(b"HTTP/1.1 400 Plain\r\ncontent-length: 0\r\n\r\n")

    async with peer(script) as found, trusting(found, authority) as sender:
        assert await Pad().send(sender) == FAILED


async def test_a_handshake_that_never_ends_costs_the_connect_deadline(authority: trustme.CA) -> None:
    async def script(call: Call) -> None:
        await call.hung_up()

    async with peer(script) as found:
        slow = target(f"https://payment.example:{found.port}/", ca="ca", settings=policy(connect=0.1))
        async with sending(slow, credentials={"ca": authority.cert_pem.bytes()}, resolve=one) as sender:
            outcome = await Pad().send(sender)

    assert outcome == Failed(fault=Fault.TIMEOUT, detail="connect timed out")


async def test_a_reset_after_the_request_is_a_reset(authority: trustme.CA) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.reset()

    async with (
        peer(script, tls=serving(authority.issue_cert("payment.example"))) as found,
        trusting(found, authority) as sender,
    ):
        outcome = await Pad().send(sender)

    assert outcome == Failed(fault=Fault.RESET, detail="connection reset")


async def test_an_idle_connection_that_the_target_closed_is_replaced(authority: trustme.CA) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(OK)

    async with (
        peer(script, tls=serving(authority.issue_cert("payment.example"))) as found,
        trusting(found, authority) as sender,
    ):
        pad = Pad()
        assert await pad.send(sender) == Delivered(200)
        await found.left.wait()
        await turns()

        assert await pad.send(sender) == Delivered(200)


def strict(authority: trustme.CA, *, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> StrictTarget:
    """A target that wants a certificate of *authority*."""
    context = serving(authority.issue_cert("payment.example"))
    authority.configure_trust(context)
    context.maximum_version = most
    return StrictTarget(context)


def showing(
    found: StrictTarget, authority: trustme.CA, ours: trustme.LeafCert | None
) -> contextlib.AbstractAsyncContextManager[HttpSender]:
    """A sender to *found* that shows *ours*."""
    credentials = {"ca": authority.cert_pem.bytes()}
    handle = None
    if ours is not None:
        handle = "payment.clientCertificate"
        credentials[handle] = ours.private_key_and_cert_chain_pem.bytes()
    asked = target(f"https://payment.example:{found.port}/", ca="ca")
    asked = msgspec.structs.replace(asked, client_certificate=handle)
    return sending(asked, credentials=credentials, resolve=one)


VERSIONS = pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@VERSIONS
async def test_a_target_that_asks_for_a_certificate_is_shown_ours(authority: trustme.CA, most: ssl.TLSVersion) -> None:
    ours = authority.issue_cert("us@shop.example")
    serial = cryptography.x509.load_pem_x509_certificate(ours.cert_chain_pems[0].bytes()).serial_number

    with strict(authority, most=most) as found:
        async with showing(found, authority, ours) as sender:
            outcomes = [await Pad().send(sender), await Pad().send(sender)]

        assert outcomes == [Delivered(200), Delivered(200)]
        assert found.shown == [serial, serial]


async def test_a_target_that_does_not_ask_for_a_certificate_is_sent_to_all_the_same(authority: trustme.CA) -> None:
    async with peer(answering(OK), tls=serving(authority.issue_cert("payment.example"))) as found:
        asked = target(f"https://payment.example:{found.port}/", ca="ca")
        ours = authority.issue_cert("us@shop.example").private_key_and_cert_chain_pem.bytes()
        credentials = {"ca": authority.cert_pem.bytes(), "us": ours}
        shown = msgspec.structs.replace(asked, client_certificate="us")
        async with sending(shown, credentials=credentials, resolve=one) as sender:
            assert await Pad().send(sender) == Delivered(200)


@pytest.mark.parametrize(("whose", "alert"), [("nobody", "certificate required"), ("a stranger", "unknown ca")])
async def test_a_target_that_does_not_take_our_certificate_is_quoted(
    authority: trustme.CA, whose: str, alert: str
) -> None:
    """It looks at it when the request may be out already: whether it was read is not ours to say.

    An alert that comes in the very turn in which the request should go is not waited for.
    """
    plain, quoted = (
        Failed(fault=Fault.RESET, detail=f"connection reset{said}") for said in ("", f": TLS alert, {alert}")
    )
    stranger = trustme.CA().issue_cert("us@shop.example") if whose == "a stranger" else None

    with strict(authority) as found:
        async with showing(found, authority, stranger) as sender:
            outcomes = [await Pad().send(sender) for _ in range(20)]

        assert quoted in outcomes
        assert all(outcome in (plain, quoted) for outcome in outcomes)
        assert found.shown == []


@pytest.mark.parametrize(
    ("whose", "says"),
    [
        ("nobody", "it refused the handshake: TLS alert, handshake failure"),
        ("a stranger", "it refused our certificate: TLS alert, unknown ca"),
    ],
)
async def test_until_tls_1_2_a_certificate_that_is_not_taken_ends_the_handshake_and_nothing_is_sent(
    authority: trustme.CA, whose: str, says: str
) -> None:
    stranger = trustme.CA().issue_cert("us@shop.example") if whose == "a stranger" else None

    with strict(authority, most=ssl.TLSVersion.TLSv1_2) as found:
        async with showing(found, authority, stranger) as sender:
            assert await Pad().send(sender) == failed(says)

        assert found.shown == []


async def test_targets_with_the_same_bundle_and_certificate_share_what_takes_so_long_to_load(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = unittest.mock.Mock(wraps=senders._made)
    monkeypatch.setattr(senders, "_made", make)
    factory = senders.HttpSenders(asyncio.get_running_loop(), LAPTOP, span_ids=span_ids)
    bundles = {"a.ca": authority.cert_pem.bytes(), "b.ca": authority.cert_pem.bytes()}
    another = {"a.ca": trustme.CA().cert_pem.bytes()}

    kept = [factory(target("https://payment.example", ca=handle), bundles) for handle in bundles]
    kept.append(factory(target("https://payment.example", ca="a.ca"), another))

    assert make.call_count == 2
    for sender in kept:
        sender.close()
