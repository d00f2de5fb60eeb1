"""Dispatchers that are restarted, killed and moved while a producer posts: nothing that was acknowledged is lost.

The tests run in this order: the first two with one dispatcher, as the chart installs it, the others with two.
"""

import pytest

from tests.e2e.cluster.apps import Producer
from tests.e2e.cluster.load import Judge, judge, load, two
from tests.e2e.cluster.release import Release
from tests.harness.nodes.cluster import Cluster

__all__ = ["judge", "load", "two"]


def test_one_dispatcher_restarted_refuses_for_a_short_while_and_loses_nothing(
    release: Release, load: Producer, judge: Judge
) -> None:
    release.rollout_restart()

    judge("rollout restart of one")


def test_a_dispatcher_killed_comes_back_to_its_journal_and_loses_nothing(
    release: Release, load: Producer, judge: Judge
) -> None:
    (pod,) = release.dispatchers()
    release.kill(pod)
    release.restarted(pod)

    judge("kill -9 of one")


@pytest.mark.usefixtures("two")
def test_two_dispatchers_restarted_refuse_nothing(release: Release, load: Producer, judge: Judge) -> None:
    release.rollout_restart()

    assert judge("rollout restart of two").errors == []


@pytest.mark.usefixtures("two")
def test_a_node_that_is_drained_refuses_nothing(
    cluster: Cluster, release: Release, load: Producer, judge: Judge
) -> None:
    assert "node-2" in {one["spec"]["nodeName"] for one in release.dispatchers()}, "else the drain moves nothing"
    release.drain("node-2")
    try:
        judged = judge("drain of a node")
    finally:
        cluster.server.kubectl("uncordon", "node-2")

    assert judged.errors == []
