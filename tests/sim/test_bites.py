"""The simulation bites: every bug that is planted in a copy of the product is caught, and in few seeds.

A simulation that finds nothing proves nothing until it has been seen to find what is there: the promise that the bug
breaks, and not just something.
"""

import concurrent.futures
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

import pytest

import fanout_crds
import fanout_dispatcher
from tests.sim.bugs import BUGS, Bug, Uprooted, plant, spoilt
from tests.support.figures import Figure

ROOT = pathlib.Path(__file__).parents[2]
FIRST = 500_000  # seeds that `make test` does not play otherwise
MOST = 60  # seeds in which a bug has to be caught


def planted(bug: Bug, folder: pathlib.Path) -> pathlib.Path:
    """A copy of the product with the bug in it."""
    for package in (fanout_crds, fanout_dispatcher):
        where = pathlib.Path(package.__file__ or "").parent
        shutil.copytree(where, folder / where.name)
    plant(bug, folder)
    return folder


def caught(bug: Bug, folder: pathlib.Path) -> tuple[Bug, int]:
    """How many seeds it took; 0: it was not caught."""
    packages = planted(bug, folder)
    hunt = subprocess.run(
        [sys.executable, "-m", "tests.sim.hunt", bug.family, str(FIRST), str(MOST), bug.promise],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return bug, int(hunt.stdout.partition(" ")[0])


@pytest.mark.timeout(900)  # 66 s on two free cores
def test_every_planted_bug_is_caught_by_the_promise_that_it_breaks(tmp_path: pathlib.Path, figure: Figure) -> None:
    folders = [tmp_path / str(number) for number in range(len(BUGS))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(caught, BUGS, folders))
    seeds = [count for _, count in results if count]
    took = f"median seeds to catch {statistics.median(seeds or [0]):g}, most {max(seeds, default=0)}"
    figure(f"caught {len(seeds)} of {len(BUGS)}, {took}")

    assert [f"{bug.promise}: {bug.name}" for bug, count in results if not count] == []


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_has_its_text_in_the_source(bug: Bug) -> None:
    product = fanout_crds if bug.file.startswith("fanout_crds") else fanout_dispatcher

    assert spoilt(bug, pathlib.Path(product.__file__ or "").parents[1])


def test_a_bug_whose_text_is_gone_says_so(tmp_path: pathlib.Path) -> None:
    bug = Bug(name="x", promise="P1", family="mixed", file="fanout_crds/plan/wire.py", old="no such text", new="")

    with pytest.raises(
        Uprooted, match=r"planted bug “x”: fanout_crds/plan/wire.py does not contain 'no such text' any more"
    ):
        planted(bug, tmp_path)
