"""Tidying a book: its journal forgets old history, and then what nothing refers to any more.

Every generation of a route has a frozen value in the journal, every target a lane. A route that changes each minute, or
many that come and go, would fill journal and memory with them. So from time to time:

* the journal is looked through for the frozen values that unfinished events and dead letters refer to. One that none of
  them refers to, and no route in force, *rests* from then on: only history can still refer to it. The journal keeps
  since when, so that a restart goes on counting; whatever asks for the value again ends its rest (register.py).
* what has rested for as long as history is kept is dropped, and then the lanes that no frozen value has any more.

All of it is done some rows at a time with a pause after each step, for the steps run on the journal's thread, between
two commits.
"""

import asyncio
import typing

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.journal.protocol import SLOT, START, Journal, Place

T = typing.TypeVar("T")
PAUSE: typing.Final = 0.05  # seconds between two steps, each of which takes the journal some 2 ms:
FORGET: typing.Final = 500  # rows of history, …
LOOK: typing.Final = 2000  # … events or dead letters, …
DROP: typing.Final = 200  # … frozen values or lanes

InUse = tuple[set[int], set[int]]  # numbers of the frozen values of routes in force, and of the lanes there are


class Tidy:
    """Looks after one book; *in_use* tells what routes use of it at the moment."""

    def __init__(self, book: Book, in_use: typing.Callable[[], InUse]) -> None:
        self.book = book
        self.in_use = in_use
        self.outside: set[int] = set()  # frozen values that no route in force had when it was last looked
        self.task: asyncio.Task[None] | None = None

    def begin(self, before: float) -> None:
        """Tidy in small steps from now on, as to history from before *before*; unless it is at it still."""
        if self.task is None or self.task.done():
            self.task = self.book.loop.create_task(self._tidy(before))

    def stop(self) -> None:
        """Leave the rest for another time."""
        if self.task is not None:
            self.task.cancel()

    async def _tidy(self, before: float) -> None:
        try:
            while await self._step(lambda journal: journal.forget(before, FORGET)):
                pass
            await self._put_to_rest()
            await self._drop_frozen(before - SLOT)
            await self._drop_lanes()
        except JournalFault:
            return  # the committer tells of it; next time

    async def _put_to_rest(self) -> None:
        """Find the values that rest from now on, and those that do no longer.

        Only those that have been outside since the time before: an event that was coming in while its route's plan
        was replaced is here by now.
        """
        register = self.book.register
        register.asked.clear()
        outside = register.frozen.keys() - self.in_use()[0]
        wanted, self.outside = outside & self.outside, outside
        referred = await self._referred(wanted) if wanted else set()
        idle = wanted - referred - self.in_use()[0] - register.asked
        begun, ended = idle - register.resting.keys(), referred & register.resting.keys()
        register.resting |= dict.fromkeys(begun, self.book.committer.now())
        for number in ended:
            del register.resting[number]
        for some in _some(begun | ended):
            since = {number: register.resting.get(number) for number in some}  # as it is now
            await self._step(lambda journal: journal.rest(since))  # noqa: B023  asked at once

    async def _referred(self, wanted: set[int]) -> set[int]:
        """Those of *wanted* that events or dead letters refer to."""
        found: set[int] = set()
        place: Place | None = START
        while place is not None and not wanted <= found:
            here = place
            some, place = await self._step(lambda journal: journal.referred(here, LOOK))  # noqa: B023  asked at once
            found |= some & wanted
        return found

    async def _drop_frozen(self, before: float) -> None:
        """Drop what has rested since before *before*: history of that time is gone."""
        register = self.book.register
        for some in _some(number for number, since in register.resting.items() if since < before):
            going = [number for number in some if number in register.resting]
            await self._step(lambda journal: journal.drop(going, ()))  # noqa: B023  asked at once
            for number in going:
                register.dropped(number)

    async def _drop_lanes(self) -> None:
        """Drop lanes that no frozen value has and that no target stands for.

        A step that is cut off leaves its lanes among the leaving, for nobody can tell whether they went: whoever asks
        for one writes it again.
        """
        register = self.book.register
        standing = self.in_use()[1]
        idle = {number: names for names, number in register.lanes.items() if number not in standing}
        if not idle:
            return
        held = {lane for one in register.frozen.values() for lane in one.lanes}
        for some in _some(idle.keys() - held):
            going = [number for number in some if number not in self.in_use()[1]]
            register.leaving.update(going)
            for number in await self._step(lambda journal: journal.drop((), going)):  # noqa: B023  asked at once
                self.book.lane_dropped(idle[number])
            register.leaving.difference_update(going)

    async def _step(self, job: typing.Callable[[Journal], T]) -> T:
        """Run *job* between two commits, and leave time for others after it."""
        answer = await self.book.ask(job)
        await asyncio.sleep(PAUSE)
        return answer


def _some(numbers: typing.Iterable[int]) -> list[list[int]]:
    """*numbers* as they are now, cut into what one step takes."""
    every = sorted(numbers)
    return [every[start : start + DROP] for start in range(0, len(every), DROP)]
