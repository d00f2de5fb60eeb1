"""P1: what was acknowledged survives that the power fails, at any call of the disk, also after a sync that failed.

Power cuts are played by a VFS that takes back what was not synced: a process that is killed keeps what the kernel has,
and so would prove nothing here. Under the journal alone they come at a call that was chosen, under a process that is
asked and delivers meanwhile at any instant of a sync or before one.
"""

import asyncio
import pathlib
import random
import sys
import typing

import apsw
import pytest

from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.journal.protocol import Batch
from fanout_dispatcher.journal.sqlite import SqliteJournal
from tests.faults.conftest import Form, cut_short, patient
from tests.process.conftest import Bench
from tests.support.figures import Figure
from tests.support.journals import INVOICE, a_finish, a_journal, an_event, setting
from tests.support.ledger import lost, unexplained
from tests.support.sick_disk import NAME, SickDisk
from tests.support.unplugged_dispatcher import UNPLUG

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

CALLS: typing.Final = {  # where the power fails, and within how many such calls of a life
    ("write", "-wal"): 400,
    ("sync", "-wal"): 60,
    ("write", ".db"): 60,
    ("sync", ".db"): 3,
}


class Unplugged:
    """A journal's life after life, each ended by a power cut at a random call, and what it had promised."""

    def __init__(self, path: pathlib.Path, disk: SickDisk, chance: random.Random) -> None:
        self.journal: SqliteJournal = a_journal(path, vfs=NAME, log_pages=20)
        self.disk = disk
        self.chance = chance
        self.seq = 0
        self.acknowledged: set[int] = set()
        self.finished: set[int] = set()
        self.taken_back = 0

    def live(self) -> None:
        """Commit until the power fails."""
        chance = self.chance
        self.journal.open()
        self.journal.commit(setting())
        call, suffix = chance.choice(list(CALLS))
        self.disk.fail(call, suffix, apsw.IOError, after=chance.randrange(CALLS[call, suffix]))
        while not self.disk.fired:
            self._commit()
        self.disk.fired.clear()
        self.journal.close()
        self.taken_back += self.disk.cut()
        self.disk.heal()
        self.seq += 10  # whatever the cut has left half-way keeps its numbers

    def _commit(self) -> None:
        events = [an_event(self.seq + n, frozen=INVOICE) for n in range(1, self.chance.randrange(2, 9))]
        self.seq += len(events)
        done = [a_finish(event) for event in events[::3]]
        try:
            self.journal.commit(Batch(events=events))
            self.acknowledged |= {event.seq for event in events}
            self.journal.commit(Batch(finished=done))
            self.finished |= {event.seq for event in done}
        except JournalFault:
            return

    def lost(self) -> list[int]:
        """What was acknowledged and is not there after all, finished ones that came back among it."""
        self.journal.open()
        known = {seq: self.journal.event(seq) for seq in self.acknowledged}
        self.journal.close()
        gone = [seq for seq, found in known.items() if found is None]
        back = [seq for seq, found in known.items() if found and seq in self.finished and found.event is not None]
        return gone + back


def test_a_power_cut_at_any_call_takes_nothing_that_was_acknowledged(
    tmp_path: pathlib.Path, form: Form, figure: Figure
) -> None:
    seeds, cuts = int(form(6, 250)), 4
    acknowledged, taken_back, gone = 0, 0, []
    disk = SickDisk()
    try:
        for seed in range(seeds):
            life = Unplugged(tmp_path / f"{seed}.db", disk, random.Random(f"power/{seed}"))
            for _ in range(cuts):
                life.live()
            acknowledged += len(life.acknowledged)
            taken_back += life.taken_back
            gone += [(seed, seq) for seq in life.lost()]
    finally:
        disk.unregister()

    figure("P1", power_cuts=seeds * cuts, writes_taken_back=taken_back, acknowledged=acknowledged, lost=len(gone))
    assert taken_back > seeds, "nothing was unsynced at any of them"
    assert gone == []


async def test_a_power_cut_under_a_process_takes_nothing_that_was_acknowledged(
    bench: Bench, form: Form, figure: Figure
) -> None:
    cuts = int(form(4, 100))
    chance = random.Random(f"unplugged/{cuts}")
    targets = [await bench.target(name) for name in ("a", "b", "c")]
    bench.route(*targets, defaults={"policy": patient(attempt="10s")})  # a busy machine is no reason to send again
    process = bench.dispatcher()
    process.command[:0] = [sys.executable, "-m", "tests.support.unplugged_dispatcher"]

    async def unplugged() -> None:
        assert process.child is not None
        process.signal(UNPLUG)
        await asyncio.to_thread(process.child.wait)

    accepted = await cut_short(
        process, targets, cuts, unplugged, after=lambda: chance.uniform(0.05, 0.5), connections=32
    )

    gone, twice = lost(accepted, targets), unexplained(targets, killed=True)
    taken_back = sum(line["pages"] for line in process.said("power.cut"))
    figure(
        "P1",
        power_cuts_of_the_process=cuts,
        pages_taken_back=taken_back,
        acknowledged=len(accepted),
        lost=len(gone),
    )
    assert len(process.said("power.cut")) == cuts
    assert taken_back, "nothing was unsynced at any of them"
    assert gone == []
    assert twice == []
