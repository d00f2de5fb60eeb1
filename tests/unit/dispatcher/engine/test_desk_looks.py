"""However much a journal holds, one job on its thread looks at a bounded part of it: commits come in between.

What is counted is work, not time: steps of SQLite's machine, and finished events that were unpacked.
"""

import pathlib
import typing
from collections.abc import Iterator

import pytest

from fanout_dispatcher.journal.disk import Disk, Done, Job
from fanout_dispatcher.journal.protocol import Batch, Journal
from fanout_dispatcher.journal.sqlite import SqliteJournal, coding, searching
from fanout_dispatcher.values.views import DeadLetterFilter, DeadLetterView, EventView
from tests.support.journals import INVOICE, a_dead, a_journal, an_event, setting
from tests.support.plans import a_plan
from tests.unit.dispatcher.engine.stepped import Stepped

T = typing.TypeVar("T")
ROWS = 30_000
LINKS = range(2, ROWS + 2)  # dead letters of a busy route that were replayed: only these rows are left
KEPT = range(ROWS + 2, 2 * ROWS + 2)  # those that were not
LAST = 2 * ROWS + 2  # the second one of the quiet route; the other is the first of all
SEARCHED = 2_000  # steps of a job that goes to what it wants by an index
WALKED = 100_000  # steps of one that walks through a bounded part
BUCKET = 1 << coding.BUCKET_BITS
BUCKETS = 8
NEWEST = BUCKETS * BUCKET + 11
MANY = """
    WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
    INSERT INTO dead (seq, lane, at, reason, size, cause, frozen, replayed, head, body)
    SELECT i, 1, 5.0, 'TargetRejected', size, cause, 1, ?3, head, body FROM n CROSS JOIN dead WHERE number = 1
"""


class Counted:
    """A disk that notes how much each job has looked at."""

    def __init__(self, disk: Disk, journal: SqliteJournal) -> None:
        self.disk = disk
        self.steps: list[int] = []
        self.unpacked: list[int] = []
        assert journal._session is not None
        journal._session.db.set_progress_handler(self._step, 10)

    def run(self, job: Job[T], done: Done[T]) -> None:
        def counted(journal: Journal) -> T:
            self.steps.append(0)
            self.unpacked.append(0)
            return job(journal)

        self.disk.run(counted, done)

    def _step(self) -> bool:
        self.steps[-1] += 10
        return False


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A journal with much of a busy route and little of a quiet one."""
    path = tmp_path_factory.mktemp("full") / "journal.db"
    journal = a_journal(path)
    journal.open()
    journal.commit(setting())
    journal.commit(Batch(events=[an_event(10, frozen=INVOICE)], dead=[a_dead(10, lane=3)]))
    assert journal._session is not None
    sql = journal._session.sql
    sql.db.execute("BEGIN")
    sql.db.execute(MANY, (1_000_000, 1_000_000 + ROWS - 1, 1))
    sql.db.execute(MANY, (2_000_000, 2_000_000 + ROWS - 1, None))
    pasts = [coding.Past(seq, 1, 0.1, b"\x01\x01") for seq in range(11, BUCKETS * BUCKET)]
    sql.put("put_done", coding.done_rows(0, pasts), 4)
    sql.db.execute("COMMIT")
    newest = an_event(NEWEST, frozen=INVOICE)
    journal.commit(Batch(events=[newest], dead=[a_dead(NEWEST, lane=3, reason="Expired")]))
    journal.close()
    return path


@pytest.fixture
def scene(full: pathlib.Path) -> Iterator[Stepped]:
    stepped = Stepped(a_plan("a"), journal=a_journal(full))
    yield stepped
    stepped.close()


@pytest.fixture
def counted(scene: Stepped, monkeypatch: pytest.MonkeyPatch) -> Counted:
    assert isinstance(scene.journal, SqliteJournal)
    book = scene.engine.durable
    counted = Counted(book.disk, scene.journal)
    unpack = coding.pasts_of

    def unpacked(events: bytes) -> list[coding.Past]:
        pasts = unpack(events)
        counted.unpacked[-1] += len(pasts)
        return pasts

    monkeypatch.setattr(coding, "pasts_of", unpacked)
    monkeypatch.setattr(book, "disk", counted)
    return counted


def numbers(scene: Stepped, found: list[DeadLetterView]) -> list[int]:
    return [scene.desk.letters.read(one.id)[1] for one in found]


def ident(scene: Stepped, number: int) -> str:
    return f"{scene.engine.durable.receipts.worker}-{number}"


@pytest.mark.parametrize("number", [LAST, KEPT[7], LINKS[7], 10 * LAST])
def test_a_dead_letter_is_looked_up_by_its_id(number: int, scene: Stepped, counted: Counted) -> None:
    wanted = DeadLetterFilter(ids=(ident(scene, number),), limit=1)

    found = scene.ask(scene.desk.dead_letters(wanted))

    assert numbers(scene, found) == ([number] if number in {LAST, KEPT[7]} else [])
    assert max(counted.steps) < SEARCHED


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (DeadLetterFilter(route="shop/invoice"), [1, LAST]),
        (DeadLetterFilter(route="shop/none"), []),
        (DeadLetterFilter(target="crm"), []),
        (DeadLetterFilter(route="shop/order", limit=2), [KEPT[0], KEPT[1]]),
        (DeadLetterFilter(limit=3), [1, KEPT[0], KEPT[1]]),
        (DeadLetterFilter(route="shop/invoice", reason="TargetRejected"), [1]),
        (DeadLetterFilter(target="crm", reason="Expired"), []),
    ],
    ids=repr,
)
def test_dead_letters_of_some_targets_are_looked_up_by_target(
    wanted: DeadLetterFilter, expected: list[int], scene: Stepped, counted: Counted
) -> None:
    found = scene.ask(scene.desk.dead_letters(wanted))

    assert numbers(scene, found) == expected
    assert sum(counted.steps) < (SEARCHED if wanted.reason is None else WALKED)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (DeadLetterFilter(reason="Expired"), [LAST]),
        (DeadLetterFilter(reason="Undecided"), []),
        (DeadLetterFilter(reason="TargetRejected", limit=2), [1, KEPT[0]]),
        (DeadLetterFilter(route="shop/order", reason="Expired"), []),
    ],
    ids=repr,
)
def test_dead_letters_with_a_reason_are_found_stretch_by_stretch(
    wanted: DeadLetterFilter, expected: list[int], scene: Stepped, counted: Counted
) -> None:
    found = scene.ask(scene.desk.dead_letters(wanted))

    assert numbers(scene, found) == expected
    assert max(counted.steps) < WALKED


def test_with_letters_of_many_targets_nothing_is_asked_of_each_and_parts_are_bounded(
    scene: Stepped, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "FEW", 1)

    found = scene.ask(scene.desk.dead_letters(DeadLetterFilter(limit=2)))

    assert numbers(scene, found) == [1, KEPT[0]]
    assert max(counted.steps) < WALKED


def test_a_limit_goes_over_all_stretches(scene: Stepped, counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "STRETCH", 10)
    wanted = DeadLetterFilter(reason="TargetRejected", limit=25)

    found = scene.ask(scene.desk.dead_letters(wanted))

    assert numbers(scene, found) == [1, *KEPT[:24]]
    assert len(counted.steps) == 4


def test_events_of_a_quiet_route_are_found_stretch_by_stretch(scene: Stepped, counted: Counted) -> None:
    def seqs(found: list[EventView]) -> list[int | None]:
        return [scene.engine.durable.receipts.read(one.receipt) for one in found]

    found = scene.ask(scene.desk.events("shop/invoice", None, 100))
    rest = scene.ask(scene.desk.events("shop/invoice", found[0].receipt, 100))

    assert seqs(found) == [NEWEST, 10]
    assert seqs(rest) == [10]
    assert max(counted.unpacked) <= BUCKET
