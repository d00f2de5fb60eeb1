"""A certificate of ours and its key: two values of a Secret that become one credential, and what a handshake shows.

Targets are shown one, and so is the API server (`apiserver`). A credential of its own for each value would let a
rotation pair an old certificate with a new key. Whether they belong together is looked at where the route is compiled,
so that its status says it, and not the target.
"""

import contextlib
import os
import ssl
import sys
import tempfile
import typing
from collections.abc import Iterator

from fanout_crds.references import Refs, SecretKey, Unresolved

_NOT_ITS_KEY: typing.Final = "is not the key of the first certificate beside it (the leaf comes before its CA)"
_WRONG: typing.Final = {  # by OpenSSL's reason
    "KEY_VALUES_MISMATCH": _NOT_ITS_KEY,
    "NO_CERTIFICATE_ASSIGNED": _NOT_ITS_KEY,  # they are of two kinds
    "EE_KEY_TOO_SMALL": "is too short to be believed (RSA: 2048 bits at least)",
}
_UNREADABLE: typing.Final = "holds no key that can be read (expected PEM, not encrypted)"


def joined(certificate: SecretKey, key: SecretKey, refs: Refs) -> bytes | Unresolved:
    """Give certificate and key as one PEM text, if they are a pair; no sentence repeats a part of either."""
    chain, secret = refs.secret(certificate), refs.secret(key)
    if isinstance(chain, Unresolved) or isinstance(secret, Unresolved):
        return chain if isinstance(chain, Unresolved) else secret
    both = chain.rstrip() + b"\n" + secret
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=chain.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return _unusable(f"Secret {certificate} holds no certificate that can be read (expected PEM)")
    try:
        show(context, both)
    except ssl.SSLError as fault:
        return _unusable(f"Secret {key} {_WRONG.get(fault.reason, _UNREADABLE)}")
    return both


def show(context: ssl.SSLContext, both: bytes) -> None:
    """Have *context* show a certificate, with its key behind it in one PEM text. Raises ssl.SSLError.

    Python reads a key from a path only, so it gets one; it never asks a terminal for a password.
    """
    with _path(both) as path:
        context.load_cert_chain(path, password=lambda: "")


def _unusable(says: str) -> Unresolved:
    return Unresolved("SecretUnusable", says)


@contextlib.contextmanager
def _path(content: bytes) -> Iterator[str]:
    """A path to *content*: where the system has files in memory, nothing is written to a disk."""
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("pem"), "wb") as file:  # closed on exec, and then gone
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as named:
            named.write(content)
            named.flush()
            yield named.name
