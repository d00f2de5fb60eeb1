"""A worker's place: one process after the other under the same number, until the dispatcher stops.

A process that ends is replaced, at once if it ran well for a while, else after a pause that doubles. Its socket stays
open here meanwhile. One that says nothing any more, not even that nothing changed, hangs: it is ended, as a probe of
/livez would end a dispatcher without workers. The first life is another matter: a worker that cannot start when the
dispatcher does is a reason not to start at all, in its own words.
"""

import asyncio
import contextlib
import socket
import sys
import typing
from asyncio.subprocess import DEVNULL, Process

from structlog.typing import FilteringBoundLogger

from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.settings import Unstartable
from fanout_dispatcher.workers.link import Link
from fanout_dispatcher.workers.messages import Message, Opened, Orders, Question, Stop, Stopping, Taking, Told, Unable
from fanout_dispatcher.workers.picture import Picture

T = typing.TypeVar("T")
LEAST: typing.Final = 0.1  # seconds before a worker that ended is started again
MOST: typing.Final = 5.0  # seconds, however often it ended
WELL: typing.Final = 10.0  # seconds after which a life counts as good: the next one starts after LEAST
SILENCE: typing.Final = 15.0  # seconds without a word from a worker that tells a few times a second
MERCY: typing.Final = 2.0  # seconds more, in which to hear it: perhaps it was the supervisor that was stopped
PATIENCE: typing.Final = 5.0  # seconds that a question waits for a worker that is being started again


class House(typing.Protocol):
    """The supervisor, as a slot sees it."""

    def opened(self, slot: "Slot", opened: Opened) -> None:
        """A process under this number has its journal open."""

    def told(self, slot: "Slot", told: Told) -> None:
        """It tells what changed."""

    def died(self, slot: "Slot", why: str) -> None:
        """It ended."""

    async def asked(self, slot: "Slot", question: Question) -> object:
        """It asks something that another worker may know."""


class Slot:
    """The worker of *orders*, now and again."""

    def __init__(
        self,
        orders: Orders,
        sock: socket.socket | None,
        *,
        house: House,
        log: FilteringBoundLogger,
        silence: float = SILENCE,
    ) -> None:
        self.number = orders.worker
        self.picture = Picture()
        self.patience = 0.0  # seconds that what it has in flight may take, as a worker said that stops
        self._orders = orders
        self._socket = sock
        self._house = house
        self._log = log.bind(worker=orders.worker)
        self._silence = silence
        self._timer: asyncio.TimerHandle | None = None
        self._process: Process | None = None
        self._link: Link | None = None
        self._open = False  # its journal is: before, there is no engine that could take a plan
        self._stopping = asyncio.Event()
        self._taking = asyncio.Event()
        self._parted = asyncio.Event()  # the link of this life has ended: whatever was told has been heard
        self._unable = ""  # why it cannot start, in its own words
        # Of the first life: that its journal is open, or why it cannot start.
        self.first: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<Slot {self.number} taking={self._taking.is_set()}>"

    async def live(self) -> None:
        """Run processes until `stop`."""
        pause, loop = LEAST, asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            why = await self._one_life()
            if not self.first.done():
                self.first.set_exception(Unstartable(why))
                return
            if self._stopping.is_set():
                return
            pause = LEAST if loop.time() - began >= WELL else min(pause * 2, MOST)
            self._house.died(self, f"{why}; it is started again")
            self._log.warning("worker.ended", why=why, again_in=pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def taking(self) -> None:
        """Wait until the worker takes events."""
        await self._taking.wait()

    async def ask(self, question: Question, answer: type[T]) -> T:
        """Ask the worker, once it is there. Raises BadCursor and JournalFault."""
        try:
            await asyncio.wait_for(self._taking.wait(), PATIENCE)
        except TimeoutError:
            raise JournalFault(f"worker {self.number}: {self.picture.readiness}") from None
        if self._link is None:
            raise JournalFault(f"worker {self.number} is gone")
        return await self._link.ask(question, answer)

    def write(self, frame: bytes) -> None:
        """Send what `framed` made, if there is a worker; one that is starting is told everything once it has opened."""
        if self._link is not None and self._open:
            self._link.write(frame)

    def stop(self) -> None:
        """Have the worker drain and end; nobody comes after it."""
        self._stopping.set()
        if self._link is not None:
            self._link.tell(Stop())

    def kill(self) -> None:
        """End the worker now."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _one_life(self) -> str:
        """Run one process to its end; gives the sentence that says how it ended."""
        ours, theirs = socket.socketpair()
        passed = [theirs.fileno(), *([] if self._socket is None else [self._socket.fileno()])]
        with theirs:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "fanout_dispatcher.workers", str(theirs.fileno())),
                    stdin=DEVNULL,
                    pass_fds=passed,
                    start_new_session=True,  # a Ctrl-C is for the supervisor, who tells the workers
                )
            except OSError as error:  # no process or descriptor is left: perhaps later
                ours.close()
                return f"its process cannot be started: {error.strerror}"
        self._unable = ""
        self._parted.clear()
        self._link = await Link.over(ours, self._heard, self._asked, self._lost)
        self._link.tell(self._orders)
        if self._stopping.is_set():
            self._link.tell(Stop())
        code = await self._process.wait()
        await self._parted.wait()
        return self._unable or f"its process ended with {code}"

    def _heard(self, message: Message) -> None:
        match message:
            case Opened():
                self._open = True
                if not self.first.done():
                    self.first.set_result(message)
                self._house.opened(self, message)
            case Told():
                self._house.told(self, message)
                self._expect(self._silence, self._wonder)
            case Taking():
                self._taking.set()
            case Stopping():
                self.patience = message.patience
            case Unable():
                self._unable = message.why
            case _:
                self._log.error("worker.unknown", message=type(message).__name__)

    async def _asked(self, question: Question) -> object:
        return await self._house.asked(self, question)

    def _expect(self, seconds: float, otherwise: typing.Callable[[], None]) -> None:
        """Expect a word within *seconds*."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, otherwise)

    def _wonder(self) -> None:
        self._expect(min(MERCY, self._silence), self._hung)

    def _hung(self) -> None:
        if self._stopping.is_set():
            return  # it closes its journal, and whoever stops it has patience of their own
        self._log.warning("worker.hung", silent_for=self._silence)
        if self._process is not None:
            self._process.kill()

    def _lost(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._taking.clear()
        self._open = False
        self._parted.set()
        self._link = None
