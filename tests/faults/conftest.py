"""What all fault runs share: how long they last, a place to run in, and the figures that they leave.

In the suite each has its short form; ``make faults`` passes ``--long``. A figure is what docs/guarantees.md quotes:
what was tried, which faults really fired, and what came of it. All of them are printed at the end, in one table.
"""

import typing

import pytest

from tests.process.conftest import bench

__all__ = ["bench"]

FIGURES: typing.Final = pytest.StashKey[list[str]]()


class Form:
    """The short or the long form of a fault run."""

    def __init__(self, *, long: bool) -> None:
        self.long = long

    def __call__(self, short: float, long: float) -> float:
        """One of two amounts."""
        return long if self.long else short


Figure = typing.Callable[..., None]


def patient(attempt: str = "2s", wait: str = "50ms") -> dict[str, typing.Any]:
    """A policy that never gives up during a test, asks again after *wait*, and asks whatever happens."""
    return {
        "retry": {
            "backoff": {"type": "Constant", "baseDelay": wait, "jitter": "None"},
            "budget": {"mode": "Disabled"},
        },
        "circuitBreaker": {"mode": "Disabled"},
        "timeouts": {"attempt": attempt},
    }


@pytest.fixture
def form(request: pytest.FixtureRequest) -> Form:
    """Short in the suite, long by ``make faults``."""
    return Form(long=request.config.getoption("--long"))


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Keeps a line for the table: ``figure("P1", kills=10, lost=0)``."""
    lines = request.config.stash.setdefault(FIGURES, [])

    def keep(promise: str, **what: object) -> None:
        told = [f"{name.replace('_', ' ')} {_short(value)}" for name, value in what.items()]
        lines.append(f"{promise} {', '.join(told)}")

    return keep


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print all figures, for whoever asked for the long form, and for the suite's log."""
    if lines := config.stash.get(FIGURES, []):
        terminalreporter.section("figures of the fault runs")
        for line in sorted(lines, key=lambda line: int(line[1:].split(maxsplit=1)[0])):
            terminalreporter.write_line(line)
