"""Fixtures of the control plane's tests."""

from collections.abc import Iterator

import pytest

from tests.harness.apiserver import ApiServer, running


@pytest.fixture
def own_server() -> Iterator[ApiServer]:
    """An API server of the test's own, for what would disturb others."""
    with running() as server:
        yield server
