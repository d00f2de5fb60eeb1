"""A backup made under load and put into a folder of its own: what was accepted before is there, and is delivered."""

import asyncio
import os
import pathlib
import subprocess
import sys
import tarfile

import pytest

from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually
from tests.support.dispatcher import Load, Process

FANOUT = pathlib.Path(sys.executable).with_name("fanout")
ENOUGH = 200  # events accepted before the backup


def back_up(process: Process, file: pathlib.Path) -> str:
    """Make a backup with the command that people use."""
    command = [str(FANOUT), "journal", "backup", str(file), "--admin", process.admin]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def restored(bench: Bench, file: pathlib.Path, *flags: str) -> Process:
    """A dispatcher on the same manifests and a folder that holds the backup and nothing else."""
    process = Process(bench.folder / "restored", bench.manifests, *flags)
    bench.processes.append(process)
    with tarfile.open(file) as archive:
        archive.extractall(process.data, filter="data")
    return process


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_was_accepted_before_a_backup_under_load_is_delivered_from_it(bench: Bench, workers: int) -> None:
    target = await bench.target("crm")
    target.freeze()
    bench.route(target)
    process = await bench.started("--workers", str(workers))
    load = Load(process, "b", connections=8, size=4000).start()

    async def enough() -> bool:
        return len(load.accepted) > ENOUGH

    await eventually(enough)
    before = set(load.accepted)
    said = await asyncio.to_thread(back_up, process, bench.folder / "b.tar")
    during = set(load.accepted) - before
    await load.stop()
    process.kill()
    target.cut()
    after = restored(bench, bench.folder / "b.tar", "--workers", str(workers))
    await after.start()

    async def delivered() -> bool:
        return before <= {one.event for one in target.got if one.answered}

    await eventually(delivered)
    assert during  # the dispatcher went on
    assert said.count(".db") == workers
    assert [file.name for file in process.data.glob("*-backup")] == []
