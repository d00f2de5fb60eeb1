"""The admin API: what is listed, shown and refused, over a real port."""

import pytest

from fanout_dispatcher.admin.app import application
from tests.unit.dispatcher.admin.fakes import FakeDesk, asking, event_view, log, route_view, target_view


async def test_routes_are_listed_with_their_targets_and_times_are_rfc3339() -> None:
    desk = FakeDesk()
    desk.change(route_view(targets=(target_view(circuit="Open", held="CircuitOpen", held_until=1_700_000_000.0),)))
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        found = await (await client.get("/v1/routes")).json()

    (route,) = found["items"]
    assert route["route"] == "shop/order"
    assert route["targets"][0]["heldUntil"] == "2023-11-14T22:13:20.000Z"
    assert found["next"] is None


async def test_one_route_is_shown_with_the_url_of_the_data_port_when_it_is_known() -> None:
    desk = FakeDesk()
    desk.change(route_view())
    async with asking(application(desk, log(), token=None, loopback=True, public="http://127.0.0.1:8080")) as client:
        found = await (await client.get("/v1/routes/shop/order")).json()

    assert found["url"] == "http://127.0.0.1:8080/shop/order"


async def test_a_route_that_was_never_in_force_is_listed_with_why_and_has_no_url() -> None:
    desk = FakeDesk()
    desk.change(route_view(path="", targets=(), refused="line 3: no"))
    async with asking(application(desk, log(), token=None, loopback=True, public="http://127.0.0.1:8080")) as client:
        (found,) = (await (await client.get("/v1/routes")).json())["items"]

    assert found["refused"] == "line 3: no"
    assert "url" not in found


async def test_texts_that_came_from_outside_are_cut_in_views_of_routes() -> None:
    desk = FakeDesk()
    desk.change(route_view(refused="x" * 5000, targets=(target_view(last_error="y" * 5000),)))
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        found = await (await client.get("/v1/routes/shop/order")).json()

    assert len(found["refused"]) == len(found["targets"][0]["lastError"]) == 300


@pytest.mark.parametrize("path", ["/v1/routes/shop/nothing", "/v1/events/nothing", "/v1/dead-letters/9", "/v1/x"])
async def test_what_is_not_there_is_a_problem_with_a_sentence(path: str) -> None:
    async with asking(application(FakeDesk(), log(), token=None, loopback=True)) as client:
        answer = await client.get(path)
        problem = await answer.json()

    assert (answer.status, answer.content_type) == (404, "application/problem+json")
    assert problem["status"] == 404
    assert problem["title"] == "Not Found"
    assert len(problem["detail"].split()) > 3


async def test_a_method_that_is_not_possible_names_those_that_are() -> None:
    async with asking(application(FakeDesk(), log(), token=None, loopback=True)) as client:
        answer = await client.post("/v1/routes")

        assert answer.status == 405
        assert "GET" in answer.headers["Allow"]
        assert answer.content_type == "application/problem+json"


async def test_an_event_is_shown_with_each_delivery_and_its_attempts() -> None:
    desk = FakeDesk()
    desk.known = [event_view("abc", "Delivered", "Dead")]
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        found = await (await client.get("/v1/events/abc")).json()

    assert found["accepted"] == "2023-11-14T22:13:20.250Z"
    assert [one["state"] for one in found["deliveries"]] == ["Delivered", "Dead"]
    assert found["deliveries"][0]["history"] == [{"at": "2023-11-14T22:13:21.250Z", "outcome": "503", "seconds": 0.25}]


async def test_events_come_in_pages_that_follow_each_other_without_gap_or_repeat() -> None:
    desk = FakeDesk()
    desk.known = [event_view(f"r{number}", "Delivered") for number in range(5)]
    seen, after = [], None
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        while True:
            query = {"limit": "2"} | ({"after": after} if after else {})
            page = await (await client.get("/v1/events", params=query)).json()
            seen += [one["receipt"] for one in page["items"]]
            after = page["next"]
            if after is None:
                break

    assert seen == ["r0", "r1", "r2", "r3", "r4"]


async def test_a_page_that_ends_exactly_at_the_last_event_has_no_next() -> None:
    desk = FakeDesk()
    desk.known = [event_view("r0", "Delivered"), event_view("r1", "Delivered")]
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        page = await (await client.get("/v1/events?limit=2")).json()

    assert page["next"] is None


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limit=0", "limit: expected a number from 1 to 1000"),
        ("limit=1001", "limit: expected"),
        ("limit=ten", "limit: expected"),
        ("limit=٣", "limit: expected"),
        ("limit=" + "9" * 400, "limit: expected"),
        ("limit=00000000199999", "limit: expected"),
        ("limit=1e3", "limit: expected"),
        ("rout=shop/order", 'unknown parameter "rout": there are route, after, limit'),
        ("route=a/b&route=c/d", "route: given twice"),
    ],
)
async def test_a_query_that_would_answer_another_question_is_refused(query: str, sentence: str) -> None:
    async with asking(application(FakeDesk(), log(), token=None, loopback=True)) as client:
        answer = await client.get(f"/v1/events?{query}")

        assert answer.status == 400
        assert sentence in (await answer.json())["detail"]


async def test_a_parameter_where_there_are_none_is_refused_in_a_whole_sentence() -> None:
    async with asking(application(FakeDesk(), log(), token=None, loopback=True)) as client:
        answer = await client.get("/v1/routes?limit=1")

        assert answer.status == 400
        assert (await answer.json())["detail"] == 'unknown parameter "limit": there are none here'
