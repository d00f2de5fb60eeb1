"""What a failed handshake is called, where no real one is at hand for it; the usual ones are in test_tls.py."""

import ssl

import pytest

from fanout_dispatcher.transport.tlsfaults import alert, failed
from fanout_dispatcher.values.outcome import Fault


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (2, "is not of an authority"),
        (9, "is not valid yet"),
        (10, "has expired"),
        (21, "is not of an authority"),
        (26, "cannot be trusted (X509 error 26)"),
        (62, "is not for payment.example"),
        (64, "is not for payment.example"),
    ],
)
def test_what_is_wrong_with_a_targets_certificate_is_told_by_openssls_number(code: int, says: str) -> None:
    fault = ssl.SSLCertVerificationError(1, "whatever a library says: CN=s3cr3t")
    fault.verify_code = code

    outcome = failed(fault, "payment.example")

    assert outcome.fault is Fault.TLS_FAILURE
    assert str(outcome.detail).startswith(f"TLS failed: its certificate {says}")
    assert "s3cr3t" not in str(outcome.detail)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("SSLV3_ALERT_BAD_CERTIFICATE", "TLS failed: it refused our certificate: TLS alert, bad certificate"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "TLS failed: it refused the handshake: TLS alert, protocol version"),
        ("WRONG_VERSION_NUMBER", "TLS failed"),
        (None, "TLS failed"),
    ],
)
def test_what_a_target_finds_wrong_is_told_in_the_words_of_its_alert(reason: str | None, says: str) -> None:
    fault = ssl.SSLError(1, "whatever a library says")
    fault.reason = reason  # type: ignore[assignment]  # None: an error that is not of the library

    assert failed(fault, "payment.example").detail == says


def test_an_end_without_an_error_of_tls_has_no_alert() -> None:
    assert (alert(None), alert(ConnectionResetError())) == (None, None)
