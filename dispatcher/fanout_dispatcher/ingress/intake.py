"""From bytes to requests: the parser's callbacks, and the caps that hold while a request is still arriving.

The parser (llhttp, strict) splits the stream; what it calls complete is appended to ``ready`` and answered outside
of its callbacks. A request that is refused beyond mending makes the intake *deaf*: nothing that follows on the
connection is believed.

The parser believes in ``Upgrade`` and would skip the body of such a request; RFC 9110 §7.8 lets a server ignore the
wish (Java's HTTP client adds it to its first POST), so a fresh parser is told the same framing without it.
"""

import collections
import typing

import httptools

from fanout_dispatcher.ingress import problems
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Lines, Request, read, unread
from fanout_dispatcher.ingress.settings import Settings

Data = bytes | memoryview
Judge = typing.Callable[[Request], Refusal | None]

QUIET, HEAD, BODY = 0, 1, 2  # what is arriving: nothing, a head, a body
_HEAD_FRAME: typing.Final = len(b"  HTTP/1.1\r\n\r\n")
_WIRE_PER_BYTE: typing.Final = 8  # chunks of one byte cost six; more than this is somebody's joke


class Intake:
    """Reads the requests of one connection."""

    __slots__ = (
        "begun",
        "buffer",
        "deaf",
        "expecting",
        "fed",
        "grown",
        "judge",
        "lines",
        "parser",
        "peer",
        "phase",
        "ready",
        "replaying",
        "request",
        "settings",
        "since",
        "size",
        "target",
        "trailed",
        "trailers",
        "unsure",
        "upgrading",
    )

    def __init__(self, settings: Settings, judge: Judge) -> None:
        self.settings = settings
        self.judge = judge
        self.parser = httptools.HttpRequestParser(self)
        self.ready: collections.deque[Request] = collections.deque()
        self.phase = QUIET
        self.begun = 0  # requests so far
        self.peer = ""  # whom all of them come from
        self.deaf = False
        self.expecting = False  # the client waits for 100 Continue
        self.upgrading = False
        self.replaying = False
        self.request: Request | None = None  # whose body is arriving
        self.target = b""
        self.lines: Lines = []
        self.buffer: bytes | bytearray = b""
        self.size = 0  # of the body so far
        self.trailers = 0  # lines after the body so far
        self.trailed = 0  # and their bytes
        self.fed = 0  # bytes since the read in which the head or body began, all of that one included; 0 when QUIET
        self.unsure = (
            0  # how many of these may have belonged to what was before: the parser does not say where it began
        )
        self.grown = 0  # the body's size when it was last measured
        self.since = 0  # what had been fed when it was last seen to grow

    @property
    def held(self) -> int:
        """Bytes of an unfinished body in memory."""
        return len(self.buffer)

    @property
    def missing(self) -> int:
        """How much of an announced body is still to come."""
        if self.request is None:
            return 0
        return (self.request.length or self.size) - self.size

    def feed(self, data: Data) -> None:
        """Read on. What breaks HTTP becomes a refusal in ``ready``."""
        begun, phase, rest = self.begun, self.phase, data
        self.fed += len(data)
        while not self.deaf:
            try:
                self.parser.feed_data(rest)
                break
            except httptools.HttpParserUpgrade as wish:
                rest = rest[wish.args[0] :]
                self._restart()
            except httptools.HttpParserCallbackError:
                raise  # a fault of ours, not the client's
            except httptools.HttpParserError as wrong:
                if not self.deaf:
                    self.refuse(_malformed(str(wrong)))
        if self.phase == QUIET:
            self.fed = 0
        else:
            if phase != self.phase or begun != self.begun:  # it began in this read, whose first bytes may be others'
                self.fed = len(data)
                self.unsure = 0 if phase == QUIET and begun + 1 == self.begun and self.phase == HEAD else len(data)
                self.since = 0
            self._measure(self.fed - self.unsure)

    def refuse(self, refusal: Refusal) -> None:
        """Answer *refusal* to what is arriving, and hear no more."""
        request = unread() if self.request is None else self.request
        request.refusal = refusal
        request.keep_alive = False
        self.deaf = True
        self._done(request)

    def cut(self) -> None:
        """The client will send no more."""
        if self.phase != QUIET:
            self.refuse(problems.MALFORMED("the connection ended before the request did"))
        self.deaf = True

    # --- what the parser calls ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Forget the request before."""
        self.phase = HEAD
        self.begun += 1
        self.target = b""

    def on_url(self, part: bytes) -> None:
        """Take the request target, or a part of it."""
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; after the body it is a trailer, which is counted and not kept."""
        if self.phase == HEAD:
            self.lines.append((name.lower(), value.rstrip()))
        elif not self.deaf:
            self._count_trailer((name, value))

    def on_headers_complete(self) -> None:
        """Judge the head, before any of the body is read."""
        self.phase = BODY
        lines, self.lines = self.lines, []
        if self.replaying:
            self.replaying = False
            return
        if self.deaf:
            return
        parser = self.parser
        request = read(
            parser.get_method(),
            self.target,
            parser.get_http_version(),
            lines,
            keep_alive=parser.should_keep_alive(),
            peer=self.peer,
        )
        self.size = self.trailers = self.trailed = 0
        if (over := self._too_large(lines)) is not None:
            self.refuse(over)  # nothing of such a head is repeated
            return
        self.request = request
        refusal = request.refusal or self.judge(request)
        if refusal is not None:
            self._turn_away(request, refusal)
        elif b"expect" in request.fields and not request.old:
            self._expect(request)
        self.upgrading = b"upgrade" in request.fields and parser.should_upgrade()

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body, within the route's cap; of a refused request nothing is kept."""
        request = self.request
        if request is None:
            return
        self.expecting = False
        self.size += len(part)
        if request.refusal is not None:
            if self.size > self.settings.discard_bytes:
                self.refuse(request.refusal)
        elif self.size > request.limit:
            self.refuse(problems.BODY_TOO_LARGE(f"the body has more than the {request.limit} bytes this route takes"))
        elif not self.buffer:
            self.buffer = part
        elif self.size == request.length:
            self.buffer = b"".join((self.buffer, part))  # the last one, and bytes at once: a body is often two reads
        else:
            if isinstance(self.buffer, bytes):
                self.buffer = bytearray(self.buffer)
            self.buffer += part  # one growing buffer: a list of tiny chunks would weigh twenty times the body

    def on_message_complete(self) -> None:
        """Hand the request over."""
        request = self.request
        if request is None or self.upgrading:
            return
        if request.refusal is None:
            request.body = bytes(self.buffer)  # no copy when it came in one piece
        self.deaf = not request.keep_alive
        self._done(request)

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _done(self, request: Request) -> None:
        self.request = None
        self.buffer = b""
        self.expecting = False
        self.phase = QUIET
        self.ready.append(request)

    def _turn_away(self, request: Request, refusal: Refusal) -> None:
        """Refuse at the head. A small body is read and dropped, so that the connection lives on."""
        request.refusal = refusal
        if refusal.fatal:  # before the length is asked for: it may be what is wrong
            self.refuse(refusal)
            return
        length = request.length
        waits = b"expect" in request.fields and length != 0  # with its body, for an answer: this is it
        if waits or (length is not None and length > self.settings.discard_bytes):
            self.refuse(refusal)

    def _expect(self, request: Request) -> None:
        if request.fields[b"expect"].lower() == b"100-continue":
            self.expecting = True
        else:
            self.refuse(problems.EXPECTATION("the only expectation met is 100-continue"))

    def _too_large(self, lines: Lines) -> Refusal | None:
        if len(lines) > self.settings.headers:
            return problems.HEAD_TOO_LARGE(f"a request has at most {self.settings.headers} headers")
        most = self.settings.head_bytes  # counted only where the reads since the head began could hold so much
        if self.fed > most and len(self.target) + sum(map(_wire, lines)) + _HEAD_FRAME > most:
            return self._head_too_large()
        return None

    def _count_trailer(self, line: tuple[bytes, bytes]) -> None:
        """Bound what follows a body as a head is bounded: a client could send it for ever."""
        self.trailers += 1
        self.trailed += _wire(line)
        if self.trailers > self.settings.headers or self.trailed > self.settings.head_bytes:
            self._refuse_framing()

    def _measure(self, fed: int) -> None:
        """Look at what is still arriving after *fed* bytes: an endless head, or a body that is mostly framing.

        The parser keeps a line until its end has come: so one that does not end, after however large a body, has to be
        noticed by how long the body did not grow.
        """
        most = self.settings.head_bytes
        if self.phase == HEAD and fed > most:
            self.refuse(self._head_too_large())
        elif self.phase == BODY:
            if self.size != self.grown:
                self.grown, self.since = self.size, fed
            if fed > most + _WIRE_PER_BYTE * self.size or fed - self.since > most:
                self._refuse_framing()

    def _refuse_framing(self) -> None:
        """Refuse what came around the body, unless the request has been refused for another reason."""
        if self.request is not None and self.request.refusal is not None:
            self.refuse(self.request.refusal)
        elif self.trailers:
            most, size = self.settings.headers, self.settings.head_bytes
            self.refuse(problems.HEAD_TOO_LARGE(f"a body has at most {most} trailers, of {size} bytes together"))
        else:
            self.refuse(problems.MALFORMED("the chunks are mostly framing"))

    def _head_too_large(self) -> Refusal:
        return problems.HEAD_TOO_LARGE(f"request line and headers have at most {self.settings.head_bytes} bytes")

    def _restart(self) -> None:
        """Go on with a parser that has not heard of the upgrade: the same framing, and nothing else."""
        self.upgrading = False
        if self.deaf or self.request is None:
            return
        length = self.request.length
        framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
        self.parser = httptools.HttpRequestParser(self)
        self.replaying = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n" % framing)


def _wire(line: tuple[bytes, bytes]) -> int:
    return len(line[0]) + len(line[1]) + 4


def _malformed(wrong: str) -> Refusal:
    """Tell a version we do not speak from what is no HTTP at all."""
    if "PRI" in wrong or "HTTP version" in wrong:
        return problems.VERSION("only HTTP/1.1 and HTTP/1.0 are spoken here")
    return problems.MALFORMED(f"not valid HTTP/1.1: {wrong}")
