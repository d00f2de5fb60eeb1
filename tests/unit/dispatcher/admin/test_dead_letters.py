"""Dead letters at the admin port: what is shown, what is replayed, and what is refused before anything is lost."""

import base64
import typing

import pytest

from fanout_dispatcher.admin.app import application
from fanout_dispatcher.journal.faults import JournalFull
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.unit.dispatcher.admin.fakes import FakeDesk, asking, dead_letter_view, log


def desk_with(count: int, **changes: typing.Any) -> FakeDesk:
    desk = FakeDesk()
    desk.letters = [dead_letter_view(number, **changes) for number in range(1, count + 1)]
    return desk


async def test_a_list_has_no_bodies_and_follows_its_cursor() -> None:
    desk = desk_with(3, body=b"{}", headers=(("ce-id", "7"),))
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        first = await (await client.get("/v1/dead-letters?limit=2&target=payment")).json()
        second = await (await client.get(f"/v1/dead-letters?limit=2&after={first['next']}")).json()

    assert [one["id"] for one in first["items"] + second["items"]] == ["1", "2", "3"]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b'{"a": "\xc3\xa4"}', {"body": '{"a": "ä"}'}),
        (b"", {"body": ""}),
        (b"\xff\x00", {"bodyBase64": base64.b64encode(b"\xff\x00").decode()}),
        (b"a\x00b", {"bodyBase64": base64.b64encode(b"a\x00b").decode()}),
        (None, {"body": ""}),
    ],
)
async def test_a_body_is_shown_as_text_only_where_it_is_text(raw: bytes | None, shown: dict[str, str]) -> None:
    desk = desk_with(1, body=raw, headers=(("ce-id", "7"),))
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        found = await (await client.get("/v1/dead-letters/1")).json()

    assert {name: value for name, value in found.items() if name.startswith("body")} == shown
    assert found["headers"] == [{"name": "ce-id", "value": "7"}]
    assert found["reason"] == "TargetRejected"
    assert found["history"][0]["outcome"] == "404"


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"route": "nope"}, 'route: expected NAMESPACE/NAME such as shop/order-placed, got "nope"'),
        (
            {"reason": "Foo"},
            "reason: expected one of TargetRejected, AttemptsExhausted, Expired, QueueFull, TargetRemoved,"
            ' RouteDeleted, ExpressionFailed, SagaAbandoned, got "Foo"',
        ),
    ],
)
async def test_a_filter_that_can_match_nothing_is_refused_wherever_it_is_given(
    wanted: dict[str, str], sentence: str
) -> None:
    desk = desk_with(1)
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        answers = [
            await client.get("/v1/dead-letters", params=wanted),
            await client.post("/v1/dead-letters/replay", json=wanted),
            await client.post("/v1/dead-letters/remove", json=wanted),
        ]
        if "route" in wanted:
            answers.append(await client.get("/v1/events", params=wanted))
        said = {(one.status, (await one.json())["detail"]) for one in answers}

    assert said == {(400, sentence)}
    assert desk.asked == []


async def test_a_replay_answers_receipts_and_whether_more_remain() -> None:
    desk = desk_with(3)
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        first = await (await client.post("/v1/dead-letters/replay", json={"route": "shop/order", "limit": 2})).json()
        second = await (await client.post("/v1/dead-letters/replay", json={"route": "shop/order", "limit": 2})).json()

    assert first == {"receipts": ["again-1", "again-2"], "remaining": True}
    assert second == {"receipts": ["again-3"], "remaining": False}


async def test_ids_that_are_named_are_all_meant_whatever_the_usual_limit() -> None:
    desk = desk_with(150)
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        ids = [str(number) for number in range(1, 151)]
        found = await (await client.post("/v1/dead-letters/replay", json={"ids": ids})).json()

    assert len(found["receipts"]) == 150


@pytest.mark.parametrize("action", ["replay", "remove"])
@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"all": false}',
        '{"ids": []}',
        '{"limit": 5}',
        '{"all": true, "route": "shop/order"}',
        '{"ids": ["1"], "target": "payment"}',
        '{"all": true, "limit": 0}',
        '{"all": true, "limit": 1001}',
        '{"all": "yes"}',
        '{"everything": true}',
        '{"all": true',
        "[]",
        "",
        '{"ids": [1]}',
    ],
)
async def test_a_filter_that_does_not_say_clearly_which_changes_nothing(action: str, body: str) -> None:
    desk = desk_with(3)
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        answer = await client.post(f"/v1/dead-letters/{action}", data=body)

    assert answer.status == 400
    assert len(desk.letters) == 3


async def test_a_body_over_the_cap_is_refused() -> None:
    async with asking(application(desk_with(1), log(), token=None, loopback=True)) as client:
        answer = await client.post("/v1/dead-letters/remove", data=b" " * 70_000)

        assert (answer.status, answer.content_type) == (413, "application/problem+json")


async def test_remove_takes_a_filter_and_says_how_many_went() -> None:
    desk = desk_with(3)
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        found = await (await client.post("/v1/dead-letters/remove", json={"all": True})).json()

    assert found == {"removed": 3, "remaining": False}
    assert desk.asked == [DeadLetterFilter()]


async def test_one_is_dropped_by_delete_and_only_once() -> None:
    desk = desk_with(2)
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        statuses = [(await client.delete("/v1/dead-letters/1")).status for _ in range(2)]

    assert statuses == [204, 404]
    assert [one.id for one in desk.letters] == ["2"]


async def test_a_journal_that_cannot_is_503_with_its_own_sentence() -> None:
    desk = desk_with(1)
    desk.fault = JournalFull("the disk is full")
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        answer = await client.post("/v1/dead-letters/replay", json={"all": True})

        assert answer.status == 503
        assert answer.headers["Retry-After"] == "5"
        assert "the disk is full" in (await answer.json())["detail"]
