"""What only the journal in memory can do: fail and crash on demand."""

import pytest

from fanout_dispatcher.journal.faults import JournalAmbiguous, JournalFault, JournalFull
from fanout_dispatcher.journal.memory import MemoryJournal, Mishap
from fanout_dispatcher.journal.protocol import Batch
from tests.support.journals import INVOICE, an_event, setting


def scripted(*mishaps: Mishap | None) -> MemoryJournal:
    """A journal whose commits end as told, in order."""
    script = iter((None, *mishaps))
    journal = MemoryJournal(mishap=lambda batch: next(script, None))
    journal.open()
    journal.commit(setting())
    return journal


def test_a_crash_keeps_what_was_committed() -> None:
    journal = scripted()
    journal.commit(Batch(events=[an_event(1, frozen=INVOICE)]))
    journal.crash()

    with pytest.raises(JournalFault, match="not open"):
        journal.event(1)
    assert journal.open().backlog[3].pending == 1


def test_a_full_mishap_writes_nothing_and_the_next_commit_works() -> None:
    journal = scripted(Mishap.FULL)
    with pytest.raises(JournalFull):
        journal.commit(Batch(events=[an_event(1)]))
    journal.commit(Batch(events=[an_event(2)]))

    assert journal.event(1) is None
    assert journal.event(2) is not None


@pytest.mark.parametrize("mishap", [Mishap.LOST, Mishap.WRITTEN])
def test_an_ambiguous_mishap_wants_a_repair(mishap: Mishap) -> None:
    journal = scripted(mishap)
    with pytest.raises(JournalAmbiguous):
        journal.commit(Batch(events=[an_event(1)]))
    with pytest.raises(JournalAmbiguous, match="repaired first"):
        journal.commit(Batch())
    assert repr(journal).startswith("MemoryJournal(torn")
    journal.repair([1])

    assert journal.event(1) is None


def test_a_crash_after_an_ambiguous_commit_finds_what_was_written() -> None:
    written, lost = scripted(Mishap.WRITTEN), scripted(Mishap.LOST)
    for journal in (written, lost):
        with pytest.raises(JournalAmbiguous):
            journal.commit(Batch(events=[an_event(1)]))
        journal.crash()

    assert written.open().pending == 2
    assert lost.open().pending == 0
