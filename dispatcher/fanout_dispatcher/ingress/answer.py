"""Answers as bytes, up to what only the connection knows.

An answer is made without its Date and Connection headers: whether a connection lives on is decided when the
answer's turn has come. The 202 is the hot one: everything but the receipt is laid out beforehand.
"""

import http
import typing

import msgspec

from fanout_crds.shape import BODILESS
from fanout_dispatcher.ingress import problems
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Request
from fanout_dispatcher.policies.shape import CONTENT_TYPE, Shaped
from fanout_dispatcher.values.answers import Accepted, AcceptedAll

STATUS: typing.Final = "/-/events/"
CONTINUE: typing.Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_ACCEPTED: typing.Final = (
    b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\nlocation: /-/events/%b\r\ncontent-length: %d\r\n%b"
)
_RECEIPT: typing.Final = b'{"receipt":"%b","status":"/-/events/%b"}'
_RECEIPT_BYTES: typing.Final = len(_RECEIPT % (b"", b""))

_SETTLED: typing.Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlocation: /-/events/%b\r\nfanout-receipt: %b\r\n"
    b"content-length: %d\r\n%b%b"
)

_LINES: typing.Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii") for status in http.HTTPStatus
}


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One answer: its status line and headers (complete lines), and its body."""

    head: bytes
    body: bytes


_encode: typing.Final = msgspec.msgpack.Encoder().encode
_decode: typing.Final = msgspec.msgpack.Decoder(Answer).decode


def accepted(request: Request, outcome: Accepted) -> Answer:
    """Write the 202: the receipt, and where to ask what became of the event."""
    receipt = outcome.receipt.encode("ascii")
    head = _ACCEPTED % (receipt, _RECEIPT_BYTES + 2 * len(receipt), request.echo)
    return Answer(head, _RECEIPT % (receipt, receipt))


def settled(request: Request, receipt: str, body: bytes, more: bytes = b"") -> Answer:
    """Write the 200 to a caller that waited; *more*: further header lines."""
    name = receipt.encode("ascii")
    head = _SETTLED % (name, name, len(body), more, request.echo)
    return Answer(head, b"" if request.method == b"HEAD" else body)


def nothing(request: Request) -> Answer:
    """Write the 204 to OPTIONS; what is allowed is among the lines that the request is answered with anyway."""
    return Answer(_LINES[204] + request.echo, b"")


def shaped(request: Request, receipt: str, made: Shaped, body: bytes, more: bytes = b"") -> Answer:
    """Write the answer as its route wants it; Location is the route's to set."""
    headers = (*made.headers.items(), (b"fanout-receipt", receipt.encode("ascii")))
    if made.status in BODILESS:
        headers = tuple(one for one in headers if one[0] != CONTENT_TYPE)
    lines = b"".join(b"%b: %b\r\n" % one for one in headers)
    length = b"" if made.status in {204, 304} else b"content-length: %d\r\n" % len(body)  # RFC 9110 §8.6
    head = b"".join((_line(made.status), lines, length, more, request.echo))
    return Answer(head, b"" if request.method == b"HEAD" else body)


def accepted_all(request: Request, outcome: AcceptedAll) -> Answer:
    """Write the 202 to a batch: as above, for each of its events in their order."""
    written = b",".join([_RECEIPT % (one, one) for one in map(str.encode, outcome.receipts)])
    return answer(request, 202, b'{"events":[%b]}' % written)


def known(request: Request, receipt: str) -> Answer:
    """Write the 202 to somebody whose event is known by its key, and what its targets said is not kept."""
    name = receipt.encode("ascii")
    headers = ((b"location", b"/-/events/%b" % name), (b"fanout-receipt", name), (b"fanout-answer", b"not-kept"))
    return answer(request, 202, _RECEIPT % (name, name), headers=headers)


def kept(request: Request, said: Answer) -> bytes:
    """Write *said* as it is kept: without what is of *request* alone, its own id and what a limit has left."""
    return _encode(Answer(said.head.removesuffix(request.echo), said.body))


def again(request: Request, written: bytes) -> Answer:
    """Read what was kept, as the answer to another request."""
    said = _decode(written)
    return Answer(said.head + request.echo, said.body)


def answer(
    request: Request,
    status: int,
    body: bytes,
    *,
    content_type: bytes = b"application/json",
    headers: typing.Iterable[tuple[bytes, bytes]] = (),
) -> Answer:
    """Write any other answer; one to HEAD says how long its body would be and leaves it out."""
    more = b"".join(b"%b: %b\r\n" % one for one in headers)
    head = b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b" % (
        _line(status),
        content_type,
        len(body),
        more,
        request.echo,
    )
    return Answer(head, b"" if request.method == b"HEAD" else body)


def _line(status: int) -> bytes:
    return _LINES.get(status) or b"HTTP/1.1 %d Unnamed\r\n" % status


def refused(request: Request, refusal: Refusal) -> Answer:
    """Write a refusal."""
    return answer(
        request,
        refusal.problem.status,
        problems.body(refusal, request.path or None),
        content_type=problems.MEDIA_TYPE,
        headers=refusal.headers,
    )
