"""The harness as pytest fixtures; tests/conftest.py imports them, so that the whole run shares one API server."""

from collections.abc import Iterator

import pytest

from tests.harness.apiserver import ApiServer, running


@pytest.fixture(scope="session")
def apiserver() -> Iterator[ApiServer]:
    """One real Kubernetes API for the whole run; a test that stops it must start it again."""
    with running() as server:
        yield server


@pytest.fixture
def namespace(apiserver: ApiServer) -> str:
    """A namespace of the test's own."""
    return apiserver.namespace()
