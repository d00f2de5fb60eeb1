"""P21, P6: a restart that finds a large backlog is ready in seconds, holds little of it, and does not herd.

The backlog is written into the journal directly, in its own format: a million posts would only measure the producer.
"""

import asyncio
import time
import typing

import pytest

from fanout_dispatcher.journal.protocol import Batch, DueRow, Recovered
from fanout_dispatcher.journal.sqlite import SqliteJournal
from fanout_dispatcher.parts import machine_clock
from fanout_dispatcher.values.event import Event, Frozen
from tests.faults.conftest import Form
from tests.process.conftest import Bench
from tests.support.dispatcher import Process
from tests.support.figures import Figure
from tests.support.journals import KEY, an_event
from tests.support.ledger import metrics, settled

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

TARGETS: typing.Final = ("a", "b", "c")
LIMIT: typing.Final = 16  # in flight per target
GROUP: typing.Final = 1000  # events per commit
CAP: typing.Final = 400.0  # MB
MANY: typing.Final = 100_000  # events: more than this test waits for


def write_backlog(process: Process, events: int) -> None:
    """Owe *events* events to every target of the only route."""
    [path] = process.data.glob("*.db")
    journal = SqliteJournal(path, clock=machine_clock, new_key=lambda: KEY)
    found = journal.open()
    frozen = next(iter(found.frozen.values()))
    for first in range(found.last_seq + 1, found.last_seq + 1 + events, GROUP):
        last = min(first + GROUP, found.last_seq + 1 + events)
        journal.commit(owed(found, frozen, [an_event(seq, frozen=frozen, body=b"{}") for seq in range(first, last)]))
    journal.close()


def owed(found: Recovered, frozen: Frozen, events: list[Event]) -> Batch:
    """*events*, spilled into the index of every lane."""
    due = [DueRow(lane, event.seq, found.now) for event in events for lane in frozen.lanes]
    return Batch(at=found.now, events=events, due=due)


async def test_a_backlog_is_found_in_seconds_and_does_not_herd(bench: Bench, form: Form, figure: Figure) -> None:
    events = int(form(3_000, 334_000))
    targets = [await bench.target(name) for name in TARGETS]
    for target in targets:
        target.delay = 0.02  # a moment in which more than allowed would pile up
    bench.route(*targets, defaults={"policy": {"bulkhead": {"maxConcurrent": LIMIT}}})
    begun = time.monotonic()
    process = await bench.started()
    empty = time.monotonic() - begun
    await bench.client.post(f"{process.listen}/shop/order-placed", content=b"{}")  # what freezes the target list
    await settled(process)
    process.stop()
    await asyncio.to_thread(write_backlog, process, events)
    for target in targets:
        target.got.clear()
        target.most = 0

    begun = time.monotonic()
    await process.start()
    ready = time.monotonic() - begun
    at_once = process.memory("VmRSS")
    if events > MANY:
        await asyncio.sleep(form(0, 60))
    else:
        await settled(process)
    counted, peak = await metrics(process), process.memory()
    code = await asyncio.to_thread(process.stop)

    pending, delivered = counted("fanout_pending"), counted("fanout_delivered_total")
    most = max(target.most for target in targets)
    backlog = events * len(TARGETS)
    figure(
        "P21", backlog=backlog, ready_s=ready, empty_ready_s=empty, rss_at_ready_mb=at_once, peak_rss_mb=peak,
        bulkhead=LIMIT, most_in_flight=most, delivered=delivered, pending=pending,
    )  # fmt: skip
    assert delivered > 0
    assert pending + delivered == backlog
    assert most <= LIMIT
    assert peak < CAP
    assert code == 0
    for target in targets:
        assert len(target.got) == len({got.event for got in target.got}), "a clean stop repeats nothing"
