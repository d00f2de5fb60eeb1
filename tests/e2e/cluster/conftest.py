"""Fixtures of what needs nodes; nothing here is even collected unless `make e2e` asks for it by ``--nodes``."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import examples, volumes
from tests.e2e.cluster.apps import Receiver, apply
from tests.e2e.cluster.release import Release
from tests.harness.nodes.cluster import Cluster, running
from tests.harness.nodes.machine import UNAVAILABLE


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out of `make test`."""
    return None if config.getoption("--nodes") else True


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two nodes for the whole run. Where they do not come up it is the machine's doing: the run ends and says so."""
    with running(nodes=2) as cluster:
        try:
            cluster.start()
        except (OSError, RuntimeError, subprocess.SubprocessError) as why:
            pytest.exit(f"no cluster comes up on this machine: {why}\n{cluster.logs()}", returncode=UNAVAILABLE)
        yield cluster


@pytest.fixture(scope="session")
def release(cluster: Cluster) -> Release:
    """The chart, installed with one dispatcher as it is by default."""
    volumes.provide(cluster, count=2)
    release = Release(cluster)
    release.install()
    return release


@pytest.fixture(scope="session")
def receivers(cluster: Cluster, release: Release) -> dict[str, Receiver]:
    """Every example applied and Ready, and for each namespace the pod that plays its targets."""
    documents = examples.documents()
    found = examples.routes(documents)
    receivers = {}
    for namespace in sorted({one.namespace for one in found}):
        cluster.server.kubectl("create", "namespace", namespace)
        names = {name for one in found if one.namespace == namespace for name in one.targets}
        receivers[namespace] = Receiver(cluster, namespace, names)
        receivers[namespace].start()
    apply(cluster, *documents)
    for one in found:
        release.programmed(one.namespace, one.name)
    return receivers


@pytest.fixture(params=[one for one in examples.routes(examples.documents()) if one.takes_any], ids=str)
def route(request: pytest.FixtureRequest) -> examples.Route:
    """Each route of the examples that takes any event, in turn."""
    route: examples.Route = request.param
    return route


@pytest.fixture(params=[one for one in examples.routes(examples.documents()) if one.wants_its_own], ids=str)
def particular(request: pytest.FixtureRequest) -> examples.Route:
    """Each of the other routes, which want the event that their example shows; one that fetches events has none."""
    route: examples.Route = request.param
    return route
