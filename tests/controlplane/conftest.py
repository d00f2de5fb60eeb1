"""Fixtures of the control plane's tests.

A server takes about six seconds of a processor and a release one: both are shared wherever a test is not about them.
Each module has a class of its own, so that no operator sees what another one left behind.
"""

from collections.abc import Iterator

import pytest

from fanout_crds.schema import NAME
from tests.controlplane.installed import Installation, define
from tests.controlplane.reports import Reports, reporting
from tests.harness.apiserver import ApiServer, running


@pytest.fixture(scope="session")
def release(apiserver: ApiServer) -> Installation:
    """The chart as it is by default; `beside` gives a test its own class in it."""
    define(apiserver)
    installation = Installation(apiserver, "test")
    installation.install()
    return installation


@pytest.fixture(scope="module")
def reports() -> Iterator[Reports]:
    """The report port of a dispatcher, played."""
    with reporting() as port:
        yield port


@pytest.fixture(scope="session")
def second_server() -> Iterator[ApiServer]:
    """Another server, for one after another of those that would disturb others."""
    with running() as server:
        yield server


@pytest.fixture
def own_server(second_server: ApiServer) -> ApiServer:
    """A server that a test may stop, and on which nobody has defined routes yet."""
    second_server.kubectl("delete", "crd", NAME, "--ignore-not-found")
    return second_server
