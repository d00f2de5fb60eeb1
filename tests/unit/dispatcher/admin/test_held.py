"""Held routes at the admin port: listed, counted, and let go by name or all."""

from typing import Any

import pytest

from fanout_dispatcher.admin.app import application
from tests.unit.dispatcher.admin.fakes import FakeDesk, FakeHolder, asking, log


async def let_go(holder: FakeHolder, asked: Any) -> tuple[int, Any]:
    async with asking(application(FakeDesk(), log(), token=None, loopback=True, holder=holder)) as client:
        answer = await client.post("/v1/held/let-go", json=asked)
        return answer.status, await answer.json()


async def test_what_is_held_is_listed_and_counted() -> None:
    holder = FakeHolder("shop/a", "shop/b")
    async with asking(application(FakeDesk(), log(), token=None, loopback=True, holder=holder)) as client:
        found = await (await client.get("/v1/held")).json()
        page = await (await client.get("/metrics")).text()

    assert found == {"items": [{"route": "shop/a"}, {"route": "shop/b"}], "next": None}
    assert "\nfanout_routes_held 2.0\n" in page


@pytest.mark.parametrize(
    ("asked", "gone"),
    [({"routes": ["shop/b"]}, ["shop/b"]), ({"all": True}, ["shop/a", "shop/b"])],
    ids=["one", "all"],
)
async def test_a_person_lets_go_of_one_or_of_all(asked: Any, gone: list[str]) -> None:
    holder = FakeHolder("shop/a", "shop/b")

    assert await let_go(holder, asked) == (200, {"routes": gone})
    assert set(holder.held()) == {"shop/a", "shop/b"} - set(gone)


@pytest.mark.parametrize(
    "asked", [{}, {"routes": []}, {"all": False}, {"routes": ["shop/a"], "all": True}, {"route": "shop/a"}, ["shop/a"]]
)
async def test_who_does_not_say_which_or_says_it_in_two_ways_is_told(asked: Any) -> None:
    holder = FakeHolder("shop/a")
    status, problem = await let_go(holder, asked)

    assert status == 400
    assert problem["detail"]
    assert holder.held() == ("shop/a",)


async def test_where_one_is_not_held_none_goes() -> None:
    holder = FakeHolder("shop/a")
    status, problem = await let_go(holder, {"routes": ["shop/a", "shop/served"]})

    assert status == 409
    assert "not held: shop/served; nothing was let go" in problem["detail"]
    assert holder.held() == ("shop/a",)
