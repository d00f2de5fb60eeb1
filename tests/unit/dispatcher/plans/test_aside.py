"""Looks beside the loop: their answers and faults come back, and one that never ends holds nobody up."""

import os
import pathlib
import subprocess
import sys

import pytest

from fanout_dispatcher.plans.aside import aside

BLOCKED = """
import asyncio, pathlib, sys
from fanout_dispatcher.plans.aside import aside

async def main():
    look = asyncio.create_task(aside(pathlib.Path(sys.argv[1]).read_text))
    await asyncio.sleep(0.05)
    look.cancel()

asyncio.run(main())
"""


async def test_what_was_found_comes_back() -> None:
    assert await aside(lambda: 7) == 7


async def test_a_fault_is_raised_where_it_is_awaited(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError):
        await aside((tmp_path / "gone").read_text)


def test_a_process_ends_although_a_look_never_does(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    ended = subprocess.run([sys.executable, "-c", BLOCKED, str(tmp_path / "pipe")], timeout=20, check=False)

    assert ended.returncode == 0
