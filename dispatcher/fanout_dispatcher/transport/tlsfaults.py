"""What to call a TLS handshake that failed: whose fault it is, in words that tell a tenant what to mend.

Three causes look alike to whoever sees the connection only: a certificate of an authority that we do not trust, one for
another name, and a target that does not take ours. The words are from closed lists: what we found wrong is told by
OpenSSL's number, what the target found wrong by its alert (RFC 8446 §6.2), and nothing of a certificate is repeated.
"""

import re
import ssl
import typing

from fanout_dispatcher.values.outcome import Failed, Fault

# OpenSSL's X509_V_ERR_*: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/#error-codes
_STRANGERS: typing.Final = frozenset({2, 7, 18, 19, 20, 21})  # no issuer, or none that signed it, among those we trust
_OTHER_NAMES: typing.Final = frozenset({62, 64})  # a host name, an address
_DATES: typing.Final = {9: "is not valid yet", 10: "has expired"}

_OURS: typing.Final = frozenset(  # alerts that are about the certificate that we have shown, or did not show
    {
        "bad certificate",
        "unsupported certificate",
        "certificate revoked",
        "certificate expired",
        "certificate unknown",
        "unknown ca",
        "access denied",
        "certificate required",
    }
)


def failed(fault: ssl.SSLError, host: str) -> Failed:
    """Give the outcome of a handshake with *host* that ended with *fault*."""
    why = _ours(fault, host) if isinstance(fault, ssl.SSLCertVerificationError) else _theirs(alert(fault))
    return Failed(fault=Fault.TLS_FAILURE, detail=f"TLS failed: {why}" if why else "TLS failed")


def alert(fault: BaseException | None) -> str | None:
    """Give the words of a peer that said why it breaks off, if it did."""
    said = re.search(r"_ALERT_([A-Z0-9_]+)$", fault.reason or "") if isinstance(fault, ssl.SSLError) else None
    return said[1].lower().replace("_", " ") if said else None


def _ours(fault: ssl.SSLCertVerificationError, host: str) -> str:
    code: int = fault.verify_code
    if code in _STRANGERS:
        return "its certificate is not of an authority that is trusted here (those in tls.caSecret, else the machine's)"
    if code in _OTHER_NAMES:
        return f"its certificate is not for {host}"
    if code in _DATES:
        return f"its certificate {_DATES[code]}"
    return f"its certificate cannot be trusted (X509 error {code})"


def _theirs(said: str | None) -> str:
    if said is None:
        return ""
    return f"it refused {'our certificate' if said in _OURS else 'the handshake'}: TLS alert, {said}"
