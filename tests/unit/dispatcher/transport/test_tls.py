"""TLS: what is told of a handshake that failed, and what targets share. Whom we believe is in tests/contract."""

import asyncio
import contextlib
import ssl
import unittest.mock

import msgspec
import pytest
import trustme

from fanout_dispatcher.transport import senders
from fanout_dispatcher.transport.sender import HttpSender
from fanout_dispatcher.values.outcome import Failed, Fault
from tests.support.certificates import strict
from tests.support.strict_target import StrictTarget
from tests.unit.dispatcher.transport.support import LAPTOP, Pad, sending, span_ids, target


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def one(name: str) -> list[str]:
    return ["127.0.0.1"]


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
            assert await Pad().send(sender) == Failed(fault=Fault.TLS_FAILURE, detail=f"TLS failed: {says}")

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
