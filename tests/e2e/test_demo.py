"""`make demo` as a newcomer meets it: no terminal, a path with a space, and nothing left behind."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROOFS = ("delivered:", "retried:", "held:", "dead-lettered:", "arrived:", "replayed:", "settled:", "nothing lost:")


def test_the_demo_proves_the_main_job_and_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "a path with a space"
    home.mkdir()
    (home / "demo").symlink_to(ROOT / "demo")
    (home / "tests").symlink_to(ROOT / "tests")
    (home / "examples").symlink_to(ROOT / "examples")
    temporary = home / "temporary files"
    temporary.mkdir()
    mark = secrets.token_hex(16)

    done = subprocess.run(
        [sys.executable, "-m", "demo.main"],
        cwd=home,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(home), "FANOUT_TEST_MARK": mark},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert [proof for proof in PROOFS if f"✔ {proof}" not in done.stdout] == []
    assert "\x1b" not in done.stdout
    assert list(temporary.iterdir()) == []
    assert processes_with(mark) == []


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
