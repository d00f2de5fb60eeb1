"""Stuck sagas at the admin port: what is listed, what is meant, and what is said of it."""

import json

import pytest

from fanout_dispatcher.admin.app import application
from fanout_dispatcher.values.views import SagaFilter
from tests.unit.dispatcher.admin.fakes import FakeDesk, asking, log, saga_view


def desk_with(*receipts: str) -> FakeDesk:
    desk = FakeDesk()
    desk.undone = [saga_view(receipt) for receipt in receipts]
    return desk


async def test_a_list_names_what_is_stuck_of_each_and_follows_its_cursor() -> None:
    desk = desk_with("r1", "r2", "r3")
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        first = await (await client.get("/v1/sagas", params={"limit": "2"})).json()
        rest = await (await client.get("/v1/sagas", params={"after": first["next"]})).json()

    assert [one["receipt"] for one in first["items"]] == ["r1", "r2"]
    assert ([one["receipt"] for one in rest["items"]], rest["next"]) == (["r3"], None)
    [stuck] = first["items"][0]["stuck"]
    assert (stuck["target"], stuck["held"]) == ("payment.compensate", "SagaStuck")
    assert [one["outcome"] for one in stuck["history"]] == ["503", "422"]


@pytest.mark.parametrize("verb", ["resume", "abandon"])
async def test_those_that_are_meant_are_acted_upon_and_whether_more_remain_is_said(verb: str) -> None:
    desk = desk_with("r1", "r2", "r3")
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        some = await (await client.post(f"/v1/sagas/{verb}", json={"route": "shop/order", "limit": 2})).json()
        rest = await (await client.post(f"/v1/sagas/{verb}", json={"receipts": ["r3", "r1"]})).json()

    assert some == {"receipts": ["r1", "r2"], "remaining": True}
    assert rest == {"receipts": ["r3"], "remaining": False}
    assert desk.undone_asked == [
        SagaFilter(route="shop/order", limit=2),
        SagaFilter(receipts=("r3", "r1"), limit=2),
    ]


@pytest.mark.parametrize("verb", ["resume", "abandon"])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": False},
        {"all": True, "route": "shop/order"},
        {"receipts": ["r1"], "route": "shop/order"},
        {"route": "shop"},
        {"target": "payment.compensate"},
        {"all": True, "limit": 0},
        {"all": True, "limit": 1001},
    ],
)
async def test_a_filter_that_does_not_say_clearly_which_changes_nothing(verb: str, body: dict[str, object]) -> None:
    desk = desk_with("r1")
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        answer = await client.post(f"/v1/sagas/{verb}", data=json.dumps(body))

    assert answer.status == 400
    assert (len(desk.undone), desk.undone_asked) == (1, [])
