"""Fixtures of what needs nodes; nothing here is even collected unless `make e2e` asks for it by ``--nodes``."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

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
