"""Which dispatchers there are."""

import asyncio
from typing import Any

import aiohttp
import pytest

from fanout_crds.report import RouteReport
from fanout_operator import dispatchers
from fanout_operator.access import ReportAccess
from fanout_operator.dispatchers import Followers, named, ready_in
from fanout_operator.fleet import Fleet
from fanout_operator.report import ReportPort
from tests.unit.operator.made import rng

NAME = "fanout-report.fanout.svc"


def slice_(*endpoints: dict[str, Any], ports: Any = ({"name": "report", "port": 8082},)) -> dict[str, Any]:
    return {"ports": list(ports) if ports else ports, "endpoints": list(endpoints)}


def endpoint(address: str = "10.0.0.1", pod: str = "fanout-dispatcher-0", **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "targetRef": {"name": pod}, "conditions": conditions}


def test_a_ready_pod_is_a_dispatcher_by_its_name_with_the_services_certificate() -> None:
    assert ready_in(slice_(endpoint(ready=True)), NAME) == (
        ("fanout-dispatcher-0", ReportPort("https://10.0.0.1:8082", NAME)),
    )


def test_one_that_is_not_ready_does_not_count_and_unset_means_ready() -> None:
    found = ready_in(slice_(endpoint(ready=False), endpoint("10.0.0.2", "fanout-dispatcher-1")), NAME)

    assert [name for name, _ in found] == ["fanout-dispatcher-1"]


def test_an_ipv6_address_gets_its_brackets() -> None:
    ((_, found),) = ready_in(slice_(endpoint("fd00::1")), NAME)

    assert found.url == "https://[fd00::1]:8082"


@pytest.mark.parametrize("ports", [None, (), ({"name": "other", "port": 1},)])
def test_a_slice_without_the_report_port_has_no_dispatchers(ports: Any) -> None:
    assert ready_in(slice_(endpoint(), ports=ports), NAME) == ()


def test_dispatchers_on_the_command_line_go_by_their_url() -> None:
    assert named(["http://127.0.0.1:8082"]) == {"http://127.0.0.1:8082": ReportPort("http://127.0.0.1:8082")}


async def test_one_that_stays_away_is_forgotten_and_one_that_was_back_is_remembered_from_then_on_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatchers, "REMEMBERED", 0.1)
    forgotten, remembered = asyncio.Event(), list[tuple[str, ...]]()

    def told(routes: object) -> None:
        if routes == ("shop/gone",):
            remembered.append(tuple(name for name, _ in fleet.view("shop/back").remembered))
            forgotten.set()

    fleet = Fleet(told)
    ports = {name: ReportPort("http://127.0.0.1:9") for name in ("back", "gone")}
    async with aiohttp.ClientSession() as session, asyncio.timeout(5):
        followers = Followers(fleet, session, ReportAccess(), rng())
        followers.set(ports)
        for name in ports:
            fleet.hello(name)
            fleet.route(name, RouteReport(route=f"shop/{name}"))
            fleet.loaded(name)
        followers.set({})
        followers.set({"back": ports["back"]})
        followers.set({})
        await forgotten.wait()
        await followers.close()

    assert remembered == [("back",)]
