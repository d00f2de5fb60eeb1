"""What a start waits for: only for workers whose supervisor was killed."""

import asyncio
import os
import pathlib
import subprocess
import sys

import pytest

from fanout_dispatcher import parts, state
from fanout_dispatcher.workers import orphans


def ended() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def left(data: pathlib.Path, pid: int) -> None:
    (data / state.NAME).write_text(f'{{"admin": "http://a", "listen": "http://b", "pid": {pid}}}')


async def test_it_waits_until_they_have_let_go_of_their_journals(tmp_path: pathlib.Path) -> None:
    left(tmp_path, ended())
    journal = parts.journal_of(tmp_path, 1, 2)
    journal.open()

    waiting = asyncio.create_task(orphans.outlast(tmp_path))
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    assert not done
    journal.close()
    await asyncio.wait_for(waiting, 5)


async def test_it_waits_for_so_long_and_no_longer(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "PATIENCE", 0.1)
    left(tmp_path, ended())
    journal = parts.journal_of(tmp_path, 0)
    journal.open()

    await orphans.outlast(tmp_path)

    journal.close()


@pytest.mark.parametrize("runs", [True, False])
async def test_it_waits_for_nobody_beside_one_that_runs_or_after_one_that_ended(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, *, runs: bool
) -> None:
    monkeypatch.setattr(orphans, "PATIENCE", None)  # for ever
    if runs:
        left(tmp_path, os.getpid())
    journal = parts.journal_of(tmp_path, 0)
    journal.open()

    async with asyncio.timeout(5):
        await orphans.outlast(tmp_path)

    journal.close()
