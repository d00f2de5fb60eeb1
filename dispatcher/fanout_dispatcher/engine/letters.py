"""Dead letters in people's hands: found, replayed to the target that failed, or removed for good.

A replay is a new event owed to that one target, written in the same commit that takes the dead letter away: a crash at
any moment leaves one or the other, never both and never neither.
"""

import asyncio
import contextlib
import functools
import re
import typing

import msgspec

from fanout_dispatcher.engine.acceptance import Acceptance
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.order import UNJUDGED, Judgement, Order, Orders
from fanout_dispatcher.engine.routes import Routes
from fanout_dispatcher.engine.views import ident, target_of, undone
from fanout_dispatcher.journal.protocol import WHOLE, DeadLetter, Journal
from fanout_dispatcher.values.answers import Accepted, Answered
from fanout_dispatcher.values.desk import BadCursor
from fanout_dispatcher.values.event import Head, Replay
from fanout_dispatcher.values.facts import Facts
from fanout_dispatcher.values.views import DeadLetterFilter

TOGETHER: typing.Final = 64  # replays in one go: their bodies are in memory at once
NUMBER: typing.Final = re.compile(r"[0-9]{1,18}")  # a dead letter's, within the journal's integers


class Letters:
    """The dead letters of both books, the durable one first."""

    def __init__(self, acceptance: Acceptance, table: Routes) -> None:
        self.acceptance = acceptance
        self.table = table
        self.books = (table.durable, table.memory)
        self.one_at_a_time = asyncio.Lock()  # finding and acting: nobody acts on what another has just taken away

    async def replay(self, wanted: DeadLetterFilter) -> tuple[str, ...]:
        """Send them again, each to the target that failed.

        Those that no route in force can take are passed over, so that they never stand in the way of the others.
        """
        receipts: list[str] = []
        begun = self.acceptance.clock.now()  # one that dies again meanwhile is a new dead letter, and not meant
        async with self.one_at_a_time:
            found = await self.find(wanted)
            while found and found[0][1].row.at <= begun and len(receipts) < wanted.limit:
                now = found[: min(TOGETHER, wanted.limit - len(receipts))]
                answers = await asyncio.gather(*(self._replay(book, letter) for book, letter in now))
                receipts += [receipt for receipt in answers if receipt is not None]
                last = ident(now[-1][0], now[-1][1].number)
                found = found[len(now) :] or await self.find(msgspec.structs.replace(wanted, after=last))
        return tuple(receipts)

    async def remove(self, wanted: DeadLetterFilter) -> int:
        """Drop them for good; how many went."""
        async with self.one_at_a_time:
            with contextlib.ExitStack() as hands:
                for lane in self._meant(wanted):
                    hands.enter_context(_in_hand(lane))
                letters = await self.find(wanted)
                for book, letter in letters:
                    book.committer.remove(letter.number, functools.partial(self._removed, book, letter))
                await asyncio.gather(*(book.committer.written() for book in self.books))
        return len(letters)

    async def find(self, wanted: DeadLetterFilter) -> list[tuple[Book, DeadLetter]]:
        """The rows that *wanted* means, at most its limit, over both books."""
        if wanted.after is not None and self.read(wanted.after)[0] is None:
            raise BadCursor(f"{wanted.after[:80]} is not a dead letter's id")
        found: list[tuple[Book, DeadLetter]] = []
        for book in self.books:
            local = self._local(book, wanted, wanted.limit - len(found))
            if local is not None:
                found += [(book, letter) for letter in await _found(book, local)]
        return found

    async def show(self, name: str) -> tuple[Book, DeadLetter] | None:
        """One dead letter with its original bytes."""
        book, number = self.read(name)
        if book is None:
            return None
        letter = await book.ask(lambda journal: journal.dead_letter(number))
        return None if letter is None else (book, letter)

    def read(self, name: str) -> tuple[Book | None, int]:
        """The book and number that a dead letter's id names; no book when it names none."""
        worker, _, number = name.partition("-")
        for book in self.books:
            if book.receipts.worker == worker and NUMBER.fullmatch(number):
                return book, int(number)
        return None, 0

    async def _replay(self, book: Book, found: DeadLetter) -> str | None:
        """Send one again; None when it stays the dead letter that it is."""
        lane = self._lane(book, found)
        if lane is None:
            return None
        with _in_hand(lane):
            return await self._send(book, lane, found.number)

    async def _send(self, book: Book, lane: Lane, number: int) -> str | None:
        letter = await book.ask(lambda journal: journal.dead_letter(number))
        if letter is None or lane.bounds.overfull(letter.row.size):
            return None
        answer: asyncio.Future[Answered] = self.acceptance.clock.loop.create_future()
        frozen = book.freeze(lane.route, letter.event.frozen.generation, (lane.target.name,))
        head, body = msgspec.structs.replace(letter.event.head, replay=_replay_of(letter)), letter.event.body
        judgement = UNJUDGED if lane.order is None else _judged(lane.order, head, body)

        def replied(answered: Answered) -> None:
            if isinstance(answered, Accepted):  # it has gone, even if whoever asked for that has gone before
                self._gone(book, letter)
                lane.tally.meter.replayed += 1
            if not answer.done():
                answer.set_result(answered)

        self.acceptance.take(frozen, (lane,), head, body, judgement, reply=replied, replayed=number)
        answered = await answer
        return answered.receipt if isinstance(answered, Accepted) else None

    def _local(self, book: Book, wanted: DeadLetterFilter, limit: int) -> DeadLetterFilter | None:
        """*wanted* in the journal's own numbers; None when it cannot mean anything in this book."""
        mine = [number for owner, number in map(self.read, wanted.ids) if owner is book]
        if limit <= 0 or (wanted.ids and not mine):
            return None
        after = None
        if wanted.after is not None:
            cursor = self.read(wanted.after)
            if cursor[0] is book:
                after = str(cursor[1])
            elif book is self.books[0]:
                return None  # the cursor is past this book
        return DeadLetterFilter(
            route=wanted.route,
            target=wanted.target,
            reason=wanted.reason,
            ids=tuple(str(number) for number in mine),
            after=after,
            limit=limit,
        )

    def _lane(self, book: Book, letter: DeadLetter) -> Lane | None:
        """The lane that can take a replay: its route is in force and has the target."""
        route = self.table.by_key.get(letter.event.frozen.route)
        target = target_of(letter)
        if route is None or route.book is not book:
            return None
        return next((lane for lane in route.everybody if lane.target.name == target), None)

    def _meant(self, wanted: DeadLetterFilter) -> list[Lane]:
        """The lanes whose dead letters *wanted* may mean."""
        return [lane for (_, route, target), lane in self.table.lanes.items() if wanted.means(route, target)]

    def _removed(self, book: Book, letter: DeadLetter) -> None:
        self._gone(book, letter)
        lane = self.table.lanes.get((book, letter.event.frozen.route, target_of(letter)))
        if lane is not None and letter.holds:
            lane.dead.let_go(1, "Removed")

    def _gone(self, book: Book, letter: DeadLetter) -> None:
        route, target = letter.event.frozen.route, target_of(letter)
        lane = self.table.lanes.get((book, route, target))
        if lane is not None:
            lane.tally.dropped(1, letter.row.size)
        else:
            book.dropped(route, target, 1, letter.row.size)
        self.table.works.changed(route)


@contextlib.contextmanager
def _in_hand(lane: Lane) -> typing.Iterator[None]:
    """Whoever replays or removes a letter counts it: from before it is looked up, none is dropped to make room."""
    lane.dead.in_hand += 1
    try:
        yield
    finally:
        lane.dead.in_hand -= 1
        lane.dead.make_room(lane.target.policy.dead_letter)


def _replay_of(letter: DeadLetter) -> Replay:
    """What its replay has to know: the event that it comes of, and what its target reads of those before it."""
    before = letter.event.head.replay
    return Replay(
        first=(before and before.first) or letter.row.seq,
        undone=undone(letter),
        earlier=letter.row.earlier or letter.event.head.earlier,
    )


def _judged(order: Order, head: Head, body: bytes) -> Judgement:
    """Judge a replay: it is for its one target, unless what that keeps it in order by cannot be read."""
    orders = Orders([order])
    return orders.judge(Facts(head, body, orders.reads), None)


async def _found(book: Book, wanted: DeadLetterFilter) -> list[DeadLetter]:
    """What *wanted* means in one book, stretch by stretch: commits come in between."""
    found: list[DeadLetter] = []
    while True:
        letters, last = await book.ask(_search(wanted))
        found += letters
        left = wanted.limit - len(letters)
        if last is None or not left:
            return found
        wanted = msgspec.structs.replace(wanted, after=str(last), limit=left)


def _search(wanted: DeadLetterFilter) -> typing.Callable[[Journal], tuple[list[DeadLetter], int | None]]:
    """Search one stretch; also the number after which to go on, None at the end."""

    def search(journal: Journal) -> tuple[list[DeadLetter], int | None]:
        stretch = journal.stretch_of_dead(wanted)
        if stretch is None:
            return [], None
        return journal.dead_letters(wanted, stretch), None if stretch == WHOLE else stretch[1]

    return search
