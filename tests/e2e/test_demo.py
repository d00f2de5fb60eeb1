"""`make demo` as a newcomer meets it: no terminal, a path with a space, and nothing left behind."""

import asyncio
import os
import secrets
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.dispatcher import Process

ROOT = Path(__file__).parents[2]
TEMPORARY = "temporary files"
PROOFS = ("delivered:", "retried:", "held:", "dead-lettered:", "arrived:", "replayed:", "settled:", "nothing lost:")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a space in its name that looks like the checkout, and one for temporary files in it."""
    home = tmp_path / "a path with a space"
    (home / TEMPORARY).mkdir(parents=True)
    for part in ("demo", "tests", "examples"):
        (home / part).symlink_to(ROOT / part)
    return home


def demo(home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the demo, whose temporary files are below *home* too."""
    return subprocess.run(
        [sys.executable, "-m", "demo.main"],
        cwd=home,
        env={**os.environ, "TMPDIR": str(home / TEMPORARY), "PYTHONPATH": str(home), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def unproven(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Name the proofs that were not shown."""
    return [proof for proof in PROOFS if f"✔ {proof}" not in done.stdout]


def test_the_demo_proves_the_main_job_and_leaves_nothing_behind(home: Path) -> None:
    mark = secrets.token_hex(16)

    done = demo(home, FANOUT_TEST_MARK=mark)

    assert done.returncode == 0, done.stdout + done.stderr
    assert unproven(done) == []
    assert "\x1b" not in done.stdout
    assert list((home / TEMPORARY).iterdir()) == []
    assert processes_with(mark) == []


async def test_it_does_so_beside_a_dispatcher_that_owes_events_to_the_examples_own_targets(
    home: Path, tmp_path: Path
) -> None:
    """As somebody leaves it who tried the README by hand first, with a shell set up for that dispatcher."""
    foreign = Process(tmp_path, ROOT / "examples" / "01-fan-out")
    await foreign.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            (await http.post(f"{foreign.listen}/shop/order-placed", json={"id": 7, "total": 99})).raise_for_status()
        theirs = {"FANOUT_ADMIN": foreign.admin, "FANOUT_ADMIN_TOKEN": "theirs", "FANOUT_DATA": str(foreign.data)}
        done = await asyncio.to_thread(demo, home, **theirs)
    finally:
        foreign.stop()

    assert done.returncode == 0, done.stdout + done.stderr
    assert (unproven(done), done.stderr) == ([], "")


def processes_with(mark: str) -> list[str]:
    """Find processes that have the mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text())
        except OSError:  # it ended meanwhile, or is somebody else's
            continue
    return found
