"""The joined desk: a question goes to whoever can answer it, a list is everybody's, and a cursor leaves nothing out."""

import asyncio
import pathlib
import typing

import pytest

from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.telemetry.seam import Silent
from fanout_dispatcher.values.desk import BadCursor, Desk, JournalMeter, LaneMeter, PortMeter, RouteMeter
from fanout_dispatcher.values.views import DeadLetterFilter, DeadLetterView, SagaFilter, SagaView
from fanout_dispatcher.workers.board import Board
from fanout_dispatcher.workers.joined import JoinedDesk
from fanout_dispatcher.workers.messages import (
    Abandon,
    Backup,
    EventOf,
    Events,
    LetterOf,
    Letters,
    Question,
    Remove,
    Replay,
    Resume,
    Sagas,
    Told,
)
from fanout_dispatcher.workers.owners import Owners
from fanout_dispatcher.workers.picture import Picture
from fanout_dispatcher.workers.shares import Share
from tests.unit.dispatcher.admin.fakes import NOON, FakeDesk, dead_letter_view, event_view, route_view, saga_view

ALL = DeadLetterFilter()


class Slot:
    """A worker whose desk is a `FakeDesk`."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.picture = Picture()
        self.desk = FakeDesk()
        self.asked: list[Question] = []

    async def ask(self, question: Question, answer: type) -> typing.Any:
        self.asked.append(question)
        match question:
            case EventOf():
                return await self.desk.event(question.receipt)
            case Events():
                return await self.desk.events(question.route, question.after, question.limit)
            case Letters():
                return await self._letters(question.wanted)
            case LetterOf():
                return await self.desk.dead_letter(question.ident)
            case Replay():
                return await self.desk.replay(question.wanted)
            case Backup():
                return await self.desk.backup()
            case Remove():
                return await self.desk.remove(question.wanted)
            case Sagas() | Resume() | Abandon():
                return await self._sagas(question)

    async def _sagas(self, question: Sagas | Resume | Abandon) -> list[SagaView] | tuple[str, ...]:
        match question:
            case Sagas():
                return await self.desk.sagas(question.wanted)
            case Resume():
                return await self.desk.resume(question.wanted)
            case Abandon():
                return await self.desk.abandon(question.wanted)

    async def _letters(self, wanted: DeadLetterFilter) -> list[DeadLetterView]:
        behind = _place(wanted.after) if wanted.after else (False, 0)
        found = [one for one in self.desk.letters if _place(one.id) > behind]
        return [one for one in found if not wanted.ids or one.id in wanted.ids][: wanted.limit]


def _place(ident: str) -> tuple[bool, int]:
    return ident.startswith("m"), int(ident.partition("-")[2])


class Joined:
    def __init__(self, *numbers: int) -> None:
        self.slots = [Slot(number) for number in numbers or (0, 1)]
        self.board = Board(Share(0, 2), Owners(2), seam=Silent(), post=lambda _plans: None)
        self.now = NOON + 1000
        self.desk = JoinedDesk(self.slots, self.board, wall=lambda: self.now)

    def letters(self, *names: str) -> None:
        """Dead letters, the oldest first, at the worker in the name."""
        for place, name in enumerate(names):
            slot = next(slot for slot in self.slots if name.startswith((f"{slot.number}-", f"m{slot.number}-")))
            slot.desk.letters.append(dead_letter_view(0, id=name, at=NOON + place))


def told(**changes: typing.Any) -> Told:
    return Told(**({"readiness": None, "port": PortMeter()} | changes))


async def test_it_is_a_desk() -> None:
    desk: Desk = Joined().desk

    assert (desk.routes(), list(desk.lane_meters()), list(desk.route_meters())) == ([], [], [])


# --- one of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("receipt", "number"), [("0-a-ff", 0), ("12-a-ff", 12), ("m12-a-ff", 12)])
async def test_an_event_is_asked_for_where_its_receipt_says(receipt: str, number: int) -> None:
    joined = Joined(0, 12)
    slot = next(slot for slot in joined.slots if slot.number == number)
    slot.desk.known.append(event_view(receipt, "Delivered"))

    assert await joined.desk.event(receipt) == event_view(receipt, "Delivered")
    assert [slot.asked for slot in joined.slots if slot.number != number] == [[]]


@pytest.mark.parametrize("receipt", ["7-a-ff", "", "-", "x", "0", "m-1-ff", "0x-1", "99999999-1", "٣-1-ff"])
async def test_a_receipt_of_no_worker_is_no_event_and_nobody_is_asked(receipt: str) -> None:
    joined = Joined()

    assert await joined.desk.event(receipt) is None
    assert await joined.desk.dead_letter(receipt) is None
    assert [slot.asked for slot in joined.slots] == [[], []]


async def test_a_dead_letter_is_shown_by_its_worker() -> None:
    joined = Joined()
    joined.letters("0-1", "m1-1")

    found = await joined.desk.dead_letter("m1-1")

    assert found is not None
    assert (found.id, joined.slots[0].asked) == ("m1-1", [])


# --- all of them ------------------------------------------------------------------------------------------------------


async def test_events_of_all_workers_come_newest_first_page_by_page_and_each_once() -> None:
    joined = Joined()
    for place in range(7):
        slot = joined.slots[0 if place in (0, 1, 5) else 1]
        receipt = f"{slot.number}-{place}-ff"
        slot.desk.known.insert(0, event_view(receipt, "Delivered", accepted=NOON + place))

    pages, after = [], None
    while page := await joined.desk.events(None, after, 2):
        names = [one.receipt for one in page]
        pages.append(names)
        after = joined.desk.cursor(after, names)
        joined.slots[0].desk.known.insert(0, event_view(f"0-9{len(pages)}-ff", "Delivered", accepted=NOON + 99))

    assert [name.split("-")[1] for page in pages for name in page][:2] == ["6", "5"]
    assert [name for page in pages for name in page if not name.startswith("0-9")] == [
        "1-6-ff", "0-5-ff", "1-4-ff", "1-3-ff", "1-2-ff", "0-1-ff", "0-0-ff",
    ]  # fmt: skip


async def test_dead_letters_of_all_workers_come_oldest_first_page_by_page() -> None:
    joined = Joined()
    names = ["1-1", "0-1", "0-2", "m0-1", "1-2", "1-3"]
    joined.letters(*names)

    found: list[str] = []
    after = None
    while page := await joined.desk.dead_letters(DeadLetterFilter(after=after, limit=4)):
        found += [one.id for one in page]
        after = joined.desk.cursor(after, [one.id for one in page])

    assert found == names


@pytest.mark.parametrize("after", ["nonsense", "7-1", "0-1,nonsense", ""])
async def test_a_cursor_that_names_no_worker_is_refused(after: str) -> None:
    joined = Joined()

    with pytest.raises(BadCursor, match="is not a place in a list of this dispatcher"):
        await joined.desk.events(None, after, 10)
    with pytest.raises(BadCursor):
        await joined.desk.dead_letters(DeadLetterFilter(after=after))


async def test_a_replay_takes_the_oldest_whoever_has_them_and_passes_over_those_that_nobody_can_take() -> None:
    joined = Joined()
    joined.letters("0-1", "1-1", "0-2", "1-2", "0-3")
    joined.slots[0].desk.stuck = {"0-1"}

    receipts = await joined.desk.replay(DeadLetterFilter(limit=3))

    assert sorted(receipts) == ["again-0-2", "again-1-1", "again-1-2"]
    assert [one.id for slot in joined.slots for one in slot.desk.letters] == ["0-1", "0-3"]


async def test_a_replay_goes_through_all_pages_and_leaves_alone_what_died_since_it_began() -> None:
    joined = Joined()
    joined.letters(*(f"{place % 2}-{place + 1}" for place in range(9)))
    joined.now = NOON + 6.5

    some = await joined.desk.replay(DeadLetterFilter(limit=4))
    rest = await joined.desk.replay(DeadLetterFilter(limit=1000))

    assert (len(some), len(rest)) == (4, 3)


async def test_ids_go_to_their_workers_and_what_is_removed_is_counted() -> None:
    joined = Joined()
    joined.letters("0-1", "1-1", "0-2")

    removed = await joined.desk.remove(DeadLetterFilter(ids=("1-1", "0-2", "7-7"), limit=3))
    left = await joined.desk.remove(ALL)

    assert (removed, left) == (2, 1)


async def test_stuck_sagas_are_listed_oldest_first_and_resumed_where_they_are() -> None:
    joined = Joined()
    joined.slots[0].desk.undone = [saga_view("0-2-ff", accepted=NOON + 2)]
    joined.slots[1].desk.undone = [saga_view("1-1-ff", accepted=NOON + 1), saga_view("m1-3-ff", accepted=NOON + 3)]

    assert [one.receipt for one in await joined.desk.sagas(SagaFilter())] == ["1-1-ff", "0-2-ff", "m1-3-ff"]
    assert set(await joined.desk.resume(SagaFilter(limit=2))) == {"1-1-ff", "0-2-ff"}
    assert joined.slots[1].desk.undone_asked == [SagaFilter(receipts=("1-1-ff",), limit=1)]
    assert await joined.desk.abandon(SagaFilter(receipts=("m1-3-ff", "0-9-ff"))) == ("m1-3-ff",)


async def test_a_page_of_stuck_sagas_begins_behind_the_last_one_seen_of_each_worker() -> None:
    joined = Joined()
    joined.slots[0].desk.undone = [saga_view("0-1-ff", accepted=NOON + 1), saga_view("0-3-ff", accepted=NOON + 3)]
    joined.slots[1].desk.undone = [saga_view("1-1-ff", accepted=NOON + 2)]

    page = await joined.desk.sagas(SagaFilter(limit=2))
    after = joined.desk.cursor(None, [one.receipt for one in page])

    assert [one.receipt for one in await joined.desk.sagas(SagaFilter(after=after))] == ["0-3-ff"]


# --- what they tell ---------------------------------------------------------------------------------------------------


async def test_meters_are_summed_and_stay_when_a_worker_dies() -> None:
    joined = Joined()
    for slot in joined.slots:
        lane = LaneMeter(route="shop/order", target="payment", delivered=2, in_flight=1)
        joined.desk.told(slot, told(lanes=(lane,), doors=(RouteMeter(route="shop/order", accepted=3),), whole=True))

    joined.desk.died(joined.slots[0], "its process ended with -9")

    (summed,) = joined.desk.lane_meters()
    (door,) = joined.desk.route_meters()
    assert (summed.delivered, summed.in_flight, door.accepted) == (4, 1, 6)


async def test_journals_are_summed_by_durability() -> None:
    joined = Joined()
    for slot in joined.slots:
        joined.desk.told(slot, told(journals={"Journal": JournalMeter(events=2), "Memory": JournalMeter(events=1)}))

    assert joined.desk.journal_meters() == {"Journal": JournalMeter(events=4), "Memory": JournalMeter(events=2)}


async def test_the_port_that_was_handed_out_is_brought_up_to_date() -> None:
    joined = Joined()
    port = joined.desk.port

    joined.desk.told(joined.slots[0], told(port=PortMeter(requests=2)))
    joined.desk.told(joined.slots[1], told(port=PortMeter(requests=3)))

    assert port.requests == 5


async def test_ready_means_every_worker_and_what_is_missing_is_named() -> None:
    joined = Joined()
    starting = joined.desk.readiness()
    for slot in joined.slots:
        joined.desk.told(slot, told())
    ready = joined.desk.readiness()
    joined.desk.told(joined.slots[1], told(readiness="the journal cannot commit: full"))
    full = joined.desk.readiness()
    joined.desk.stopping = True

    assert (starting, ready) == ("worker 0: it is starting", None)
    assert full == "worker 1: the journal cannot commit: full"
    assert joined.desk.readiness() == "this dispatcher is shutting down"


async def test_a_change_that_all_workers_tell_is_passed_on_once() -> None:
    joined = Joined()
    heard: list[str] = []
    news = asyncio.Event()

    def changed(route: str) -> None:
        heard.append(f"{route} {getattr(joined.desk.route(route), 'revision', None)}")
        news.set()

    stop = joined.desk.watch(changed)
    for slot in joined.slots:
        joined.desk.told(slot, told(routes=(route_view(),)))
    await news.wait()
    stop()
    joined.desk.told(joined.slots[0], told(routes_gone=("shop/order",)))
    await asyncio.sleep(0.1)

    assert heard == ["shop/order r1"]


async def test_a_route_that_only_the_board_knows_is_shown_with_its_refusal() -> None:
    joined = Joined()
    for slot in joined.slots:
        joined.desk.told(slot, told(routes=(route_view(),)))

    joined.board.refuse("shop/other", "line 3: no")

    assert [(one.route, one.refused) for one in joined.desk.routes()] == [
        ("shop/order", None),
        ("shop/other", "line 3: no"),
    ]


async def test_a_backup_is_of_every_workers_journal_and_of_none_when_one_cannot() -> None:
    joined = Joined(0, 1)
    for slot in joined.slots:
        slot.desk.copies = [pathlib.Path(f"journal-{slot.number}.db-backup")]
    whole = await joined.desk.backup()
    joined.slots[0].desk.fault = JournalFault("no room")

    assert whole == ("journal-0.db-backup", "journal-1.db-backup")
    with pytest.raises(JournalFault, match="no room"):
        await joined.desk.backup()
    assert [type(slot.asked[-1]) for slot in joined.slots] == [Backup, Backup]
