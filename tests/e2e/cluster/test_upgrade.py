"""`helm upgrade` under load, from the release before and to the next image; and what `helm uninstall` leaves.

That is what only a person deletes.
"""

from pathlib import Path

import pytest

from tests.e2e.cluster.apps import NEXT, Producer
from tests.e2e.cluster.load import ROUTE, Judge, judge, load, two
from tests.e2e.cluster.previous import previous_chart
from tests.e2e.cluster.release import Release

__all__ = ["judge", "load", "two"]

PASSING = ("pod/", "replicaset", "endpointslice", "controllerrevision", "endpoints/")  # the garbage collector's
CLEAN = ("delete", "configmaps,secrets", "--selector=fanout.dev/plan=true")  # as the chart's README says


@pytest.fixture
def older(release: Release, receivers: object, tmp_path: Path) -> None:
    """The release before, installed afresh on the volume that is there."""
    chart = previous_chart(tmp_path)  # first: where there is none, this release stays
    release.uninstall()
    release.install("operator.logLevel=debug", "dispatcher.logLevel=debug", chart=chart)
    release.programmed(ROUTE.namespace, ROUTE.name)


@pytest.mark.usefixtures("older", "load")
def test_an_upgrade_from_the_release_before_loses_nothing(release: Release, judge: Judge) -> None:
    release.install()

    judge("helm upgrade")


@pytest.mark.usefixtures("two")
def test_an_upgrade_to_another_image_refuses_and_loses_nothing(release: Release, load: Producer, judge: Judge) -> None:
    (before,) = release.versions()
    release.install("dispatcher.replicas=2", image=NEXT)
    release.settled()
    (after,) = release.versions()
    release.programmed(ROUTE.namespace, ROUTE.name)

    assert (before.endswith("+next"), after) == (False, f"{before}+next")
    assert judge("helm upgrade to another image, of two").errors == []


@pytest.mark.usefixtures("receivers")
def test_uninstalling_leaves_what_a_new_release_goes_on_with_and_nothing_else(release: Release) -> None:
    """The definition of routes and the routes, the volumes, and what the operator wrote: plans and its lease."""
    routes, volumes = release.routes(), volumes_of(release)
    release.uninstall()
    left = release.objects_once(lambda found: not any(of in one for one in found for of in PASSING))

    assert release.cluster_objects() == {"customresourcedefinition.apiextensions.k8s.io/fanoutroutes.fanout.dev"}
    assert release.routes() == routes != []
    assert volumes_of(release) == volumes != set()
    assert {kind(one) for one in left - volumes} == {"configmap/fanout-plan", "secret/fanout-plan", "lease"}

    release.kubectl(*CLEAN)

    assert {kind(one) for one in release.objects() - volumes} == {"lease"}


def volumes_of(release: Release) -> set[str]:
    """Name the claims of the journals' volumes."""
    return {one for one in release.objects() if one.startswith("persistentvolumeclaim/data-fanout-dispatcher-")}


def kind(name: str) -> str:
    """Say what an object is, plans told apart from other ConfigMaps and Secrets."""
    if "/fanout-plan-" in name:
        return name.partition("-plan-")[0] + "-plan"
    return "lease" if name == "lease.coordination.k8s.io/fanout-operator" else name
