"""Fixtures that every test may ask for; none of them does anything until asked."""

from tests.harness import loopback
from tests.harness.fixtures import apiserver, namespace

__all__ = ["apiserver", "namespace"]


def pytest_configure() -> None:
    """Let the suite run in an empty network namespace."""
    loopback.bring_up()
