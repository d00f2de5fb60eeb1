"""``fanout send``: what leaves, where it goes, and what waiting comes to."""

import json
import pathlib
import typing

import pytest
from aiohttp import web

from tests.unit.dispatcher.admin.fakes import event_view, route_view
from tests.unit.dispatcher.cli.conftest import Run
from tests.unit.dispatcher.cli.fakes import FakeDispatcher

Headers = dict[str, str]


def ce(headers: Headers) -> Headers:
    return {name.lower(): value for name, value in headers.items() if name.lower().startswith("ce-")}


def test_an_event_goes_to_a_url_as_it_is_and_its_receipt_is_printed(fanout: Run, dispatcher: FakeDispatcher) -> None:
    found = fanout("send", f"{dispatcher.listen}/shop/order", "--data", '{"total": 7}')

    ((path, headers, body),) = dispatcher.got
    assert (found.stdout, found.exit_code) == ("r1\n", 0)
    assert (path, body) == ("/shop/order", b'{"total": 7}')
    assert headers["Content-Type"] == "application/json"
    assert ce(headers) == {}


def test_a_route_is_looked_up_at_the_admin_port(fanout: Run, dispatcher: FakeDispatcher) -> None:
    dispatcher.desk.change(route_view(path="/somewhere/else"))

    found = fanout("send", "shop/order", "--admin", dispatcher.admin)

    assert found.exit_code == 0
    assert dispatcher.got[0][0] == "/somewhere/else"


def test_a_get_asks_and_brings_nothing(fanout: Run, dispatcher: FakeDispatcher) -> None:
    found = fanout("send", f"{dispatcher.listen}/shop/products/7?page=2", "--method", "GET", "--data", "{}")

    ((path, headers, body),) = dispatcher.got
    assert (found.exit_code, path, body) == (0, "/shop/products/7", b"")
    assert not {"Content-Type", "Content-Length"} & headers.keys()


def test_a_path_with_names_in_braces_is_no_place_to_send_to(fanout: Run, dispatcher: FakeDispatcher) -> None:
    dispatcher.desk.change(route_view(path="/shop/products/{id}"))

    found = fanout("send", "shop/order", "--admin", dispatcher.admin)

    assert found.exit_code == 1
    assert "/shop/products/{id} has names in braces: send to its URL, with something in their place" in found.stderr
    assert dispatcher.got == []


def test_any_attribute_makes_it_a_cloud_event_with_the_others_filled_in(
    fanout: Run, dispatcher: FakeDispatcher
) -> None:
    for args in (("--type", "order.placed"), ("--id", "7", "--source", "/shop")):
        fanout("send", f"{dispatcher.listen}/x", *args)

    first, second = (ce(headers) for _, headers, _ in dispatcher.got)
    assert len(first.pop("ce-id")) == 32
    assert first == {"ce-specversion": "1.0", "ce-type": "order.placed", "ce-source": "/fanout/cli"}
    assert second == {
        "ce-specversion": "1.0",
        "ce-type": "dev.fanout.request",
        "ce-source": "/shop",
        "ce-id": "7",
    }


@pytest.mark.parametrize(
    ("data", "content_type"),
    [(b"[1]", "application/json"), (b"plain", "application/octet-stream"), (b"\xff\x00", "application/octet-stream")],
)
def test_data_comes_from_a_file_byte_for_byte(
    fanout: Run, dispatcher: FakeDispatcher, tmp_path: pathlib.Path, data: bytes, content_type: str
) -> None:
    (tmp_path / "f").write_bytes(data)
    fanout("send", f"{dispatcher.listen}/x", "--data", f"@{tmp_path / 'f'}")

    _, headers, body = dispatcher.got[0]
    assert (body, headers["Content-Type"]) == (data, content_type)


def test_data_comes_from_standard_input(fanout: Run, dispatcher: FakeDispatcher) -> None:
    fanout("send", f"{dispatcher.listen}/x", "--data", "-", input=b"\x00\x01")

    assert dispatcher.got[0][2] == b"\x00\x01"


def test_headers_are_added_and_win(fanout: Run, dispatcher: FakeDispatcher) -> None:
    fanout("send", f"{dispatcher.listen}/x", "-H", "Content-Type: text/plain", "-H", "x-shop:7")

    headers = dispatcher.got[0][1]
    assert (headers["Content-Type"], headers["x-shop"]) == ("text/plain", "7")


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("shop/a/b",),
        ("http://127.0.0.1:1/x", "--data", "@/nowhere"),
        ("http://127.0.0.1:1/x", "-H", "x"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(fanout: Run, args: tuple[str, ...]) -> None:
    assert fanout("send", *args).exit_code == 2


def test_a_refusal_is_told_by_its_sentence(fanout: Run, dispatcher: FakeDispatcher) -> None:
    problem = json.dumps({"status": 413, "detail": "the body is larger than 1 MiB"})
    dispatcher.answers = [web.Response(status=413, text=problem, content_type="application/problem+json")]

    found = fanout("send", f"{dispatcher.listen}/x")

    assert (found.exit_code, found.stderr) == (1, "Error: the body is larger than 1 MiB (413)\n")


def test_what_is_no_dispatcher_is_said(fanout: Run, dispatcher: FakeDispatcher) -> None:
    dispatcher.answers = [web.Response(text="hello"), web.json_response({"ok": True})]

    first, second = (fanout("send", f"{dispatcher.listen}/x") for _ in range(2))

    assert (first.exit_code, second.exit_code) == (1, 1)
    assert "is it a dispatcher?" in first.stderr
    assert "is it a route of a dispatcher?" in second.stderr


@pytest.mark.parametrize(
    ("known", "timeout", "code", "said"),
    [
        ([("Pending",), ("Delivered",)], "60", 0, ""),
        ([("Pending", "Delivered"), ("Dead", "Delivered")], "60", 1, ""),
        ([("Pending",)], "0", 1, "not settled after 0 s"),
    ],
)
def test_waiting_ends_when_all_is_settled_and_fails_when_any_is_dead(
    fanout: Run, dispatcher: FakeDispatcher, known: list[tuple[str, ...]], timeout: str, code: int, said: str
) -> None:
    dispatcher.desk.known = [event_view("r1", *states) for states in known]

    found = fanout("send", f"{dispatcher.listen}/x", "--wait", "--timeout", timeout)

    assert found.exit_code == code
    assert said in found.stderr
    receipt, heading, *_ = found.stdout.splitlines()
    assert (receipt, heading.split()[:2]) == ("r1", ["TARGET", "STATE"])
    assert max(map(len, found.stdout.splitlines())) < 200
    assert dispatcher.polls == len(known)


def test_waiting_in_json_prints_the_last_state_once(fanout: Run, dispatcher: FakeDispatcher) -> None:
    dispatcher.desk.known = [event_view("r1", "Pending"), event_view("r1", "Delivered")]

    found = fanout("send", f"{dispatcher.listen}/x", "--wait", "-o", "json")

    document: dict[str, typing.Any] = json.loads(found.stdout)
    assert document["settled"] is True


def test_a_route_that_was_refused_is_sent_nothing_and_the_reason_is_given(
    fanout: Run, dispatcher: FakeDispatcher
) -> None:
    dispatcher.desk.change(route_view("shop/new", path="", targets=(), refused="line 3: no"))

    found = fanout("send", "shop/new", "--admin", dispatcher.admin)

    assert (found.exit_code, found.stderr) == (1, "Error: shop/new is not in force: line 3: no\n")
    assert dispatcher.got == []
