"""Fixtures that every test may ask for; none of them does anything until asked."""

import hypothesis
import pytest

from tests.harness import loopback
from tests.harness.fixtures import apiserver, namespace
from tests.support.figures import figure, pytest_terminal_summary

__all__ = ["apiserver", "figure", "namespace", "pytest_terminal_summary"]


def pytest_configure() -> None:
    """Let the suite run in an empty network namespace, and take its time on a busy machine."""
    loopback.bring_up()
    hypothesis.settings.register_profile("unhurried", deadline=None)  # a timing is a bench key, no assertion
    hypothesis.settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--long``: the fault runs in their long form. ``--nodes``: what needs pods, as `make e2e` runs it."""
    parser.addoption("--long", action="store_true", help="tests/faults in their long form, as `make faults` runs them")
    parser.addoption("--nodes", action="store_true", help="tests/e2e/cluster too, which only `make e2e` can run")
