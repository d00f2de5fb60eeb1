"""Figures: what a test tried, which faults really fired, and what came of it, for docs/guarantees.md to quote.

They travel with the test's report, so that a run on several cores prints all of them at its end, in one table.
"""

import typing

import pytest

Figure = typing.Callable[..., None]
NAME: typing.Final = "figure"


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Keeps a line for the table: ``figure("P1", kills=10, lost=0)``, or one that says it all in words."""

    def keep(promise: str, **what: object) -> None:
        told = [f"{name.replace('_', ' ')} {_short(value)}" for name, value in what.items()]
        request.node.user_properties.append((NAME, f"{promise} {', '.join(told)}".rstrip()))

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print all figures, for whoever asked for the long form of the fault runs, and for the suite's log."""
    reports = [one for found in terminalreporter.stats.values() for one in found if isinstance(one, pytest.TestReport)]
    lines = {str(line) for one in reports for name, line in one.user_properties if name == NAME}
    if lines:
        terminalreporter.section("figures")
        for line in sorted(lines, key=_place):
            terminalreporter.write_line(line)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _place(line: str) -> tuple[int, str]:
    promise = line.split(maxsplit=1)[0][1:]
    return (int(promise), "") if promise.isdecimal() else (0, line)
