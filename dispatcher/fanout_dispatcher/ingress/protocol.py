"""One connection: requests in, answers out in the same order, and never held longer than the client deserves.

The parser's callbacks only collect (intake.py); here requests are begun, at most ``pipelined`` at a time, and their
answers written as their turn comes. When a client runs ahead of us we stop reading; when it does not read, we stop
too. The deadline is a number that depends on what the connection is doing; the port's sweep looks at it. A client
that has gone changes nothing for the event it sent: the answer is dropped, the event is not.
"""

import asyncio
import collections
import typing

from fanout_dispatcher.ingress import answer, problems
from fanout_dispatcher.ingress.answer import CONTINUE
from fanout_dispatcher.ingress.exchange import Exchange
from fanout_dispatcher.ingress.intake import BODY, HEAD, QUIET, Data, Intake
from fanout_dispatcher.ingress.port import NEVER, Port
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Request, unread

PIECE: typing.Final = 16 * 1024  # the parser cannot pause, so this bounds how far a pipelining client can run ahead
PIECES: typing.Final = 2  # parsed in one turn of the loop: some 20 ms of the smallest requests, all refused at once
IDLE, BUSY, WRITING, LINGERING, PARTING = QUIET, 3, 4, 5, 6  # beside the intake's HEAD and BODY
_CLOSE: typing.Final = b"connection: close\r\n\r\n"
_KEEP: typing.Final = b"connection: keep-alive\r\n\r\n"
_END: typing.Final = b"\r\n"


class Connection(asyncio.Protocol):
    """Serves one client."""

    __slots__ = (
        "begun",
        "choked",
        "deadline",
        "ended",
        "held",
        "intake",
        "later",
        "lost",
        "paused",
        "phase",
        "port",
        "pumping",
        "queue",
        "seconds",
        "stash",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, port: Port) -> None:
        settings = port.settings
        self.port = port
        self.intake = Intake(settings, port.acceptor.open)
        self.queue: collections.deque[Exchange] = collections.deque()  # begun, not yet answered
        self.stash: Data = b""  # read, not yet parsed
        self.seconds = (  # by phase
            settings.idle_seconds,
            settings.head_seconds,
            settings.body_seconds,
            NEVER,  # BUSY: it is the engine that owes
            settings.write_seconds,
            settings.linger_seconds,
            settings.write_seconds,  # PARTING: closed as idle, but for what the client has not read
        )
        self.phase = IDLE
        self.begun = 0
        self.deadline = port.now + settings.head_seconds  # who connects says something, or goes
        self.held = 0
        self.choked = False
        self.paused = False
        self.pumping = False
        self.later = False  # the rest of the stash is for another turn of the loop
        self.ended = False  # the client sends no more
        self.lost = False

    # --- what the transport calls ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in, unless a cap is reached."""
        self.transport = typing.cast(asyncio.Transport, transport)
        over = self.port.enter(self, transport.get_extra_info("peername"))
        if over is not None:
            self.intake.deaf = True
            self.lost = True  # nothing but this one answer
            said = answer.refused(unread(), problems.BUSY(over, headers=problems.retry_after(1)))
            self.transport.write(b"".join((said.head, self.port.date, _CLOSE, said.body)))
            self.transport.close()
        else:
            self.intake.peer = self.port.guests[self]

    def data_received(self, data: bytes) -> None:
        """Read on, and begin what is complete."""
        if self.intake.deaf:
            return  # lingering: listened to, so that our answer is not reset, but not heard
        if self.stash or len(data) > PIECE:
            self.stash = b"".join((self.stash, data)) if self.stash else data
        else:
            self.intake.feed(data)
        self._pump()

    def eof_received(self) -> bool:
        """Half a close: what was asked is still answered."""
        self.ended = True
        if self.phase == LINGERING:
            return False
        self._pump()
        return bool(self.queue or self.intake.ready or self.stash) and not self.lost

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; events it was owed an answer for are kept."""
        self.lost = True
        self.intake.deaf = True
        self.stash = b""
        self._hold(0)
        for exchange in self.queue:
            exchange.leave()
        self.port.leave(self)

    def pause_writing(self) -> None:
        """The client does not read: neither do we, and not for ever."""
        self.choked = True
        self._settle()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.choked = False
        self._pump()

    # --- what the port calls -----------------------------------------------------------------------------------------

    def expire(self) -> None:
        """The deadline of what this connection is doing has passed."""
        if self.paused and self.phase in {HEAD, BODY}:
            self.deadline = self.port.now + self.seconds[self.phase]  # it is us who do not read
            return
        if self.phase == PARTING:
            self.transport.abort()  # and was counted when it was closed
            return
        self.port.meter.expired += 1
        if self.phase == HEAD:
            self.intake.refuse(problems.TIMEOUT("the head of the request did not arrive in time"))
        elif self.phase == BODY:
            self.intake.refuse(problems.TIMEOUT("the body of the request did not arrive in time"))
        elif self.phase == IDLE:
            self.transport.close()
            self._enter(PARTING)
            return
        else:
            self.transport.abort()
            return
        self._pump()

    def drain(self) -> None:
        """Go at once if nothing is under way; else the last answer says that it is the last."""
        idle = not self.queue and not self.intake.ready and not self.stash and self.intake.phase == QUIET
        if idle and self.phase != LINGERING:
            self.transport.close()

    def abort(self) -> None:
        """Go."""
        self.transport.abort()

    # --- requests ----------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Begin what is complete and parse what is stashed, as far as the bound allows."""
        self.pumping = True  # answers that come inside accept need not call us: this loop goes on by itself
        ready, queue, most = self.intake.ready, self.queue, self.port.settings.pipelined
        pieces = 0
        while True:
            while ready and len(queue) < most:
                self._begin(ready.popleft())
            if ready or self.intake.deaf:
                break
            if self.stash:
                if pieces == PIECES:
                    self._pump_later()
                    break
                pieces += 1
                self._parse_piece()
            elif self.ended:
                self.intake.cut()
            else:
                break
        self.pumping = False
        if not self.lost:
            self._settle()

    def _pump_later(self) -> None:
        """Let others have the loop: whoever pipelines what is answered at once would keep it for a whole read."""
        if not self.later:
            self.later = True
            self.port.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self.later = False
        self._pump()

    def _parse_piece(self) -> None:
        stash = memoryview(self.stash)
        size = max(PIECE, self.intake.missing)
        self.stash = stash[size:]
        self.intake.feed(stash[:size])

    def _begin(self, request: Request) -> None:
        self.port.meter.requests += 1
        exchange = Exchange(self, request)
        self.queue.append(exchange)
        self.port.acceptor.begin(exchange)

    def refused(self, refusal: Refusal) -> None:
        """Count a no by its kind."""
        refused, kind = self.port.meter.refused, (refusal.problem.slug, refusal.problem.status)
        refused[kind] = refused.get(kind, 0) + 1

    # --- answers -----------------------------------------------------------------------------------------------------

    def answered(self, exchange: Exchange) -> None:
        """Write what can be written: this answer, when its turn has come, and those that waited for it."""
        queue = self.queue
        if self.lost or not queue or queue[0] is not exchange:
            return
        parts: list[bytes] = []
        last, request = False, exchange.request
        while queue and not last and (said := queue[0].answer) is not None:
            request = queue.popleft().request
            last = self._is_last(request)
            manner = _CLOSE if last else _KEEP if request.old else _END
            parts += (said.head, self.port.date, manner, said.body)
        self.transport.write(b"".join(parts))
        if last:
            self._finish(request)
        elif not self.pumping:
            self._pump()

    def _is_last(self, request: Request) -> bool:
        """Tell whether the connection ends with the answer to *request*."""
        if not request.keep_alive:
            return True
        if not (self.port.draining or self.intake.deaf) or self.queue:
            return False
        return not self.intake.ready and not self.stash and self.intake.phase == QUIET

    def _finish(self, request: Request) -> None:
        """Close; where more may be on its way to us, listen a while first, or the reset would overtake our answer."""
        self.intake.deaf = True
        self.stash = b""
        self.queue.clear()
        more = (request.refusal is not None or self.port.draining) and not self.ended
        if not more or not self.transport.can_write_eof():
            self.transport.close()
            self._enter(WRITING)  # a close waits until all is read: not for ever
            return
        self.transport.write_eof()
        self._resume()
        self._enter(LINGERING)

    # --- pace --------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Make reading and deadline fit what there is to do."""
        intake, queue = self.intake, self.queue
        if self.phase == LINGERING or self.transport.is_closing():
            return
        if intake.expecting and not queue:
            intake.expecting = False
            self.transport.write(CONTINUE)
        if intake.held != self.held:
            self._hold(intake.held)
        behind = self.choked or bool(self.stash) or bool(intake.ready) or len(queue) >= self.port.settings.pipelined
        if behind != self.paused:
            self._pause() if behind else self._resume()
        phase = intake.phase
        if self.choked:
            phase = WRITING
        elif phase == QUIET and queue:
            phase = BUSY
        if phase != self.phase or intake.begun != self.begun:  # in IDLE too: what is answered at once never leaves it
            self._enter(phase)

    def _enter(self, phase: int) -> None:
        self.phase = phase
        self.begun = self.intake.begun
        self.deadline = self.port.now + self.seconds[phase]

    def _hold(self, size: int) -> None:
        """Account for an unfinished body; what would be too much for the process is refused."""
        port = self.port
        port.bodies += size - self.held
        self.held = size
        if size and port.bodies > port.settings.bodies_bytes:
            self._refuse(problems.BUSY("too many bodies are arriving at once", headers=problems.retry_after(1)))

    def _refuse(self, refusal: Refusal) -> None:
        self.intake.refuse(refusal)
        self._hold(0)
        self._pump()

    def _pause(self) -> None:
        self.paused = True
        self.transport.pause_reading()

    def _resume(self) -> None:
        if self.paused:
            self.paused = False
            self.transport.resume_reading()
