"""Fixtures that every test may ask for; none of them does anything until asked."""

import pytest

from tests.harness import loopback
from tests.harness.fixtures import apiserver, namespace

__all__ = ["apiserver", "namespace"]


def pytest_configure() -> None:
    """Let the suite run in an empty network namespace."""
    loopback.bring_up()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--kills N``: how often the fault tests kill a dispatcher."""
    parser.addoption("--kills", default=10, type=int, help="rounds of tests/faults that end by kill -9 (default 10)")
