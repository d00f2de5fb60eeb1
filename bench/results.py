"""What a case found: the number that is judged, and the runs behind it."""

import operator
import statistics
import typing

import msgspec

Bound = typing.Callable[[float, float], bool]

HOLDS: typing.Final[dict[str, Bound]] = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}


class Result(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One key of latest.json: ``ratio`` or ``value`` is the median of its runs."""

    unit: str
    runs: list[dict[str, float]]
    ratio: float | None = None
    value: float | None = None
    least: float = 0.0  # of the runs
    most: float = 0.0
    must: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median is what it must be; None where nothing is asked."""
        if not self.must:
            return None
        how, bound = self.must.split()
        return HOLDS[how](self.number, float(bound))

    @property
    def number(self) -> float:
        """Whichever of the two it is."""
        return typing.cast(float, self.value if self.ratio is None else self.ratio)


def judged(name: str, runs: list[dict[str, float]], *, unit: str, must: str, note: str = "") -> Result:
    """Make the result from the field *name* ("ratio" or "value") of each run."""
    numbers = [run[name] for run in runs]
    found = Result(unit=unit, runs=runs, least=min(numbers), most=max(numbers), must=must, note=note)
    setattr(found, name, statistics.median(numbers))
    return found


def percentile(ordered: list[float], share: float) -> float:
    """The value below which *share* of the sorted values lie (nearest rank)."""
    if not ordered:
        raise RuntimeError("nothing was measured: no event carried its time to a target")
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
