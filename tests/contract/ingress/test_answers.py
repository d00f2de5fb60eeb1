"""What a client is told: the 202, and every no as problem details."""

import email.utils
import hashlib

import msgspec
import pytest

from fanout_dispatcher.ingress import problems
from fanout_dispatcher.values.answers import Turned
from fanout_dispatcher.values.event import Attempt
from fanout_dispatcher.values.views import DeliveryView, EventView
from tests.contract.ingress.client import chunked, post
from tests.contract.ingress.conftest import Serve
from tests.unit.dispatcher.ingress.stub import WALL, StubEngine

VIEW = EventView(
    receipt="r1",
    route="shop/orders",
    generation=1,
    accepted=WALL + 0.25,
    settled=False,
    deliveries=(DeliveryView(target="mail", state="Pending", due=WALL, history=(Attempt(WALL, "503", 0.5),)),),
)


async def test_an_accepted_event_gets_a_receipt_and_a_place_to_ask(serve: Serve) -> None:
    client = await serve()

    answer = await client.ask(post())

    assert answer.status == 202
    assert answer.json == {"receipt": "r1", "status": "/-/events/r1"}
    assert answer.headers["location"] == "/-/events/r1"
    assert answer.headers["content-type"] == "application/json"
    assert email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp() == WALL


async def test_body_and_content_type_arrive_as_they_were_sent(serve: Serve, engine: StubEngine) -> None:
    client = await serve()
    body = bytes(range(256))

    await client.ask(post(body, "Content-Type: text/x; charset=KOI8-R"))

    head, got = engine.taken[0]
    assert got == body
    assert b"content-type: text/x; charset=KOI8-R\r\n" in head.attributes


async def test_chunks_are_put_together_and_trailers_dropped(serve: Serve, engine: StubEngine) -> None:
    client = await serve()

    answer = await client.ask(chunked(b"a", b"\r\n", b"bc" * 100, end=b"0;x=y\r\nHost: evil\r\nX-T: 1\r\n\r\n"))

    assert answer.status == 202
    assert engine.taken[0][1] == b"a\r\n" + b"bc" * 100


@pytest.mark.parametrize(
    ("request_bytes", "status", "slug", "headers"),
    [
        (post(path="/nowhere"), 404, "no-route", {}),
        (post(path="/-/nothing"), 404, "no-route", {}),
        (post(path="/shop%2Forders"), 404, "no-route", {}),
        (post(path="/shop/orders/../orders"), 404, "no-route", {}),
        (b"GET /shop/orders HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method-not-allowed", {"allow": "POST, OPTIONS"}),
        (post(b"", path="/-/events/r1"), 405, "method-not-allowed", {"allow": "GET, HEAD"}),
        (b"GET /-/events/r9 HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no-event", {}),
        (b"GET /-/events/ HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no-route", {}),
        (post(b"x", "Content-Encoding: gzip"), 415, "content-encoding", {"accept-encoding": "identity"}),
        (post(b"x", "Content-Encoding: identity", "Content-Encoding: br"), 415, "content-encoding", {}),
        (post(b"[]", "Content-Type: application/cloudevents-batch+json"), 415, "event-format", {}),
        (post(b"<e/>", "Content-Type: Application/CloudEvents+XML"), 415, "event-format", {}),
        (post(b'{"a":', "Content-Type: application/json"), 400, "invalid-json", {}),
        (post(b"{}", "Content-Type: application/cloudevents+json"), 400, "invalid-event", {}),
        (post(b"", "ce-id: 7"), 400, "invalid-event", {}),
        (post(b"x" * 1025), 413, "body-too-large", {"connection": "close"}),
        (chunked(b"x" * 1000, b"x" * 25), 413, "body-too-large", {"connection": "close"}),
    ],
)
async def test_a_no_is_a_problem_with_its_type(
    serve: Serve, request_bytes: bytes, status: int, slug: str, headers: dict[str, str]
) -> None:
    client = await serve()

    answer = await client.ask(request_bytes)

    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.items() >= headers.items()
    assert answer.json["type"] == f"https://fanout.dev/problems/{slug}"
    assert answer.json["status"] == status
    assert answer.json["title"]
    assert answer.json["detail"]
    assert answer.json["instance"] == request_bytes.split()[1].decode()


async def test_a_query_is_neither_part_of_the_route_nor_repeated_in_a_problem(serve: Serve) -> None:
    client = await serve()

    assert (await client.ask(post(path="/shop/orders?key=s3cret"))).status == 202
    assert b"s3cret" not in (await client.ask(post(path="/nowhere?key=s3cret"))).body


async def test_percent_encoding_of_a_path_means_what_it_stands_for(serve: Serve) -> None:
    client = await serve()

    assert (await client.ask(post(path="/shop/%6Frders"))).status == 202


async def test_a_body_of_exactly_the_routes_size_is_taken(serve: Serve) -> None:
    client = await serve()

    assert (await client.ask(post(b"x" * 1024))).status == 202
    assert (await client.ask(chunked(b"x" * 1000, b"x" * 24))).status == 202


async def test_an_announced_body_that_is_too_large_is_refused_before_it_is_sent(serve: Serve) -> None:
    client = await serve()
    wire = await client.connect()

    await wire.send(b"POST /shop/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")

    assert (await wire.answer()).status == 413
    assert await wire.closed() == b""


async def test_the_engines_no_is_told_with_when_to_come_back(serve: Serve, engine: StubEngine) -> None:
    engine.outcome = Turned(status=503, reason="JournalFull", detail="the journal is full", retry_after=7)
    client = await serve()

    answer = await client.ask(post())

    assert answer.status == 503
    assert answer.headers["retry-after"] == "7"
    assert answer.json == {
        "type": "https://fanout.dev/problems/journal-full",
        "title": "Journal full",
        "status": 503,
        "detail": "the journal is full",
        "instance": "/shop/orders",
    }


@pytest.mark.parametrize("ident", ["7f3a-1", "a" * 128])
async def test_a_request_id_is_echoed(serve: Serve, ident: str) -> None:
    client = await serve()

    assert (await client.ask(post(b"x", f"X-Request-Id: {ident}"))).headers["x-request-id"] == ident
    assert (await client.ask(post(b"x", f"X-Request-Id: {ident}", path="/no"))).headers["x-request-id"] == ident


@pytest.mark.parametrize("ident", ["a" * 129, "a b", "<script>"])
async def test_a_request_id_that_may_be_hostile_is_not_echoed(serve: Serve, ident: str) -> None:
    client = await serve()

    assert "x-request-id" not in (await client.ask(post(b"x", f"X-Request-Id: {ident}"))).headers


@pytest.mark.parametrize(
    ("ident", "named"),
    [
        ("7f3a-1", "7f3a-1"),
        ("a%20b", hashlib.blake2b(b"a b", digest_size=16).hexdigest()),
        ("a" * 129, hashlib.blake2b(b"a" * 129, digest_size=16).hexdigest()),
    ],
)
async def test_an_event_without_a_request_id_is_answered_with_its_own_id_or_a_digest_of_it(
    serve: Serve, ident: str, named: str
) -> None:
    """It is what targets are sent: an id that may stand in everybody's logs."""
    event = ("ce-specversion: 1.0", f"ce-id: {ident}", "ce-source: /shop", "ce-type: t")

    assert (await (await serve()).ask(post(b"x", *event))).headers["x-request-id"] == named


async def test_an_empty_request_id_is_none(serve: Serve, engine: StubEngine) -> None:
    event = ("ce-specversion: 1.0", "ce-id: 7", "ce-source: /shop", "ce-type: t", "X-Request-Id:")

    assert (await (await serve()).ask(post(b"x", *event))).headers["x-request-id"] == "7"
    assert b"x-request-id" not in engine.taken[0][0].attributes


async def test_a_plain_request_is_answered_with_the_id_of_its_event_also_where_it_is_turned_away(
    serve: Serve, engine: StubEngine
) -> None:
    client = await serve()
    engine.outcome = Turned(status=503, reason="JournalFull", detail="the journal is full", retry_after=5)

    answer = await client.ask(post(b"x"))

    assert (answer.status, answer.headers["x-request-id"]) == (503, engine.taken[0][0].id)


async def test_what_became_of_an_event_is_told_with_legible_times(serve: Serve, engine: StubEngine) -> None:
    engine.views["r1"] = VIEW
    client = await serve()

    answer = await client.ask(b"GET /-/events/r1 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json["accepted"] == "2026-11-23T01:04:00.250Z"
    assert answer.json["deliveries"][0]["due"] == "2026-11-23T01:04:00.000Z"
    assert answer.json["deliveries"][0]["history"] == [
        {"at": "2026-11-23T01:04:00.000Z", "outcome": "503", "seconds": 0.5}
    ]


async def test_a_producer_is_not_told_in_detail_why_a_delivery_was_given_up(serve: Serve, engine: StubEngine) -> None:
    dead = DeliveryView(target="mail", state="Dead", reason="TargetRejected", detail="10.0.0.7: 404")
    engine.views["r1"] = msgspec.structs.replace(VIEW, deliveries=(dead,))
    client = await serve()

    answer = await client.ask(b"GET /-/events/r1 HTTP/1.1\r\nHost: x\r\n\r\n")

    (told,) = answer.json["deliveries"]
    assert (told["reason"], told["detail"]) == ("TargetRejected", None)


async def test_head_is_told_what_get_would_be_without_the_body(serve: Serve, engine: StubEngine) -> None:
    engine.views["r1"] = VIEW
    client = await serve()
    wire = await client.connect()

    await wire.send(b"HEAD /-/events/r1 HTTP/1.1\r\nHost: x\r\n\r\nHEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")

    assert int((await wire.answer(bodiless=True)).headers["content-length"]) > 100
    assert (await wire.answer(bodiless=True)).status == 404


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_fault_of_ours_while_a_state_is_read_is_an_internal_error(serve: Serve, engine: StubEngine) -> None:
    engine.broken = True
    client = await serve()

    answer = await client.ask(b"GET /-/events/r1 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.status == 500
    assert "disk" not in answer.json["detail"]


async def test_a_journal_that_cannot_be_read_for_now_is_said_with_when_to_ask_again(
    serve: Serve, engine: StubEngine
) -> None:
    engine.views["r1"] = Turned(status=503, reason="JournalUnavailable", detail="ask again", retry_after=5)
    client = await serve()

    answer = await client.ask(b"GET /-/events/r1 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.json["type"].endswith("/journal-unavailable")


def test_every_problem_has_a_type_of_its_own() -> None:
    assert len({one.slug for one in problems.ALL}) == len(problems.ALL)
