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
    endpoints = Endpoints(told.append, lambda _service: None)
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


def listening(*numbers: int, name: str = "http") -> Slice:
    return Slice("shop/payment", True, frozenset((name, number) for number in numbers))


@pytest.mark.parametrize(
    ("ports", "kept"),
    [
        ([{"name": "http", "port": 8080, "protocol": "TCP"}], {("http", 8080)}),
        ([{"name": "", "port": 8080}], {("", 8080)}),
        ([{"name": None, "port": 8080}], {("", 8080)}),
        ([{"name": "dns", "port": 53, "protocol": "UDP"}], set()),
        ([{"name": "all"}], set()),
        (None, set()),
    ],
)
def test_of_a_slices_ports_those_are_kept_that_can_be_connected_to(
    ports: list[dict[str, Any]] | None, kept: set[tuple[str, int]]
) -> None:
    assert reduced({**slice_(True), "ports": ports}).ports == kept
    assert reduced({**slice_(), "ports": ports}).ports == frozenset(), "nobody listens there"


def test_where_a_services_endpoints_listen_is_what_all_its_slices_say_and_news_when_it_changes() -> None:
    moved: list[str] = []
    endpoints = Endpoints(lambda _service: None, moved.append)
    endpoints.note("shop/a", None, listening(8080))
    endpoints.note("shop/b", None, listening(8080))
    one = endpoints.listens("shop/payment", "http")
    endpoints.note("shop/b", listening(8080), listening(9090))
    two = endpoints.listens("shop/payment", "http")
    endpoints.note("shop/a", listening(8080), None)

    assert [sorted(one), sorted(two), sorted(endpoints.listens("shop/payment", "http"))] == [
        [8080],
        [8080, 9090],
        [9090],
    ]
    assert endpoints.listens("shop/payment", "metrics") == endpoints.listens("shop/other", "http") == frozenset()
    assert moved == ["shop/payment"] * 3


def test_while_nobody_is_there_what_was_told_last_holds_and_it_ends_with_the_last_slice() -> None:
    moved: list[str] = []
    endpoints = Endpoints(lambda _service: None, moved.append)
    endpoints.note("shop/a", None, listening(8080))
    endpoints.note("shop/a", listening(8080), NOT)
    nobody = endpoints.listens("shop/payment", "http")
    endpoints.note("shop/a", NOT, listening(8080))
    endpoints.note("shop/a", listening(8080), Slice("shop/other", True))

    assert nobody == {8080}
    assert endpoints.listens("shop/payment", "http") == frozenset()
    assert moved == ["shop/payment"] * 2
