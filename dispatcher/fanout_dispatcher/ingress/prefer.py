"""What a client would rather have, where it has a choice (RFC 7240): ``Prefer: respond-async`` on a route that waits.

Preferences that are not known are ignored, as that document asks for; one that is followed is said in the answer.
"""

import typing

from fanout_dispatcher.ingress.request import Request

APPLIED: typing.Final = b"preference-applied: respond-async\r\n"


def asynchronous(request: Request) -> bool:
    """Whether the client wants its 202 at once; it is told that it gets it."""
    if b"prefer" not in request.fields or request.method == b"HEAD":  # whose answer would be that of the GET
        return False
    wanted = b",".join(value for name, value in request.lines if name == b"prefer")
    if not any(_token(one) == b"respond-async" for one in wanted.split(b",")):
        return False
    request.echo += APPLIED
    return True


def _token(preference: bytes) -> bytes:
    """The name of one preference, without its value and parameters."""
    return preference.partition(b";")[0].partition(b"=")[0].strip().lower()
