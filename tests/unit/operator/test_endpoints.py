"""EndpointSlices: whether anybody is there, and when that is news."""

from typing import Any

import pytest

from fanout_operator.endpoints import UNKNOWN, Endpoints, Heard, Slice, reduced

READY, NOT = Slice("shop/payment", 1), Slice("shop/payment", 0)


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
        (slice_(True, False, True), Slice("shop/payment", 2)),
        (slice_(False), NOT),
        (slice_(), NOT),
        ({**slice_(), "endpoints": None}, NOT),
        ({**slice_(), "endpoints": [{"addresses": ["10.0.0.1"]}]}, READY),
        ({"metadata": {"name": "stray", "namespace": "shop"}}, Slice("shop/", 0)),
    ],
)
def test_of_a_slice_its_service_is_kept_and_how_many_are_ready(found: dict[str, Any], kept: Slice) -> None:
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


def listening(number: int, *, ready: int = 1) -> Slice:
    return Slice("shop/payment", ready, frozenset({("http", number)}))


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


def heard(*slices: Slice) -> tuple[Endpoints, list[str]]:
    """What slices tell, one after another, and of which Services that was news."""
    moved: list[str] = []
    endpoints = Endpoints(lambda _service: None, moved.append)
    for number, one in enumerate(slices):
        endpoints.note(f"shop/{number}", None, one)
    return endpoints, moved


def test_a_service_is_asked_where_most_of_its_ready_endpoints_listen_and_only_another_place_is_news() -> None:
    """A rollout of three pods that changes the number behind a port's name, as its two slices tell it."""
    endpoints, moved = heard(listening(8080, ready=3))
    asked = []
    before = [listening(8080, ready=3), NOT]
    for old, new in ((3, 0), (2, 1), (1, 1), (1, 2), (0, 3)):
        now = [listening(8080, ready=old) if old else NOT, listening(9090, ready=new)]
        for number, (was, is_) in enumerate(zip(before, now, strict=True)):
            endpoints.note(f"shop/{number}", was, is_)
        asked.append(endpoints.listens("shop/payment", "http").number)
        before = now

    assert asked == [8080, 8080, 8080, 9090, 9090]
    assert moved == ["shop/payment"] * 2, "when it was first heard of, and once in the rollout"
    assert endpoints.listens("shop/payment", "metrics") == endpoints.listens("shop/other", "http") == UNKNOWN


def test_endpoints_that_are_not_ready_tell_where_to_ask_while_no_others_do() -> None:
    endpoints, _ = heard(listening(8080, ready=0))
    starting = endpoints.listens("shop/payment", "http")
    endpoints.note("shop/1", None, listening(9090, ready=1))

    assert (starting.number, endpoints.listens("shop/payment", "http").number) == (8080, 9090)


def test_a_number_that_other_endpoints_use_for_another_port_is_said() -> None:
    swapped = Slice("shop/payment", 1, frozenset({("http", 9090), ("metrics", 8080)}))
    endpoints, moved = heard(listening(8080, ready=2), swapped)
    during = endpoints.listens("shop/payment", "http")
    endpoints.note("shop/0", listening(8080, ready=2), None)

    assert (during, endpoints.listens("shop/payment", "http")) == (Heard(8080, "metrics"), Heard(9090))
    assert moved == ["shop/payment"] * 3


def test_while_nobody_is_there_what_was_told_last_holds_and_it_ends_with_the_last_slice() -> None:
    endpoints, moved = heard(listening(8080))
    endpoints.note("shop/0", listening(8080), NOT)
    nobody = endpoints.listens("shop/payment", "http")
    endpoints.note("shop/0", NOT, listening(8080))
    endpoints.note("shop/0", listening(8080), Slice("shop/other", 1))

    assert nobody == Heard(8080)
    assert endpoints.listens("shop/payment", "http") == UNKNOWN
    assert moved == ["shop/payment"] * 2
