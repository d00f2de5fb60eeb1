"""The whole engine in virtual time, seed after seed: what it promises holds whatever targets, disks, operators, clocks
and kill -9 do. `make sim` plays more of them."""

import os
import pathlib
import subprocess
import sys

import msgspec
import pytest

from tests.sim.campaign import EXPECTED, Tally, campaign, complaint, run
from tests.sim.families import FAMILIES
from tests.support.figures import Figure

SEEDS = int(os.environ.get("SEEDS", "500"))
ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.timeout(600)  # 16 s on two free cores
def test_no_seed_breaks_a_promise_and_every_kind_of_fault_has_fired(figure: Figure) -> None:
    tally = campaign(range(SEEDS))
    for line in str(tally).splitlines():
        figure(line)

    assert [complaint(verdict) for verdict in tally.failed] == []
    assert tally.missing() == []


@pytest.mark.parametrize(
    ("seed", "family"),
    [
        (500_019, "backlog"),  # a retry budget let its whole queue go at once
        (500_023, "mixed"),  # a wall clock was put right, and dates were read by the wrong one
        (500_051, "stopping"),  # on a slow disk the last commit stood behind what a start reads
        (30_596, "forcing"),  # in a graph a delay was forgotten in a crash right after the event was accepted, …
        (30_859, "forcing"),  # … and in one right after the step before was through
        (40_450, "recalling"),  # a key was known from a commit of which the process before never heard
        (622, "forcing"),  # a commit of what a refused graph took back came in place of the repair, …
        (1_068, "forcing"),  # … and here before a crash
        (925, "forcing"),  # the simulation ended while a commit was under way that failed
        (2_176, "sagas"),  # a probe was out, and on no target's books before its step was on disk
        (
            1_267,
            "caching",
        ),  # what a cache had answered was missed, since its caller heard of it after the cache was gone
        (70_297, "overlapping"),  # a target that was gone answered with the static answer of another one
        (2_690, "hedged"),  # hedges held slots of a target whose new plan has none
        (500_029, "dying"),  # two processes gave the same receipt for what only their memory held
    ],
)
def test_a_seed_that_was_found_wanting_once_is_no_more(seed: int, family: str) -> None:
    assert run(seed, family).violations == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_gives_the_same_run(family: str) -> None:
    first, again = run(7, family), run(7, family)

    assert first.attempts > 0
    assert first == again


@pytest.mark.parametrize("family", [None, "flood"])
def test_a_seed_that_fails_is_told_with_the_command_that_plays_it_again(family: str | None) -> None:
    played = run(123, family)
    told = complaint(msgspec.structs.replace(played, violations=("P2: lost",)))
    command = told.splitlines()[0].partition("; make sim ")[2].split()
    again = {name: value for name, _, value in (word.partition("=") for word in command)}

    assert run(int(again["SEED"]), again.get("FAMILY")) == played
    assert "P2: lost" in told


def test_a_family_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tests.sim.campaign", "--seed", "1", "--family", "nope"],
        cwd=ROOT, capture_output=True, check=False, text=True,
    )  # fmt: skip

    assert said.returncode == 2
    assert "invalid choice: 'nope'" in said.stderr
    assert "mixed" in said.stderr


def test_the_order_of_hashes_decides_nothing() -> None:
    program = "from tests.sim.campaign import run\nfor family in {}: print(run(1, family).fingerprint)"
    families = list(FAMILIES)
    prints = {
        subprocess.run(
            [sys.executable, "-c", program.format(families)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "4711")
    }

    assert len(prints) == 1
    assert len(set(prints.pop().split())) == len(families)


def test_a_campaign_that_never_saw_a_fault_says_so() -> None:
    tally = Tally()
    tally.add(run(1, "flood"))

    assert "crash" in tally.missing()
    assert set(tally.missing()) < set(EXPECTED)
