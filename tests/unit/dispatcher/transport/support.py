"""What tests of the transport share: raw peers on loopback that do as they are told, and pads where flights land."""

import asyncio
import collections.abc
import contextlib
import ssl
import typing

from fanout_crds import plan
from fanout_dispatcher.engine.wheel import time_out
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.transport.protocol import Flight, Sender
from fanout_dispatcher.transport.sender import HttpSender
from fanout_dispatcher.transport.senders import HttpSenders
from fanout_dispatcher.values.event import Event, Frozen, Head
from fanout_dispatcher.values.outcome import Outcome
from tests.support.listening import shut

ATTRIBUTES: typing.Final = b"content-type: application/json\r\nce-id: 7\r\nce-source: /shop\r\n"
LAPTOP: typing.Final = Guard(allow_loopback=True)
PATIENCE: typing.Final = 20.0  # s: uvloop swallows pytest-timeout's alarm, so what would hang a test ends by this
OK: typing.Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def policy(*, connect: float = 2.0, concurrent: int = 64) -> plan.Policy:
    return plan.Policy(
        timeouts=plan.Timeouts(connect=connect, attempt=10, total=60),
        retry=plan.Retry(
            max_attempts=None,
            backoff=plan.Backoff(type="Constant", base_delay=1, multiplier=1, max_delay=1, jitter="None"),
            on_status=(),
            on_fault=(),
            success_on=(),
            give_up_on=(),
            retry_after=True,
            retry_after_max=60,
        ),
        circuit_breaker=plan.CircuitBreaker(
            enabled=False,
            window=plan.Window(type="Count", size=10),
            minimum_calls=1,
            failure_rate_threshold=50,
            consecutive_failures=0,
            open_duration=1,
            max_open_duration=1,
            half_open=plan.HalfOpen(max_calls=1, success_threshold=1, max_wait=1),
            fail_on_status=(),
            fail_on_fault=(),
        ),
        bulkhead=plan.Bulkhead(max_concurrent=concurrent),
        queue=plan.Queue(max_bytes=None, on_full="Reject"),
        dead_letter=plan.DeadLetters(keep=1, max_bytes=1, on_full="Reject"),
    )


def target(
    url: str,
    *,
    name: str = "payment",
    private: bool = False,
    headers: tuple[tuple[str, str], ...] = (),
    forward: tuple[str, ...] = (),
    bearer: str | None = None,
    ca: str | None = None,
    settings: plan.Policy | None = None,
) -> plan.Target:
    return plan.Target(
        name=name,
        url=url,
        private=private,
        held=None,
        held_message=None,
        headers=headers,
        forward_headers=forward,
        bearer=bearer,
        ca=ca,
        policy=settings or policy(),
    )


def event(
    body: bytes = b"{}",
    *,
    attributes: bytes = ATTRIBUTES,
    forwarded: tuple[tuple[bytes, bytes], ...] = (),
    identity: bytes = b"i" * 16,
) -> Event:
    frozen = Frozen(number=1, route="shop/orders", generation=1, targets=("payment",), lanes=(1,))
    head = Head(id="7", source="/shop", type="t", identity=identity, attributes=attributes, forwarded=forwarded)
    return Event(seq=1, frozen=frozen, accepted=0.0, head=head, body=body)


def span_ids() -> str:
    """Name an attempt; they are all called the same here."""
    return "5" * 16


class Pad:
    """Where test flights land; it keeps every landing, so that a second one is seen."""

    def __init__(self) -> None:
        self.outcomes: dict[Flight, list[Outcome]] = {}
        self._news = asyncio.Event()

    def launch(self, sender: Sender, what: Event | None = None, *, number: int = 1, capture: int = 0) -> Flight:
        started = asyncio.get_running_loop().time()
        flight = Flight(
            landing=self, event=what or event(), target="payment", number=number, started=started, capture=capture
        )
        self.outcomes[flight] = []
        sender.start(flight)
        return flight

    def land(self, flight: Flight, outcome: Outcome) -> None:
        flight.landed = True
        self.outcomes[flight].append(outcome)
        self._news.set()

    def late(self, flight: Flight) -> None:
        """As a lane does; only a test that has a wheel of deadlines comes here."""
        time_out(flight)

    async def outcome(self, flight: Flight) -> Outcome:
        async with asyncio.timeout(PATIENCE):
            while not self.outcomes[flight]:
                self._news.clear()
                await self._news.wait()
        assert len(self.outcomes[flight]) == 1
        return self.outcomes[flight][0]

    async def send(self, sender: Sender, what: Event | None = None, *, number: int = 1, capture: int = 0) -> Outcome:
        return await self.outcome(self.launch(sender, what, number=number, capture=capture))


async def happened(event: asyncio.Event) -> None:
    """Wait for what a peer notes, with patience."""
    async with asyncio.timeout(PATIENCE):
        await event.wait()


async def turns(count: int = 20) -> None:
    """Let the loop go round, so that what was going to happen has happened."""
    for _ in range(count):
        await asyncio.sleep(0)


Script = collections.abc.Callable[["Call"], collections.abc.Awaitable[None]]


class Call:
    """One connection as a peer's script sees it."""

    def __init__(self, peer: "Peer", number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer = peer
        self.number = number  # 1 for the peer's first connection
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """Read one whole request; raises IncompleteReadError when the sender has hung up."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        whole = head + await self.reader.readexactly(length)
        self.peer.requests.append(whole)
        self.peer.asked.set()
        return whole

    async def answer(self, data: bytes = OK) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reset(self) -> None:
        self.writer.transport.abort()

    async def hung_up(self) -> None:
        """Wait until the sender has closed the connection."""
        while await self.reader.read(65536):
            pass


class Peer:
    """A raw server: a script per connection, closed when the script is over."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.requests: list[bytes] = []
        self.connections = 0
        self.asked = asyncio.Event()
        self.left = asyncio.Event()  # a connection has ended
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/charges?x=1"

    @property
    def open_calls(self) -> int:
        """Connections whose script is not over."""
        return len(self._tasks)

    async def open(self, port: int = 0, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1") -> None:
        self._server = await asyncio.start_server(self._accept, host, port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            await shut(self._server)
            await turns()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await turns()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(Call(self, self.connections, reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, call: Call) -> None:
        try:
            await self._script(call)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the sender has hung up, which some tests wait for
        finally:
            call.writer.close()
            with contextlib.suppress(OSError):
                await call.writer.wait_closed()
            self.left.set()


def answering(*answers: bytes) -> Script:
    """Answer requests on a connection in turn, the last answer for ever, keeping it open."""

    async def script(call: Call) -> None:
        for number in range(1_000_000):
            await call.request()
            await call.answer(answers[min(number, len(answers) - 1)])

    return script


@contextlib.asynccontextmanager
async def peer(script: Script, *, tls: ssl.SSLContext | None = None) -> collections.abc.AsyncIterator[Peer]:
    found = Peer(script)
    await found.open(tls=tls)
    try:
        yield found
    finally:
        await found.close()


@contextlib.asynccontextmanager
async def sending(
    to: plan.Target, *, credentials: plan.Credentials | None = None, guard: Guard = LAPTOP, **options: typing.Any
) -> collections.abc.AsyncIterator[HttpSender]:
    sender = HttpSenders(asyncio.get_running_loop(), guard, span_ids=span_ids, **options)(to, credentials or {})
    try:
        yield sender
    finally:
        sender.close()
        await turns()


@contextlib.asynccontextmanager
async def meeting(script: Script, **options: typing.Any) -> collections.abc.AsyncIterator[tuple[Peer, HttpSender]]:
    """Open a peer that follows *script*, and a sender to it."""
    async with peer(script) as found, sending(target(found.url, **options)) as sender:
        yield found, sender
