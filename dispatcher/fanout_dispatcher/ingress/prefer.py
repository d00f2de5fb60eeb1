"""The preference of a client (RFC 7240): ``Prefer: respond-async``, on a route whose callers wait for targets.

Unknown preferences are ignored, and one that is honoured is named in Preference-Applied, both as RFC 7240 says.
"""

import typing

from fanout_dispatcher.ingress.request import Request

APPLIED: typing.Final = b"preference-applied: respond-async\r\n"


def asynchronous(request: Request) -> bool:
    """Whether the client prefers its 202 at once; if so, its answer will say that this was applied."""
    if b"prefer" not in request.fields or request.method == b"HEAD":  # the answer to HEAD is that of the GET
        return False
    wanted = b",".join(value for name, value in request.lines if name == b"prefer")
    if not any(_token(one) == b"respond-async" for one in wanted.split(b",")):
        return False
    request.echo += APPLIED
    return True


def _token(preference: bytes) -> bytes:
    """The name of one preference, without its value and parameters."""
    return preference.partition(b";")[0].partition(b"=")[0].strip().lower()
