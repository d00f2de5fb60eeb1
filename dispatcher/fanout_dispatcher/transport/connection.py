"""One connection to a target: one flight at a time, kept for the next one when the answer allows it.

On a plain connection requests are written straight to the descriptor: it saves a turn through the loop's write queue
(1 µs), and it *knows*: a write that fails before its first byte has sent nothing, so that flight may take another
connection. Once a byte is out, a lost connection is an ambiguous outcome and is said to be one (Reset), never repeated
here. What the kernel does not take at once goes through the transport, under its flow control.

An answer may come before all was written: it lands, and the connection is dropped, since what follows on it would be
read as part of the next request. Bytes that nobody asked for end the connection; they are never anybody's answer.
"""

import asyncio
import collections.abc
import os
import select
import typing

from fanout_dispatcher.transport.answer import RESET, Answer, Landed, Usual
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.transport.request import Request
from fanout_dispatcher.transport.tlsfaults import alert
from fanout_dispatcher.values.outcome import Failed, Fault

_SLICE: typing.Final = 256 * 1024  # handed to the transport at a time: it copies what it cannot send


class Home(typing.Protocol):
    """Where a connection lives between flights: its sender."""

    usual: Usual

    def free(self, connection: "Connection") -> None:
        """Take back a connection that can carry another flight."""

    def gone(self, connection: "Connection") -> None:
        """Forget a connection that had settled; called once for each."""


class Connection(asyncio.Protocol):
    """A protocol for `create_connection`, which calls ``connection_made`` before anybody sends."""

    __slots__ = (
        "_answer",
        "_fd",
        "_flight",
        "_home",
        "_paused",
        "_pending",
        "_settled",
        "_transport",
        "_usual",
        "_writing",
        "dead",
        "lost",
        "used",
    )

    def __init__(self, home: Home) -> None:
        self._home = home
        self._usual = home.usual
        self._answer = Answer()
        self._flight: Flight | None = None
        self._transport: asyncio.Transport | None = None
        self._fd = -1  # of a plain connection; -1: write through the transport (TLS)
        self._pending: collections.abc.Iterator[memoryview] | None = None
        self._paused = False
        self._writing = False  # something went through the transport: it may not have left yet
        self._settled = False
        self.used = 0.0  # loop time of the last start
        self.dead = False
        self.lost = RESET  # how it ended, for whoever wanted it and came too late

    def __repr__(self) -> str:
        state = "dead" if self.dead else "idle" if self._flight is None else f"busy with {self._flight.target}"
        return f"<Connection {state}>"

    # What its sender calls.

    def settle(self) -> bool:
        """Belong to the sender from now on; False when it is dead already, and was never the sender's."""
        self._settled = not self.dead
        return self._settled

    def send(self, flight: Flight, request: Request) -> bool:
        """Send *request* for *flight*; False when the connection is dead and provably no byte of it has left."""
        first, rest = request
        if self._fd < 0 or rest:
            if not self._send_through(first, rest):
                return False
        else:
            try:
                sent = os.write(self._fd, first)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._drop()
                return False
            if sent != len(first):
                self._queue(memoryview(first)[sent:], rest)
        self._flight = flight
        if flight.capture != self._answer.capture:
            self._answer = Answer(flight.capture)
        flight.carrier = self
        self.used = flight.started
        return True

    def stale(self) -> bool:
        """Say whether an idle connection has news, which can only be its end; asked when it has idled for a while."""
        if self._fd < 0:
            return self.dead
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(0))

    def cancel(self) -> None:
        """Drop the connection and its flight, which does not land."""
        self._flight = None
        self._drop()

    def close(self) -> None:
        """Close an idle connection in good order."""
        transport = self._leave()
        if transport is not None:
            transport.close()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; on a plain connection its descriptor too."""
        self._transport = typing.cast("asyncio.Transport", transport)
        if transport.get_extra_info("sslcontext") is None:
            self._fd = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        """Read an answer's bytes, and land the flight with its last one."""
        flight = self._flight
        if flight is None:
            self._drop()  # nobody asked
            return
        answer = self._answer
        usual = self._usual
        outcome: Landed | None
        if data == usual.data and answer.received == 0 and usual.capture == answer.capture:
            outcome = usual.outcome
            again = not (self._writing and self._unsent())
        else:
            outcome = answer.feed(data)
            if outcome is None:
                return
            again = answer.reusable and not (self._writing and self._unsent())
            if again and answer.received == len(data):
                usual.learn(data, outcome, answer.capture)
            answer.reset()
        self._flight = flight.carrier = None
        if again:
            self._home.free(self)
        else:
            self._drop()
        flight.landing.land(flight, outcome)

    def eof_received(self) -> None:
        """Take the target's orderly end: of a body without a length, of an idle connection, or too early."""
        outcome = self._answer.end()
        self._lose(outcome)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection, whatever its reason."""
        self.lost = _broken_off(exc)
        self._lose(self.lost)

    def pause_writing(self) -> None:
        """Hold back the rest of a large request."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on with it."""
        self._paused = False
        self._pump()

    # Within.

    def _send_through(self, first: bytes, rest: bytes) -> bool:
        """Send what does not fit the quick way: a large body, or anything over TLS."""
        if self.dead or self._transport is None or self._transport.is_closing():
            self._drop()
            return False
        sent = 0
        if self._fd >= 0:
            try:
                sent = os.writev(self._fd, (first, rest))
            except BlockingIOError:
                pass
            except OSError:
                self._drop()
                return False
        if sent < len(first):
            self._queue(memoryview(first)[sent:], rest)
        elif sent < len(first) + len(rest):
            self._queue(memoryview(rest)[sent - len(first) :], b"")
        return True

    def _queue(self, first: memoryview, rest: bytes) -> None:
        self._writing = True
        self._pending = _slices(first, memoryview(rest))
        self._pump()

    def _pump(self) -> None:
        while self._pending is not None and not self._paused and self._transport is not None:
            piece = next(self._pending, None)
            if piece is None:
                self._pending = None
            else:
                self._transport.write(piece)

    def _unsent(self) -> bool:
        """Say whether a part of the request is still here; clear the flag when none is."""
        left = self._pending is not None or (
            self._transport is not None and self._transport.get_write_buffer_size() > 0
        )
        self._writing = left
        return left

    def _lose(self, outcome: Landed) -> None:
        flight = self._flight
        self._flight = None
        self._drop()
        if flight is not None:
            flight.carrier = None
            flight.landing.land(flight, outcome)

    def _drop(self) -> None:
        transport = self._leave()
        if transport is not None:
            transport.abort()

    def _leave(self) -> asyncio.Transport | None:
        """Leave home, once; hand back the transport that is to be closed."""
        transport, self._transport = self._transport, None
        if not self.dead:
            self.dead = True
            self._fd = -1
            self._pending = None
            if self._settled:
                self._home.gone(self)
        return transport


def _broken_off(exc: Exception | None) -> Failed:
    """A lost connection, with the words of a target that says why (a TLS alert, RFC 8446 §6.2).

    In TLS 1.3 it looks at our certificate after our half of the handshake, when a request may be out already: what it
    made of that is not known. What it says can be told, since it has proved by then who it is.
    """
    said = alert(exc)
    return RESET if said is None else Failed(fault=Fault.RESET, detail=f"connection reset: TLS alert, {said}")


def _slices(*parts: memoryview) -> collections.abc.Iterator[memoryview]:
    for part in parts:
        for at in range(0, len(part), _SLICE):
            yield part[at : at + _SLICE]
