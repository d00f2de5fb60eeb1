"""Plans in the cluster: what the operator writes is what a dispatcher adopts, and what its selector finds."""

import pytest

from fanout_crds import cluster_plan
from fanout_crds.plan import Plan
from fanout_dispatcher.plans.pairing import Adopt, Refuse, Wait, decide, name_of, route_of
from fanout_operator import plans
from fanout_operator.kube import Document
from tests.unit.dispatcher.plans.test_pairing import plan

CREDENTIALS = {"t.bearer": b"s3cret"}


def written(made: Plan) -> tuple[Document, Document]:
    return plans.config_map(made, "fanout", "ours"), plans.secret(made, CREDENTIALS, "fanout", "ours")


def test_the_two_objects_that_are_written_are_adopted_as_the_plan_they_were_made_of() -> None:
    made = plan(bearer=True)
    config_map, secret = written(made)

    assert decide(config_map, secret) == Adopt(made, CREDENTIALS)
    assert name_of(config_map) == name_of(secret) == cluster_plan.name_of(made.uid)


def test_the_secret_of_another_revision_is_not_adopted() -> None:
    config_map, _ = written(plan(bearer=True, revision="r2"))
    _, older = written(plan(bearer=True, revision="r1"))

    assert decide(config_map, older) == Wait("shop/order")


def test_a_config_map_without_a_plan_is_refused_for_its_route() -> None:
    config_map, secret = written(plan(bearer=True))
    del config_map["data"]

    assert isinstance(decide(config_map, secret), Refuse)
    assert route_of(config_map) == "shop/order"


def test_an_installations_selector_finds_both_objects_and_no_other_installations() -> None:
    wanted = dict(one.split("=") for one in cluster_plan.selector("ours").split(","))
    others = dict(one.split("=") for one in cluster_plan.selector("theirs").split(","))
    found = [one["metadata"]["labels"] for one in written(plan(bearer=True))]

    assert all(wanted.items() <= labels.items() for labels in found)
    assert not any(others.items() <= labels.items() for labels in found)


def test_what_was_written_reads_back_as_it_was() -> None:
    made = plan(bearer=True)
    config_map, secret = written(made)
    content = plans.content(config_map, secret)

    assert content is not None
    assert (content.plan_revision, content.generation, content.path) == (made.revision, made.generation, made.path)
    assert (content.credentials, content.credentials_revision) == (CREDENTIALS, made.revision)


def test_metadata_that_somebody_emptied_reads_as_empty() -> None:
    bare = {"metadata": {"name": "fanout-plan-u1", "annotations": None, "labels": None, "managedFields": None}}

    assert plans.written(bare) == plans.Written(route="", route_uid="u1", revision="", path="", created="")


@pytest.mark.parametrize("mark", ["no/such/route", "shop", "/", "shop/", "../../secrets/x", "shop/a?b"])
def test_a_mark_that_is_no_routes_key_reads_as_empty(mark: str) -> None:
    assert plans.written({"metadata": {"name": "x", "annotations": {cluster_plan.ROUTE: mark}}}).route == ""
