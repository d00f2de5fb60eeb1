"""What all fault runs share: how long they last, and a place to run in.

In the suite each has its short form; ``make faults`` passes ``--long``.
"""

import typing

import pytest

from tests.process.conftest import bench

__all__ = ["bench"]


class Form:
    """The short or the long form of a fault run."""

    def __init__(self, *, long: bool) -> None:
        self.long = long

    def __call__(self, short: float, long: float) -> float:
        """One of two amounts."""
        return long if self.long else short


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
