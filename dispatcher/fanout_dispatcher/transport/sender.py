"""The sender of one target: it puts flights on connections and keeps the connections warm.

Idle connections are a stack, the warmest on top, so that after a burst the others grow old and are closed. There are
never more connections than the bulkhead lets flights in; a flight beyond that (an old lane draining beside a new one)
waits its turn. No timer runs per send: deadlines are the lane's, which calls ``cancel``.
"""

import asyncio
import functools
import typing

from fanout_dispatcher.transport.answer import RESET, Usual
from fanout_dispatcher.transport.connect import Dialer
from fanout_dispatcher.transport.connection import Connection
from fanout_dispatcher.transport.headers import Illegal
from fanout_dispatcher.transport.mapping import Mapped, Unmade
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.transport.request import Request, Template
from fanout_dispatcher.values.outcome import Failed, Fault, Outcome, Reason, Refused

IDLE: typing.Final = 60.0  # s after which a connection that nobody uses is closed
_SWEEP: typing.Final = 15.0  # s between looks at the idle ones
_COOL: typing.Final = 1.0  # s after which an idle connection is asked whether it still lives before it is used


class _Carrier(typing.Protocol):
    def cancel(self) -> object: ...


class HttpSender:
    """Sends to one target over HTTP/1.1. *limit*: the most connections; *idle*: seconds to keep an unused one."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        template: Template | Mapped,
        dialer: Dialer,
        *,
        limit: int,
        idle: float = IDLE,
    ) -> None:
        self.usual = Usual()
        self._loop = loop
        self._template = template
        self._dialer = dialer
        self._limit = limit
        self._keep = idle
        self._idle: list[Connection] = []
        self._open = 0  # connections and dials
        self._waiting: dict[Flight, None] = {}  # in order
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<HttpSender open={self._open} idle={len(self._idle)} waiting={len(self._waiting)}>"

    def start(self, flight: Flight) -> None:
        """Send; the flight lands later, once."""
        request = self._render(flight)
        if request is None:
            return
        idle = self._idle
        while idle:
            connection = idle.pop()
            if flight.started - connection.used > _COOL and connection.stale():
                connection.cancel()
            elif connection.send(flight, request):
                return
        if self._closed:
            self._land_soon(flight, Refused("the sender is closed"))
        elif self._open < self._limit:
            self._dial(flight)
        else:
            flight.carrier = None
            self._waiting[flight] = None

    def cancel(self, flight: Flight) -> None:
        """Forget the flight, and drop what carries it."""
        self._waiting.pop(flight, None)
        carrier = typing.cast("_Carrier | None", flight.carrier)
        flight.carrier = None
        if carrier is not None:
            carrier.cancel()

    def close(self) -> None:
        """Close idle connections now, busy ones when they have landed."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    # What connections call.

    def free(self, connection: Connection) -> None:
        """Give the connection to the flight that waits longest, or keep it."""
        if self._waiting:
            self._serve(connection)
        elif self._closed:
            connection.close()
        else:
            self._idle.append(connection)
            if self._timer is None:
                self._timer = self._loop.call_later(_SWEEP, self._sweep)

    def gone(self, connection: Connection) -> None:
        """Forget the connection; its place is free."""
        if connection in self._idle:
            self._idle.remove(connection)
        self._vacant()

    # Within.

    def _render(self, flight: Flight) -> Request | None:
        try:
            return self._template.render(flight.event, flight.number, flight.earlier)
        except Unmade as why:
            self._land_soon(flight, Refused(str(why), Reason.EXPRESSION_FAILED))
            return None
        except Illegal as why:
            self._land_soon(flight, Failed(fault=Fault.PROTOCOL_ERROR, detail=str(why)))
            return None

    def _serve(self, connection: Connection) -> None:
        """Send the flight that waits longest; when none can be sent, the connection is idle."""
        while self._waiting and not connection.dead:
            flight = next(iter(self._waiting))
            request = self._render(flight)
            if request is None:
                del self._waiting[flight]
            elif connection.send(flight, request):
                del self._waiting[flight]
                return
        if not connection.dead:  # a dead one has left already, and its place has gone to the flight
            self.free(connection)

    def _dial(self, flight: Flight) -> None:
        self._open += 1
        dial = self._loop.create_task(self._dialer.dial(functools.partial(Connection, self)))
        flight.carrier = dial
        dial.add_done_callback(functools.partial(self._dialled, flight))

    def _dialled(self, flight: Flight, dial: asyncio.Task[Connection | Failed | Refused]) -> None:
        found: Connection | Failed | Refused = RESET if dial.cancelled() else dial.result()
        if isinstance(found, Connection) and not found.settle():
            found = found.lost  # it ended while it was being made
        if not isinstance(found, Connection):
            self._vacant()
        if flight.carrier is not dial:  # cancelled while this was under way
            if isinstance(found, Connection):
                self.free(found)
            return
        flight.carrier = None
        if isinstance(found, Connection):
            self._board(flight, found)
        else:
            flight.landing.land(flight, found)

    def _board(self, flight: Flight, connection: Connection) -> None:
        """Put a flight on the connection that was made for it."""
        request = self._render(flight)
        if request is None:
            self.free(connection)
        elif not connection.send(flight, request):
            flight.landing.land(flight, connection.lost)

    def _land_soon(self, flight: Flight, outcome: Outcome) -> None:
        flight.carrier = self._loop.call_soon(self._land, flight, outcome)

    def _land(self, flight: Flight, outcome: Outcome) -> None:
        flight.carrier = None
        flight.landing.land(flight, outcome)

    def _vacant(self) -> None:
        """A place is free: dial for the flight that waits longest."""
        self._open -= 1
        if self._waiting:
            flight = next(iter(self._waiting))
            del self._waiting[flight]
            self._dial(flight)

    def _sweep(self) -> None:
        """Close what has idled too long: the oldest are at the bottom."""
        self._timer = None
        oldest = self._loop.time() - self._keep
        expired = [connection for connection in self._idle if connection.used < oldest]
        self._idle = [connection for connection in self._idle if connection.used >= oldest]
        for connection in expired:
            connection.close()
        if self._idle:
            self._timer = self._loop.call_later(_SWEEP, self._sweep)
