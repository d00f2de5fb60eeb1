"""EndpointSlices: whether anybody is there, and when that is news."""

from typing import Any

import pytest

from fanout_operator.endpoints import Endpoints, Slice, reduced

READY, NOT = Slice("shop/payment", True), Slice("shop/payment", False)


def slice_(*ready: bool | None, service: str = "payment") -> dict[str, Any]:
    endpoints = [{"addresses": ["10.0.0.1"], "conditions": {} if one is None else {"ready": one}} for one in ready]
    metadata = {"name": "payment-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": service}}
    return {"metadata": metadata, "endpoints": endpoints}


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (slice_(True), READY),
        (slice_(False, True), READY),
        (slice_(None), READY),
        (slice_(False), NOT),
        (slice_(), NOT),
        ({**slice_(), "endpoints": None}, NOT),
        ({**slice_(), "endpoints": [{"addresses": ["10.0.0.1"]}]}, READY),
        ({"metadata": {"name": "stray", "namespace": "shop"}}, Slice("shop/", False)),
    ],
)
def test_of_a_slice_its_service_is_kept_and_whether_one_is_ready(found: dict[str, Any], kept: Slice) -> None:
    assert reduced(found) == kept


def test_a_service_is_there_while_any_of_its_slices_has_a_ready_endpoint_and_only_that_is_news() -> None:
    told: list[str] = []
    endpoints = Endpoints(told.append)
    endpoints.note("shop/a", None, NOT)
    before = endpoints.ready("shop/payment")
    endpoints.note("shop/a", NOT, READY)
    endpoints.note("shop/b", None, READY)
    endpoints.note("shop/a", READY, None)
    during = endpoints.ready("shop/payment")
    endpoints.note("shop/b", READY, NOT)
    after = endpoints.ready("shop/payment")

    assert (before, during, after) == (False, True, False)
    assert told == ["shop/payment"] * 2
