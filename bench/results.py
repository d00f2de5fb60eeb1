"""What a case found: the numbers that are judged, and the runs behind them.

A case may find several numbers (``value`` and ``memory``), each the median of a field of its runs, each with what it
must be and what it aims at. A case that could not run, or went wrong, says why instead.
"""

import operator
import statistics
import typing

import msgspec

Bound = typing.Callable[[float, float], bool]
Run = dict[str, float]

HOLDS: typing.Final[dict[str, Bound]] = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}


class Number(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The median of one field of the runs, held against what it must be and what it aims at."""

    median: float
    least: float
    most: float
    unit: str
    must: str = ""
    aim: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median is what it must be; None where nothing is asked."""
        return _holds(self.median, self.must)

    @property
    def reached(self) -> bool | None:
        """Whether the median is what it aims at; None where there is no aim."""
        return _holds(self.median, self.aim)


class Result(msgspec.Struct, kw_only=True):
    """One key of latest.json."""

    runs: list[Run]
    numbers: dict[str, Number]
    note: str = ""
    skipped: str = ""  # why it could not run here
    failed: str = ""  # what went wrong in it

    def written(self) -> dict[str, object]:
        """As it stands in latest.json: each number under its name, then all that is known of it."""
        if self.skipped or self.failed:
            return {"skipped": self.skipped} if self.skipped else {"failed": self.failed}
        medians = {name: number.median for name, number in self.numbers.items()}
        details = {"numbers": msgspec.to_builtins(self.numbers), "runs": self.runs, "note": self.note}
        return medians | details


def judged(name: str, runs: list[Run], *, unit: str, must: str = "", aim: str = "", note: str = "") -> Result:
    """Make the result from the field *name* ("ratio" or "value") of each run."""
    return Result(runs=runs, numbers={name: number(name, runs, unit=unit, must=must, aim=aim)}, note=note)


def number(name: str, runs: list[Run], *, unit: str, must: str = "", aim: str = "") -> Number:
    """The median of the field *name* of *runs*."""
    found = [run[name] for run in runs]
    middle = statistics.median(found)
    return Number(median=middle, least=min(found), most=max(found), unit=unit, must=must, aim=aim)


def skipped(why: str) -> Result:
    """The result of a case that this machine cannot run."""
    return Result(runs=[], numbers={}, skipped=why)


def failed(why: str) -> Result:
    """The result of a case that went wrong: it was not what was meant that was measured."""
    return Result(runs=[], numbers={}, failed=why)


def percentile(ordered: list[float], share: float) -> float:
    """The value below which *share* of the sorted values lie (nearest rank)."""
    if not ordered:
        raise RuntimeError("nothing was measured: no event carried its time to a target")
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _holds(median: float, bound: str) -> bool | None:
    if not bound:
        return None
    how, limit = bound.split()
    return HOLDS[how](median, float(limit))
