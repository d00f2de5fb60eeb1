"""A request's head, checked against RFC 9112 where the parser is more lenient than a door to the internet should be.

llhttp refuses bare LF, NUL, obs-fold, two lengths, a length beside chunks and malformed numbers by itself. What it
lets through is refused here: other versions (``HTTP/2.0``, RTSP), a transfer coding beside chunked, chunks in
HTTP/1.0, a length with more zeros in front than a number needs, a missing or repeated Host, absolute-form and
authority-form targets, and repeated headers of which there can be only one: two readers that pick different ones are
how requests are smuggled.
"""

import functools
import re
import typing

import msgspec

from fanout_dispatcher.ingress import problems
from fanout_dispatcher.ingress.engine import Route
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.values import correlation
from fanout_dispatcher.values.parameters import Texts

Lines = list[tuple[bytes, bytes]]

SINGLE: typing.Final = frozenset(
    b"host content-length content-type transfer-encoding authorization proxy-authorization expect date from "
    b"traceparent x-request-id idempotency-key max-forwards referer user-agent".split()
)
LENGTH_DIGITS: typing.Final = 19  # no body needs more, and Python makes no number of more than 4,300
_NEVER: typing.Final = frozenset({b"CONNECT", b"TRACE"})
_WITH_BODY: typing.Final = frozenset({b"POST", b"PUT", b"PATCH"})
_HOST: typing.Final = re.compile(rb"(?:\[[0-9A-Fa-f:.%A-Za-z]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(?::[0-9]*)?")

_HOSTS: typing.Final = 256  # of which the look is remembered: a dispatcher has a few names


class Request(msgspec.Struct, eq=False):
    """One request as the connection hands it over: the head with lower-case names, and the body once it is complete."""

    method: bytes
    path: str
    lines: Lines
    fields: dict[bytes, bytes]
    keep_alive: bool
    old: bool  # HTTP/1.0: keep-alive must be said
    body: bytes = b""
    echo: bytes = b""  # header lines to answer with: X-Request-Id, and what a limit has left
    route: Route | None = None
    refusal: Refusal | None = None
    limit: int = 0  # of the body, in bytes
    query: bytes = b""  # nobody repeats it: it may hold secrets
    parameters: tuple[Texts, Texts] | None = None  # what is kept of path and query, where anything is
    peer: str = ""  # whom it comes from, as the port counts connections; empty for a Unix socket

    @property
    def length(self) -> int | None:
        """The body's length as announced; None when it comes in chunks. Only of a head whose framing is not refused."""
        if b"transfer-encoding" in self.fields:
            return None
        return int(self.fields.get(b"content-length", b"0"))


def unread() -> Request:
    """Stand in for a request whose head never ended, so that there is something to answer."""
    return Request(b"", "", [], {}, False, False)


def read(method: bytes, target: bytes, version: str, lines: Lines, *, keep_alive: bool, peer: str = "") -> Request:
    """Make a request of what the parser found; ``refusal`` is set when the head breaks a rule."""
    fields = dict(lines)
    path, query = target, b""
    if b"?" in target:
        path, _, query = target.partition(b"?")
    request = Request(method, path.decode("ascii", "replace"), lines, fields, keep_alive, version == "1.0")
    request.query = query
    request.peer = peer
    request.refusal = _fault(method, target, version, request)
    if b"x-request-id" in fields and correlation.repeatable(fields[b"x-request-id"]):
        request.echo = b"x-request-id: %b\r\n" % fields[b"x-request-id"]
    return request


def _fault(method: bytes, target: bytes, version: str, request: Request) -> Refusal | None:
    """Find the first rule that the head breaks."""
    fields = request.fields
    if version not in {"1.1", "1.0"}:
        if version == "0.9":
            return problems.MALFORMED("HTTP/0.9 is not spoken here: send HTTP/1.1 or HTTP/1.0")
        return problems.VERSION(f"HTTP/{version} is not spoken here: send HTTP/1.1 or HTTP/1.0")
    if len(fields) != len(request.lines) and (repeated := _repeated(request.lines)) is not None:
        return problems.MALFORMED(f"the header {repeated.decode('ascii')} is there more than once")
    if method != b"POST" and method in _NEVER:
        return problems.METHOD(f"{method.decode('ascii')} is not served", fatal=True)
    if not target.startswith(b"/") or b"#" in target:
        return problems.MALFORMED("the request target must be a path, such as /shop/orders")
    return _unhosted(fields, request.old) or _badly_framed(request)


def _unhosted(fields: dict[bytes, bytes], old: bool) -> Refusal | None:
    host = fields.get(b"host")
    if host is None:
        return None if old else problems.MALFORMED("the Host header is missing")
    return None if _is_host(host) else problems.MALFORMED("the Host header is not a host and port")


@functools.lru_cache(_HOSTS)
def _is_host(said: bytes) -> bool:
    return _HOST.fullmatch(said) is not None


def _badly_framed(request: Request) -> Refusal | None:
    fields = request.fields
    coding = fields.get(b"transfer-encoding")
    if coding is None:
        if request.old and request.method in _WITH_BODY and b"content-length" not in fields:  # RFC 1945 §8.3
            method = request.method.decode("ascii")
            return problems.MALFORMED(f"a {method} in HTTP/1.0 needs a Content-Length: without it its body has no end")
        if len(fields.get(b"content-length", b"")) > LENGTH_DIGITS:
            return problems.MALFORMED(f"Content-Length has more than {LENGTH_DIGITS} digits")
        return None
    if request.old:
        return problems.MALFORMED("HTTP/1.0 knows no Transfer-Encoding")
    if b"content-length" in fields:
        return problems.MALFORMED("Transfer-Encoding and Content-Length contradict each other")
    return None if coding.lower() == b"chunked" else problems.MALFORMED("the only Transfer-Encoding served is chunked")


def _repeated(lines: Lines) -> bytes | None:
    """Find a header that is there twice although only one can count; CloudEvents attributes are such."""
    seen: set[bytes] = set()
    for name, _ in lines:
        if name in seen and (name in SINGLE or name.startswith(b"ce-")):
            return name
        seen.add(name)
    return None
