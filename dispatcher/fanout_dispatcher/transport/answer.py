"""Reads a target's answers, one after the other, from the bytes of a connection.

httptools (llhttp, strict) parses; this module decides what an answer *means* for its flight: a final status whose last
body byte was read, an answer over a cap, or no HTTP at all. Interim answers (1xx) are skipped, a few of them.
Bodies are counted and dropped, never decompressed; only for a flight that asks for it are they kept (keeper.py). What
the connection may be used for afterwards is said by ``reusable``: only an answer that ends exactly where its bytes end
leaves a connection fit for another.

The same bytes as an earlier answer mean the same as before; the connection uses that (``Usual``) to skip the parser,
which matters because most targets answer an accepted event with the same few bytes.
"""

import typing

import httptools

from fanout_dispatcher.transport.keeper import Keeper
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault

HEAD_BYTES: typing.Final = 32 * 1024
HEADERS: typing.Final = 100
BODY_BYTES: typing.Final = 1024 * 1024
INTERIM: typing.Final = 16
RETRY_AFTER_BYTES: typing.Final = 128
USUAL_BYTES: typing.Final = 1024
_LENGTHS: typing.Final = frozenset({len("content-length"), len("transfer-encoding"), len("retry-after")})

TOO_LARGE: typing.Final = Failed(fault=Fault.ANSWER_TOO_LARGE, detail="answer too large")
NO_HTTP: typing.Final = Failed(fault=Fault.PROTOCOL_ERROR, detail="not an HTTP answer")
RESET: typing.Final = Failed(fault=Fault.RESET, detail="connection reset")

Landed = Delivered | Failed

_DELIVERED: typing.Final = {status: Delivered(status) for status in range(200, 300)}


def _over(length: bytes) -> bool:
    digits = length.strip().lstrip(b"0")  # llhttp has refused what is not a number
    return len(digits) > 18 or (digits.isdigit() and int(digits) > BODY_BYTES)


class Usual:
    """The last whole answer that came in one piece and left its connection reusable, and what it meant.

    ``capture`` is how much of it was kept: to a flight that asks for another measure it means something else.
    """

    __slots__ = ("capture", "data", "outcome")

    def __init__(self) -> None:
        self.capture = 0
        self.data = b""
        self.outcome: Landed = RESET

    def learn(self, data: bytes, outcome: Landed, capture: int) -> None:
        """Remember *data* if it is small: comparing must stay cheaper than parsing."""
        if len(data) <= USUAL_BYTES:
            self.capture = capture
            self.data = data
            self.outcome = outcome


class _Stop(Exception):
    """Raised in a parser's callback: nothing after this byte matters."""


class Answer:
    """One connection's reader. ``feed`` until it says an outcome, then ``reset`` for the next answer.

    *capture*: how many bytes of a body are kept, 0 for nothing of the answer at all.
    """

    __slots__ = (
        "_complete", "_delimited", "_fault", "_head", "_headers", "_in_body", "_interim", "_keeper", "_length",
        "_parser", "_retry_after", "_status", "capture", "received", "reusable",
    )  # fmt: skip

    def __init__(self, capture: int = 0) -> None:
        self.capture = capture
        self._keeper = Keeper(self, capture) if capture else None
        self._parser = httptools.HttpResponseParser(self._keeper or self)
        self.reset()

    def reset(self) -> None:
        """Get ready for the next answer."""
        self.received = 0
        self.reusable = False
        self._complete = False
        self._delimited = False
        self._in_body = False
        self._fault: Failed | None = None
        self._head = 0
        self._headers = 0
        self._interim = 0
        self._length = b""
        self._status = 0
        self._retry_after: str | None = None
        if self._keeper is not None:
            self._keeper.reset()

    def feed(self, data: bytes) -> Landed | None:
        """Take the next bytes; the outcome once the answer has ended, None while it has not."""
        self.received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.reusable = False
            if not self._complete:
                return self._fault or NO_HTTP
        if self._complete:
            return self._outcome()
        if self.received > (HEAD_BYTES + BODY_BYTES if self._in_body else HEAD_BYTES):
            return TOO_LARGE
        return None

    def end(self) -> Landed:
        """Say what the answer was when the target has sent its last byte (an orderly end of the stream)."""
        self.reusable = False
        return self._outcome() if self._in_body and not self._delimited else RESET

    def _outcome(self) -> Landed:
        status = self._status
        if self._keeper is None:
            return _DELIVERED.get(status) or Failed(status=status, retry_after=self._retry_after)
        captured = self._keeper.captured(status)
        if status in _DELIVERED:
            return Delivered(status, captured)
        return Failed(status=status, retry_after=self._retry_after, answer=captured)

    def _stop(self, fault: Failed) -> typing.NoReturn:
        self._fault = fault
        raise _Stop

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Refuse a second answer that nobody asked for."""
        if self._complete:
            self._stop(NO_HTTP)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the header, and take what framing and retries need."""
        self._headers += 1
        self._head += len(name) + len(value)
        if self._headers > HEADERS or self._head > HEAD_BYTES:
            self._stop(TOO_LARGE)
        if len(name) not in _LENGTHS or self._in_body:  # most names are told by their length; a trailer means nothing
            return
        match name.lower():
            case b"content-length":
                self._delimited = True
                self._length = value
            case b"transfer-encoding":
                self._delimited = value.lower().rstrip().endswith(b"chunked")
            case b"retry-after":
                self._retry_after = value[:RETRY_AFTER_BYTES].strip().decode("latin-1")
            case _:
                pass

    def on_headers_complete(self) -> None:
        """Tell an interim answer from the final one."""
        self._status = status = self._parser.get_status_code()
        if status >= 200:
            self._in_body = True
            if status not in {204, 304} and _over(self._length):  # those two have no body, whatever they declare
                self._stop(TOO_LARGE)
            return
        self._interim += 1
        if status < 100 or status == 101 or self._interim > INTERIM:  # we never ask to switch protocols
            self._stop(NO_HTTP)
        self._delimited = False
        self._length = b""
        self._retry_after = None

    def on_message_complete(self) -> None:
        """Note the last byte of the final answer."""
        if self._in_body:
            self._complete = True
            self.reusable = self._parser.should_keep_alive()
