"""What API servers say no with, as faults: one line per form that was seen."""

import json
import typing

import pytest

from fanout_crds.faults import Fault
from fanout_dispatcher.cli.asking import objections, placed_in

ROUTE = {"metadata": {"name": "a", "namespace": "shop"}, "spec": {"targets": [{"name": "crm"}, {"name": "mail"}]}}
TYPED = "failed to create typed patch object (shop/a; fanout.dev/v1alpha1, Kind=FanoutRoute): "


def status(message: str, reason: str | None = None, **details: typing.Any) -> bytes:
    return json.dumps({"kind": "Status", "message": message, "reason": reason, "details": details}).encode()


def cause(field: str, message: str) -> dict[str, str]:
    return {"reason": "FieldValueInvalid", "field": field, "message": message}


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (
            status("…", causes=[cause("spec.targets[0].url", 'Invalid value: "ftp://x": must start with http://')]),
            Fault("spec.targets[0].url", "must start with http://"),
        ),
        (
            status("…", causes=[cause("spec.className", r'Invalid value: "a\"b: c": should match')]),
            Fault("spec.className", "should match"),
        ),
        (
            status("…", causes=[cause("<nil>", "Invalid value: metadata.name: too long")]),
            Fault("", "metadata.name: too long"),
        ),
        (status("…", causes=[cause("spec.targets", "Required value")]), Fault("spec.targets", "Required value")),
        (
            status(f'{TYPED}.spec.targets[name="mail"].urll: field not declared in schema'),
            Fault("spec.targets[1].urll", "the cluster's definition of routes says: field not declared in schema"),
        ),
        (
            status(f"{TYPED}.spec.suspend: expected boolean, got &{{maybe}}"),
            Fault("spec.suspend", "the cluster's definition of routes says: expected boolean, got &{maybe}"),
        ),
        (
            status('namespaces "shop" not found', "NotFound", kind="namespaces", name="shop"),
            Fault("metadata.namespace", 'the cluster has no namespace "shop"'),
        ),
        (status("denied", "Forbidden"), Fault("", "the API server says: denied")),
        (b"<html>bad gateway</html>", Fault("", "the API server says: <html>bad gateway</html>")),
    ],
)
def test_a_no_of_the_api_server_is_a_fault_with_its_path(said: bytes, fault: Fault) -> None:
    assert objections(said, ROUTE) == [fault]


def test_every_cause_is_a_fault_of_its_own() -> None:
    said = status("…", causes=[cause("spec.a", "one"), cause("spec.b", "two")])

    assert [one.path for one in objections(said, ROUTE)] == ["spec.a", "spec.b"]


@pytest.mark.parametrize(
    ("own", "found"), [({}, "context"), ({"namespace": "shop"}, "shop"), ({"namespace": None}, "context")]
)
def test_a_route_is_tried_where_kubectl_would_put_it(own: dict[str, str], found: str) -> None:
    assert placed_in({"metadata": {"name": "a", **own}}, "context")["metadata"]["namespace"] == found
