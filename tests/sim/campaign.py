"""Many seeds, in as many processes as there are cores: what was tried, what really happened, and what was found.

    python -m tests.sim.campaign --seeds 1000            # seeds 0 … 999
    python -m tests.sim.campaign --seed 123              # that one again, with everything that is wrong

A run that never saw a fault of some kind proves nothing about it, and says so by failing.
"""

import argparse
import collections
import functools
import gc
import multiprocessing
import os
import sys
import time
import traceback
import typing

import msgspec

from tests.sim.checkers import judge
from tests.sim.families import FAMILIES, draw
from tests.sim.player import play

EXPECTED: typing.Final = (
    "crash",
    "power",
    "reboot",
    "sigterm",
    "crash while a commit is waiting",
    "crash while a commit is done",
    "writes taken by a power cut",
    "commit full",
    "commit lost",
    "commit written",
    "disk sync -wal",
    "disk write -wal",
    "plan changed",
    "route deleted",
    "wall clock jumped",
    "replayed",
    "removed",
    "caller Answered",
    "caller Failed",
    "caller Partial",
    "caller Timeout",
    "caller Draining",
    "answer told again",
    "receipt in place of an answer",
    "answer used again",
    "target lost",
    "target resets",
    "target hanging",
    "target busy",
    "target dated",
    "target dead",
    "target flapping",
    "target slow",
    "target crowded",
    "target failing",
    "target rejecting",
    "target poisoned",
    "target large",
    "hedge",
    "fallback",
    "key blocked",
    "batch split",
    "delivery delayed",
    "circuit open by hand or dry",
    "saga failed",
    "saga called off",
    "saga undone",
    "saga stuck",
    "saga: resume",
    "saga: abandon",
)
BATCH = 20  # seeds handed to a process at a time
SHOWN = 20  # violations of one seed that are printed


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one seed led to."""

    seed: int
    family: str
    violations: tuple[str, ...]
    fingerprint: str
    fired: dict[str, int]
    events: int
    attempts: int


def run(seed: int, family: str | None = None) -> Verdict:
    """Play one seed and judge it. An engine that raises is a violation like any other."""
    scenario = draw(seed, family)
    try:
        history = play(scenario)
        twin = None if scenario.twin is None else play(scenario.twin)
        violations = judge(history, twin, scenario.healthy)
    except Exception:  # noqa: BLE001  whatever it is, the seed that leads to it is what has to be known
        last = traceback.format_exc().strip()
        return Verdict(
            seed=seed, family=scenario.family, violations=(last,), fingerprint="", fired={}, events=0, attempts=0
        )
    return Verdict(
        seed=seed,
        family=scenario.family,
        violations=tuple(violations),
        fingerprint=history.fingerprint(),
        fired=history.fired,
        events=len(history.accepted),
        attempts=len(history.sent),
    )


class Tally:
    """What a campaign has seen so far."""

    def __init__(self) -> None:
        self.seeds = self.events = self.attempts = 0
        self.fired: collections.Counter[str] = collections.Counter()
        self.families: collections.Counter[str] = collections.Counter()
        self.failed: list[Verdict] = []

    def add(self, verdict: Verdict) -> None:
        """One more seed."""
        self.seeds += 1
        self.events += verdict.events
        self.attempts += verdict.attempts
        self.fired.update(verdict.fired)
        self.families[verdict.family] += 1
        if verdict.violations:
            self.failed.append(verdict)

    def missing(self) -> list[str]:
        """Kinds of fault that never fired."""
        return [what for what in EXPECTED if not self.fired[what]]

    def __str__(self) -> str:
        families = ", ".join(f"{name} {count}" for name, count in self.families.most_common())
        fired = ", ".join(f"{what} {count:,}" for what, count in sorted(self.fired.items()))
        return (
            f"{self.seeds:,} seeds, {self.events:,} events accepted, {self.attempts:,} attempts,"
            f" {len(self.failed)} seeds with violations\nfamilies: {families}\nfired: {fired}"
        )


def complaint(verdict: Verdict) -> str:
    """A failing seed, for people, with the command that plays it again."""
    drawn = draw(verdict.seed).family
    again = f"make sim SEED={verdict.seed}" + (f" FAMILY={verdict.family}" if verdict.family != drawn else "")
    lines = [f"seed {verdict.seed} ({verdict.family}): {len(verdict.violations)} violations; {again}"]
    lines += [f"  {why}" for why in verdict.violations[:SHOWN]]
    return "\n".join(lines)


def campaign(
    seeds: range, *, family: str | None = None, report: typing.Callable[[Tally], None] = lambda tally: None
) -> Tally:
    """Run *seeds* (of *family*, if one is named) over all cores; *report* is called now and then."""
    tally = Tally()
    play_one = functools.partial(run, family=family)
    with multiprocessing.get_context("fork" if sys.platform == "linux" else None).Pool(
        os.cpu_count() or 1, initializer=_begin
    ) as pool:
        for verdict in pool.imap_unordered(play_one, seeds, chunksize=BATCH):
            tally.add(verdict)
            if tally.seeds % 500 == 0:
                report(tally)
    tally.failed.sort(key=lambda verdict: verdict.seed)
    return tally


def _begin() -> None:
    """What is there already is not worth looking at again by the garbage collector."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (default 10,000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--family", choices=FAMILIES, help="of this family, whatever the seed would draw")
    asked = parser.parse_args()
    if asked.seed is not None:
        verdict = run(asked.seed, asked.family)
        sys.stdout.write(f"{complaint(verdict)}\ntrace {verdict.fingerprint}, fired {verdict.fired}\n")
        return bool(verdict.violations)
    began = time.monotonic()

    def report(tally: Tally) -> None:
        sys.stdout.write(f"{tally.seeds:,} of {asked.seeds:,} seeds, {time.monotonic() - began:.0f} s\n")
        sys.stdout.flush()

    tally = campaign(range(asked.first, asked.first + asked.seeds), family=asked.family, report=report)
    sys.stdout.write(f"{tally}\n{time.monotonic() - began:.1f} s\n")
    for verdict in tally.failed[:SHOWN]:
        sys.stdout.write(f"{complaint(verdict)}\n")
    if missing := [] if asked.family else tally.missing():
        sys.stdout.write(f"never fired, so nothing is proven about it: {', '.join(missing)}; try more seeds\n")
    return bool(tally.failed or missing)


if __name__ == "__main__":
    sys.exit(main())
