"""kill -9 in the middle of commits: what was acknowledged is there, what was not is there whole or not at all."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.support.journals import a_journal

ROOT = pathlib.Path(__file__).parents[4]
WRITE = """
import sys, pathlib
from fanout_dispatcher.journal.protocol import Batch
from tests.support.journals import a_due, a_finish, a_journal, an_event, setting
journal = a_journal(pathlib.Path(sys.argv[1]), log_pages=30)
seq = journal.open().last_seq
journal.commit(setting())
while True:
    events = [an_event(seq + n) for n in range(1, 8)]
    done = [a_finish(event) for event in events[:3]]
    journal.commit(Batch(at=seq / 100, events=events, due=[a_due(event.seq) for event in events[3:]]))
    journal.commit(Batch(at=seq / 100, finished=done))
    seq += 7
    sys.stdout.write(f"{seq}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("acknowledged", [1, 2, 13, 40, 77])
def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: pathlib.Path, acknowledged: int) -> None:
    path = tmp_path / "journal.db"
    groups = [
        last for _ in range(2) for last in killed_after(path, acknowledged)
    ]  # the second life goes on from the first

    journal = a_journal(path)
    recovered = journal.open()
    known = dict(journal.events(None, None, 10_000))
    waiting = [row for tried in (False, True) for row in journal.pull((1, tried), 1e9, 100_000, ())[0]]
    journal.close()

    assert recovered.last_seq % 7 == 0
    assert sorted(known) == list(range(1, recovered.last_seq + 1))
    assert all(known[last - back].event is None for last in groups for back in (4, 5, 6))
    assert all(known[last - back].event is not None for last in groups for back in (0, 1, 2, 3))
    assert {row.event.seq for row in waiting} == {seq for seq in known if known[seq].event is not None}


def killed_after(path: pathlib.Path, acknowledged: int) -> list[int]:
    """Let a process write, kill it in its next commits, and return the last seqs of the groups it had acknowledged."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        groups = [int(writer.stdout.readline()) for _ in range(acknowledged)]
        writer.kill()
    return groups
