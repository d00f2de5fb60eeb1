"""The operator against a real API server, as the chart's ServiceAccount: routes in, plans and status out."""

import base64
import json
from collections.abc import Iterator

import pytest

from fanout_crds.cluster_plan import CLASS, FILE, PATH, REVISION, ROUTE, ROUTE_UID, name_of
from tests.controlplane.installed import Installation, Operator, condition, running_operator
from tests.controlplane.manifests import CRM, secret, service
from tests.controlplane.reports import Reports
from tests.controlplane.waiting import Document, until
from tests.harness.apiserver import KubectlError

PAYMENT: Document = {"name": "payment", "service": {"name": "payment", "port": "http", "path": "/charges"}}
TOKEN: Document = {
    "name": "mail",
    "url": "https://mail.example.com/",
    "authentication": {"bearer": {"secretRef": {"name": "mail", "key": "token"}}},
}


@pytest.fixture(scope="module")
def fanout(release: Installation) -> Installation:
    return release.beside("test-operator")


@pytest.fixture(scope="module", autouse=True)
def operator(fanout: Installation, reports: Reports) -> Iterator[Operator]:
    with running_operator(fanout, f"--dispatcher={reports.url}", "--public-url=http://in.example") as process:
        yield process


def test_a_good_route_is_ready_when_the_dispatcher_says_that_it_runs_this_very_plan(
    fanout: Installation, reports: Reports, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    plan = fanout.plan(namespace, "orders")
    before = fanout.status(namespace, "orders", Ready="False/Waiting")
    reports.run(plan)
    after = fanout.status(namespace, "orders", Ready="True/Ready", Healthy="True")

    assert condition(before, "Accepted")["status"] == condition(before, "ResolvedRefs")["status"] == "True"
    assert [target["url"] for target in plan["targets"]] == ["https://crm.example.com/events"]
    assert after["observedGeneration"] == after["programmedGeneration"] == 1
    assert after["address"] == {"url": f"http://in.example/{namespace}/orders"}
    assert after["targets"] == [{"name": "crm", "circuit": "Closed", "pending": 0, "deadLetters": 0}]


def test_a_changed_route_is_not_ready_before_the_new_plan_runs(
    fanout: Installation, reports: Reports, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    first = fanout.plan(namespace, "orders")
    reports.run(first)
    fanout.status(namespace, "orders", Ready="True")
    fanout.apply(fanout.route(namespace, "orders", CRM, suspend=True))
    second = fanout.plan(namespace, "orders", generation=2)
    between = fanout.status(namespace, "orders", Ready="False/Waiting")
    reports.run(second)
    after = fanout.status(namespace, "orders", Ready="True")

    assert second["revision"] != first["revision"]
    assert between["programmedGeneration"] == 1
    assert after["programmedGeneration"] == 2


def test_what_a_dispatcher_counts_is_told_in_the_status(fanout: Installation, reports: Reports, namespace: str) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    plan = fanout.plan(namespace, "orders")
    reports.run(plan, crm={"circuit": "Open", "pending": 1234, "deadLetters": 3, "lastError": "connect failed"})
    opened = fanout.status(namespace, "orders", Healthy="False/CircuitOpen", Ready="True")
    reports.run(plan, crm={"deadLetters": 3})
    dead = fanout.status(namespace, "orders", Healthy="False/DeadLetters")

    assert opened["targets"] == [
        {"name": "crm", "circuit": "Open", "pending": 1200, "deadLetters": 3, "lastError": "connect failed"}
    ]
    assert (opened["pending"], opened["deadLetters"], opened["openCircuits"]) == (1200, 3, 1)
    assert condition(dead, "Healthy")["message"].endswith("crm (3)")


def test_kubectl_get_shows_how_a_route_is_in_one_line(fanout: Installation, reports: Reports, namespace: str) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM, CRM | {"name": "mail"}))
    reports.run(fanout.plan(namespace, "orders"), crm={"circuit": "Open", "pending": 12, "deadLetters": 3})
    fanout.status(namespace, "orders", Ready="True", Healthy="False/CircuitOpen")

    narrow, wide = (
        fanout.server.kubectl("get", "fr", f"--namespace={namespace}", *output).splitlines()
        for output in ((), ("-o", "wide"))
    )

    assert narrow[0].split() == ["NAME", "READY", "REASON", "HEALTHY", "TARGETS", "PENDING", "DEAD", "AGE"]
    assert narrow[1].split()[:-1] == ["orders", "True", "Ready", "False", "2", "12", "3"]
    assert wide[0].split()[-3:] == ["AGE", "URL", "OPEN"]
    assert wide[1].split()[-2:] == [f"http://in.example/{namespace}/orders", "1"]


def test_a_plan_that_a_dispatcher_refuses_is_not_programmed_and_says_why(
    fanout: Installation, reports: Reports, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    reports.refuse(fanout.plan(namespace, "orders"), "format 9 is not one this dispatcher reads")
    status = fanout.status(namespace, "orders", Programmed="False/PlanRefused", Ready="False")

    assert "format 9" in condition(status, "Programmed")["message"]


def test_a_dispatcher_that_reports_more_than_a_status_may_hold_does_not_keep_the_rest_from_being_told(
    fanout: Installation, reports: Reports, namespace: str
) -> None:
    """Names are another process's word: a status that the API server refuses would tell of nothing at all."""
    fanout.apply(fanout.route(namespace, "orders", CRM))
    plan = fanout.plan(namespace, "orders")
    behind = [{"name": "." * 100}, *({"name": f"crm.{number}"} for number in range(400))]
    reports.run(plan | {"targets": plan["targets"] + behind})
    status = fanout.status(namespace, "orders", Ready="True")

    assert [one["name"] for one in status["targets"]][:2] == ["crm", "crm.0"]


def test_a_missing_service_holds_its_target_until_it_appears(fanout: Installation, namespace: str) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM, PAYMENT))
    held = fanout.plan(namespace, "orders")
    without = fanout.status(namespace, "orders", ResolvedRefs="False/ServiceNotFound", Ready="False")
    fanout.apply(service(namespace, "payment"))
    resolved = fanout.plan(namespace, "orders", targets=[held["targets"][0], _resolved(held["targets"][1], namespace)])
    fanout.status(namespace, "orders", ResolvedRefs="True")

    assert [target["held"] for target in held["targets"]] == [None, "ServiceNotFound"]
    assert f"there is no Service {namespace}/payment" in condition(without, "ResolvedRefs")["message"]
    assert resolved["revision"] != held["revision"]


def _resolved(target: Document, namespace: str) -> Document:
    url = f"http://payment.{namespace}.svc:8080/charges"
    return target | {"url": url, "held": None, "heldMessage": None}


def test_a_port_that_the_service_does_not_have_is_said_with_those_it_has(fanout: Installation, namespace: str) -> None:
    target = {"name": "payment", "service": {"name": "payment", "port": "grpc"}}
    fanout.apply(service(namespace, "payment"), fanout.route(namespace, "orders", target))
    status = fanout.status(namespace, "orders", ResolvedRefs="False/PortNotFound")

    assert "has no TCP port grpc; it has http (8080)" in condition(status, "ResolvedRefs")["message"]


def test_another_namespaces_service_is_not_even_looked_at(fanout: Installation, namespace: str) -> None:
    target = {"name": "payment", "service": {"name": "payment", "namespace": "kube-system", "port": 80}}
    fanout.apply(fanout.route(namespace, "orders", target))
    status = fanout.status(namespace, "orders", ResolvedRefs="False/RefNotPermitted")

    assert "is of another namespace" in condition(status, "ResolvedRefs")["message"]


def test_a_rotated_secret_gives_a_new_revision_and_no_value_ever_enters_the_plan(
    fanout: Installation, namespace: str
) -> None:
    fanout.apply(secret(namespace, "mail", token="first-value"), fanout.route(namespace, "orders", TOKEN))
    first = fanout.plan(namespace, "orders")
    before = fanout.credentials(first)
    fanout.apply(secret(namespace, "mail", token="second-value"))
    second = fanout.another_plan(first)
    after = fanout.credentials(second)

    assert base64.b64decode(before["data"]["mail.bearer"]) == b"first-value"
    assert base64.b64decode(after["data"]["mail.bearer"]) == b"second-value"
    assert "first-value" not in json.dumps(fanout.plans())
    assert second["generation"] == first["generation"] == 1


def test_a_removed_secret_takes_the_credentials_away_and_holds_the_target(fanout: Installation, namespace: str) -> None:
    fanout.apply(secret(namespace, "mail", token="value"), fanout.route(namespace, "orders", TOKEN))
    plan = fanout.plan(namespace, "orders")
    fanout.credentials(plan)
    fanout.server.kubectl("delete", "secret", "mail", f"--namespace={namespace}")
    status = fanout.status(namespace, "orders", ResolvedRefs="False/SecretNotFound")
    until(
        fanout.server,
        f"/api/v1/namespaces/{fanout.namespace}/secrets",
        lambda items: not items,
        name=name_of(plan["uid"]),
    )

    assert f"there is no Secret {namespace}/mail" in condition(status, "ResolvedRefs")["message"]
    assert fanout.plan(namespace, "orders")["targets"][0]["held"] == "SecretNotFound"


def test_a_bad_route_is_refused_by_the_api_server_with_the_sentence(fanout: Installation, namespace: str) -> None:
    both = CRM | {"service": {"name": "payment", "port": 80}}

    with pytest.raises(KubectlError, match="exactly one of url and service is needed"):
        fanout.apply(fanout.route(namespace, "orders", both))


def test_a_route_outside_its_namespaces_paths_is_not_accepted_and_its_last_good_plan_stays(
    fanout: Installation, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    good = fanout.plan(namespace, "orders")
    fanout.apply(fanout.route(namespace, "orders", CRM, listen={"path": "/elsewhere/orders"}))
    status = fanout.status(namespace, "orders", Accepted="False/PathNotAllowed", Programmed="False/LastGoodPlan")

    assert f"must start with /{namespace}/" in condition(status, "Accepted")["message"]
    assert fanout.plan(namespace, "orders") == good


def test_what_only_a_merged_policy_contradicts_is_not_accepted(fanout: Installation, namespace: str) -> None:
    target = CRM | {"policy": {"circuitBreaker": {"openDuration": "10m"}}}
    defaults = {"policy": {"circuitBreaker": {"maxOpenDuration": "1m"}}}
    fanout.apply(fanout.route(namespace, "orders", target, defaults=defaults))
    status = fanout.status(namespace, "orders", Accepted="False/Invalid", Programmed="False/NoPlan", Ready="False")

    assert "spec.targets[0].policy" in condition(status, "Accepted")["message"]


def test_the_incumbent_keeps_a_contested_path_and_the_other_gets_it_when_it_is_free(
    fanout: Installation, namespace: str
) -> None:
    listen = {"path": f"/{namespace}/orders"}
    fanout.apply(fanout.route(namespace, "second", CRM, listen=listen))
    fanout.plan(namespace, "second")
    fanout.apply(fanout.route(namespace, "first", CRM, listen=listen))
    contested = fanout.status(namespace, "first", Accepted="False/PathContested")
    fanout.server.kubectl("delete", "fanoutroute", "second", f"--namespace={namespace}")
    fanout.plan(namespace, "first")
    fanout.status(namespace, "first", Accepted="True")

    assert f"belongs to {namespace}/second" in condition(contested, "Accepted")["message"]


def test_a_route_of_another_class_is_nobodys_here_and_one_that_leaves_takes_its_plan_along(
    fanout: Installation, namespace: str
) -> None:
    stranger = fanout.route(namespace, "stranger", CRM, className="another")
    leaver = fanout.route(namespace, "leaver", CRM)
    fanout.apply(stranger, leaver)
    fanout.plan(namespace, "leaver")
    fanout.apply(leaver | {"spec": stranger["spec"]})
    fanout.without_plan(namespace, "leaver")
    status = fanout.status(namespace, "stranger", Accepted="Unknown/Pending")

    assert f"{namespace}/stranger" not in fanout.plans()
    assert "observedGeneration" not in status


def test_a_deleted_route_takes_its_plan_and_credentials_along(fanout: Installation, namespace: str) -> None:
    fanout.apply(secret(namespace, "mail", token="value"), fanout.route(namespace, "orders", TOKEN))
    fanout.credentials(fanout.plan(namespace, "orders"))
    fanout.server.kubectl("delete", "fanoutroute", "orders", f"--namespace={namespace}")

    fanout.without_plan(namespace, "orders")


def test_a_route_made_again_has_a_plan_of_its_own_and_the_old_one_goes(fanout: Installation, namespace: str) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    old = fanout.plan(namespace, "orders")
    fanout.server.kubectl("delete", "fanoutroute", "orders", f"--namespace={namespace}")
    fanout.apply(fanout.route(namespace, "orders", CRM))
    until(
        fanout.server,
        f"/api/v1/namespaces/{fanout.namespace}/configmaps",
        lambda items: not items,
        name=name_of(old["uid"]),
    )

    assert fanout.plan(namespace, "orders")["uid"] != old["uid"]


def test_a_plan_that_somebody_removed_or_spoilt_is_put_back(fanout: Installation, namespace: str) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    first = fanout.plan(namespace, "orders")
    name = name_of(first["uid"])
    fanout.server.kubectl("delete", "configmap", name, f"--namespace={fanout.namespace}")
    second = fanout.another_plan(first)
    fanout.server.kubectl(
        "annotate", "configmap", name, f"{REVISION}=spoilt", "--overwrite", f"--namespace={fanout.namespace}"
    )
    third = fanout.plan(namespace, "orders")

    assert second["targets"] == third["targets"] == first["targets"]


@pytest.mark.parametrize(
    "spoil",
    [
        {"data": {FILE: "{}"}},
        {"data": {FILE: None}},
        {"metadata": {"annotations": {ROUTE: "{namespace}/other"}}},
        {"metadata": {"annotations": {ROUTE: None}}},
        {"metadata": {"annotations": {ROUTE: "no/such/route"}}},
        {"metadata": {"annotations": {PATH: "/elsewhere"}}},
        {"metadata": {"labels": {ROUTE_UID: "another"}}},
        {"metadata": {"labels": {CLASS: "another"}}},
        {"data": {FILE: "{}"}, "immutable": True},
    ],
    ids=[
        "changed",
        "emptied",
        "anothers",
        "nobodys",
        "nonsense",
        "elsewhere",
        "of another uid",
        "of another class",
        "immutable",
    ],
)
def test_whatever_somebody_edits_in_a_plan_is_put_back_and_no_other_plan_suffers(
    fanout: Installation, namespace: str, spoil: Document
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM), fanout.route(namespace, "other", CRM))
    first, other = fanout.plan(namespace, "orders"), fanout.plan(namespace, "other")
    edited = json.dumps(spoil).replace("{namespace}", namespace)
    patch_plan(fanout, "configmap", first, edited)
    second = fanout.another_plan(first)
    patch_plan(fanout, "configmap", first, edited)
    third = fanout.another_plan(second)

    assert second["targets"] == third["targets"] == first["targets"]
    assert fanout.plan(namespace, "orders") == third
    assert fanout.plan(namespace, "other") == other


def test_whatever_somebody_edits_in_a_plans_credentials_is_put_back(fanout: Installation, namespace: str) -> None:
    fanout.apply(secret(namespace, "mail", token="s3cr3t"), fanout.route(namespace, "orders", TOKEN))
    plan = fanout.plan(namespace, "orders")
    patch_plan(fanout, "secret", plan, json.dumps({"data": {"mail.bearer": "c3BvaWx0"}}))
    again = fanout.another_plan(plan)

    assert fanout.credentials(again)["data"] == {"mail.bearer": base64.b64encode(b"s3cr3t").decode()}


def patch_plan(fanout: Installation, kind: str, plan: Document, patch: str) -> None:
    fanout.server.kubectl(
        "patch", kind, name_of(plan["uid"]), f"--namespace={fanout.namespace}", "--type=merge", f"--patch={patch}"
    )


def test_nothing_is_left_on_an_object_but_its_status(fanout: Installation, namespace: str) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    fanout.status(namespace, "orders", Accepted="True")
    found = json.loads(
        fanout.server.kubectl(
            "get", "fanoutroute", "orders", f"--namespace={namespace}", "-o", "json", "--show-managed-fields"
        )
    )
    ours = [one for one in found["metadata"]["managedFields"] if one["manager"] == "fanout-operator"]

    assert "finalizers" not in found["metadata"]
    assert list(found["metadata"]["annotations"]) == ["kubectl.kubernetes.io/last-applied-configuration"]
    assert [one.get("subresource") for one in ours] == ["status"]


def test_events_that_change_nothing_cost_no_patch(
    fanout: Installation, reports: Reports, operator: Operator, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    plan = fanout.plan(namespace, "orders")
    reports.run(plan)
    fanout.status(namespace, "orders", Ready="True")
    before = operator.patches()
    for number in range(5):
        fanout.server.kubectl(
            "label", "fanoutroute", "orders", f"n={number}", "--overwrite", f"--namespace={namespace}"
        )
    fanout.apply(service(namespace, "unrelated"), secret(namespace, "unrelated", a="b"))
    reports.run(plan)
    fanout.apply(fanout.route(namespace, "last", CRM))
    fanout.status(namespace, "last", Accepted="True")  # it was told after all of the above

    assert operator.patches() - before == 2  # the plan and the status of the last one
