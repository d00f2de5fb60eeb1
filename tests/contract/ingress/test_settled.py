"""What a caller that waits for targets gets to read; on a real port, before an engine that says what a test wants."""

import asyncio
import json
import typing

import msgspec
import pytest

from fanout_crds.plan import Respond
from fanout_crds.shape import AnswerHeader, Shape
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Ending, Heard, Settled, Turned
from fanout_dispatcher.values.event import State
from tests.contract.ingress.client import Answer, Client, Wire, post, until
from tests.contract.ingress.conftest import Serve
from tests.unit.dispatcher.ingress.stub import StubEngine, route

WAIT: typing.Final = Respond(wait_for=("a", "b"), quorum=2, timeout=10.0, partial=False)
AMOUNT: typing.Final = b'{"amount": 7}'
JSON: typing.Final = (("content-type", "application/json"),)
NO_FUNDS: typing.Final = Heard(
    target="a",
    state=State.DEAD,
    reason="TargetRejected",
    detail="the target answered 402",
    answer=Captured(402, JSON, b'{"why":"no funds"}'),
)
NOT_REACHED: typing.Final = Heard(target="a", state=State.SKIPPED, reason="NotReached")


@pytest.fixture
def engine() -> StubEngine:
    return StubEngine(route(respond=WAIT), route("/shop/plain"), route("/shop/shaped", respond=SHAPED))


def delivered(target: str, status: int = 200, body: bytes = b"", **more: typing.Any) -> Heard:
    return Heard(target=target, state=State.DELIVERED, answer=Captured(status, body=body, **more))


SHAPED: typing.Final = msgspec.structs.replace(
    WAIT,
    shape=Shape(
        status_expression="data.status",
        headers=(AnswerHeader(name="Cache-Control", value="no-store"),),
        body_expression="{'order': data.order, 'amount': targets.a.body.amount}",
    ),
)


def settled(ending: Ending, *heard: Heard, receipt: str | None = "r1") -> Settled:
    return Settled(receipt=receipt, ending=ending, heard=heard)


async def asked(client: Client, engine: StubEngine, *headers: str) -> Wire:
    """A connection whose request is waiting."""
    before = len(engine.callers)
    wire = await client.connect()
    await wire.send(post(b"hi", *headers))
    await until(lambda: len(engine.callers) > before)
    return wire


async def told(serve: Serve, engine: StubEngine, what: Settled | Turned, *headers: str) -> Answer:
    wire = await asked(await serve(), engine, *headers)
    engine.callers[-1].tell(what)
    return await wire.answer()


async def test_the_answer_holds_what_each_target_said_and_the_receipt(serve: Serve, engine: StubEngine) -> None:
    answer = await told(
        serve,
        engine,
        settled(Ending.ANSWERED, delivered("a", 200, b'{"amount": 7.00}', headers=JSON), delivered("b", 201, b"hello")),
        "X-Request-Id: 7",
    )

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["fanout-receipt"] == "r1"
    assert answer.headers["location"] == "/-/events/r1"
    assert answer.headers["x-request-id"] == "7"
    assert answer.body == (
        b'{"receipt":"r1","targets":{"a":{"state":"Delivered","status":200,"body":{"amount": 7.00}},'
        b'"b":{"state":"Delivered","status":201,"body":"hello"}}}'
    )


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        (Captured(204), {}),
        (Captured(200, JSON, b"[1"), {"body": "[1"}),
        (Captured(200, JSON, b'"\xff"'), {"bodyBase64": "Iv8i"}),
        (Captured(200, (("content-type", "application/problem+json; charset=utf-8"),), b"{}"), {"body": {}}),
        (Captured(200, (("content-type", "text/plain"),), b"7"), {"body": "7"}),
        (Captured(200, (), "é".encode()), {"body": "é"}),
        (Captured(200, (), b"\x89PNG"), {"bodyBase64": "iVBORw=="}),
        (Captured(200, (*JSON, ("content-encoding", "gzip")), b"{}"), {"bodyBase64": "e30="}),
        (Captured(200, JSON, b'{"a":', truncated=True), {"body": '{"a":', "truncated": True}),
    ],
    ids=["none", "broken JSON", "JSON, not UTF-8", "+json", "text", "no type", "binary", "coded", "cut"],
)
async def test_a_body_is_shown_as_what_it_is(
    serve: Serve, engine: StubEngine, kept: Captured, shown: dict[str, object]
) -> None:
    heard = Heard(target="a", state=State.DELIVERED, answer=kept)
    answer = await told(serve, engine, settled(Ending.ANSWERED, heard))

    assert answer.json["targets"]["a"] == {"state": "Delivered", "status": kept.status} | shown


async def test_a_partial_answer_is_marked_twice(serve: Serve, engine: StubEngine) -> None:
    answer = await told(serve, engine, settled(Ending.PARTIAL, delivered("a"), Heard(target="partial")))

    assert (answer.status, answer.headers["fanout-partial"]) == (200, "true")
    assert answer.json == {
        "receipt": "r1",
        "partial": True,
        "targets": {"a": {"state": "Delivered", "status": 200}, "partial": {"state": "Pending"}},
    }


def order(status: int) -> bytes:
    """A request for the route that shapes its answers, which answers with the status that the order says."""
    data = json.dumps({"order": 7, "status": status}).encode()
    return post(data, "Content-Type: application/json", "X-Request-Id: 7", path="/shop/shaped")


async def told_in_shape(serve: Serve, engine: StubEngine, what: Settled, *, status: int = 201) -> Answer:
    wire = await (await serve()).connect()
    await wire.send(order(status))
    await until(lambda: bool(engine.callers))
    engine.callers[-1].tell(what)
    return await wire.answer()


async def test_a_route_gives_its_answer_the_status_headers_and_body_that_it_wants(
    serve: Serve, engine: StubEngine
) -> None:
    answer = await told_in_shape(serve, engine, settled(Ending.ANSWERED, delivered("a", body=AMOUNT, headers=JSON)))

    assert (answer.status, answer.body) == (201, b'{"amount":7,"order":7}')
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["fanout-receipt"] == "r1"
    assert answer.headers["x-request-id"] == "7"
    assert "location" not in answer.headers, "that of a 201 would name what was made"


async def test_an_answer_without_a_body_frames_none(serve: Serve, engine: StubEngine) -> None:
    what = settled(Ending.ANSWERED, delivered("a", body=AMOUNT, headers=JSON))
    client = await serve()
    wire = await client.connect()
    await wire.send(order(204) + post(b"2", path="/shop/plain"))
    await until(lambda: bool(engine.callers))
    engine.callers[-1].tell(what)
    none, next_one = await wire.answer(bodiless=True), await wire.answer()

    assert (none.status, none.body) == (204, b"")
    assert not {"content-length", "content-type"} & set(none.headers)
    assert next_one.status == 202, "the connection goes on"


async def test_a_partial_answer_in_a_shape_is_marked_in_its_headers(serve: Serve, engine: StubEngine) -> None:
    what = settled(Ending.PARTIAL, delivered("a", body=AMOUNT, headers=JSON), Heard(target="b"))
    answer = await told_in_shape(serve, engine, what)

    assert (answer.status, answer.headers["fanout-partial"]) == (201, "true")


async def test_an_answer_that_cannot_be_made_is_a_problem_that_says_why_and_has_the_receipt(
    serve: Serve, engine: StubEngine
) -> None:
    answer = await told_in_shape(serve, engine, settled(Ending.ANSWERED, delivered("a", body=b"{}", headers=JSON)))

    assert (answer.status, answer.json["type"]) == (500, "https://fanout.dev/problems/expression-failed")
    assert answer.json["detail"] == (
        'respond.bodyExpression: there is no "amount" in targets.a.body; has() asks whether there is;'
        " the event was accepted, and all that was waited for is settled: do not send it again"
    )
    assert answer.json["targets"] == {"a": {"state": "Delivered", "status": 200, "body": {}}}
    assert (answer.headers["fanout-receipt"], answer.headers["location"]) == ("r1", "/-/events/r1")


@pytest.mark.parametrize(
    ("other", "since"),
    [
        (Heard(target="b"), "the event is accepted and goes on"),
        (Heard(target="b", reason="CircuitOpen"), "the event is accepted and goes on"),
        (NO_FUNDS, "the event was accepted, and what died of it is kept: replay that"),
    ],
    ids=["not settled yet", "held", "dead"],
)
async def test_where_an_answer_cannot_be_made_it_is_said_how_it_is_with_the_event(
    serve: Serve, engine: StubEngine, other: Heard, since: str
) -> None:
    heard = (delivered("a", body=b"{}", headers=JSON), msgspec.structs.replace(other, target="b"))
    answer = await told_in_shape(serve, engine, settled(Ending.PARTIAL, *heard))

    assert answer.status == 500
    assert answer.json["detail"].endswith(f"; {since}, do not send it again".replace("on, do", "on: do"))


@pytest.mark.parametrize(("ending", "status"), [(Ending.FAILED, 502), (Ending.TIMEOUT, 504), (Ending.DRAINING, 503)])
async def test_where_there_is_no_answer_its_shape_changes_nothing(
    serve: Serve, engine: StubEngine, ending: Ending, status: int
) -> None:
    answer = await told_in_shape(serve, engine, settled(ending, NO_FUNDS))

    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_a_failure_is_a_problem_that_names_the_targets_and_why(serve: Serve, engine: StubEngine) -> None:
    answer = await told(serve, engine, settled(Ending.FAILED, NO_FUNDS, Heard(target="b")))

    assert (answer.status, answer.headers["content-type"]) == (502, "application/problem+json")
    assert (answer.headers["fanout-receipt"], answer.headers["location"]) == ("r1", "/-/events/r1")
    assert answer.json["type"] == "https://fanout.dev/problems/targets-failed"
    assert answer.json["detail"] == (
        "a: TargetRejected, the target answered 402; b: no answer yet;"
        " the event is accepted and goes on: do not send it again"
    )
    assert answer.json["receipt"] == "r1"
    assert answer.json["targets"] == {
        "a": {
            "state": "Dead",
            "reason": "TargetRejected",
            "detail": "the target answered 402",
            "status": 402,
            "body": {"why": "no funds"},
        },
        "b": {"state": "Pending"},
    }


async def test_a_problem_tells_what_was_skipped_and_says_of_none_of_it_that_an_answer_is_to_come(
    serve: Serve, engine: StubEngine
) -> None:
    not_for_it = Heard(target="b", state=State.SKIPPED)

    answer = await told(serve, engine, settled(Ending.FAILED, NOT_REACHED, not_for_it))

    assert answer.json["detail"] == (
        "a: NotReached; the event was accepted, and what died of it is kept: replay that, do not send it again"
    )
    assert answer.json["targets"] == {"a": {"state": "Skipped", "reason": "NotReached"}, "b": {"state": "Skipped"}}


@pytest.mark.parametrize(
    ("what", "status", "slug"),
    [
        (settled(Ending.TIMEOUT, Heard(target="a")), 504, "targets-timeout"),
        (settled(Ending.FAILED, Heard(target="a", reason="CircuitOpen")), 503, "circuit-open"),
        (settled(Ending.FAILED, Heard(target="a", reason="ServiceNotFound")), 503, "targets-held"),
        (settled(Ending.FAILED, Heard(target="a", reason="CircuitOpen"), NO_FUNDS), 502, "targets-failed"),
        (settled(Ending.FAILED, NOT_REACHED), 502, "targets-failed"),
        (settled(Ending.FAILED, Heard(target="b", reason="CircuitOpen"), NOT_REACHED), 502, "targets-failed"),
        (settled(Ending.FAILED, Heard(target="a", reason="Draining")), 503, "shutting-down"),
        (settled(Ending.DRAINING, Heard(target="a")), 503, "shutting-down"),
        (Turned(status=503, reason="TooManyWaiting", detail="later", retry_after=1), 503, "too-many-waiting"),
    ],
)
async def test_every_other_end_is_a_problem_of_its_own(
    serve: Serve, engine: StubEngine, what: Settled | Turned, status: int, slug: str
) -> None:
    answer = await told(serve, engine, what)

    assert (answer.status, answer.json["type"]) == (status, f"https://fanout.dev/problems/{slug}")
    assert ("retry-after" in answer.headers) is isinstance(what, Turned), "what is accepted is not to be sent again"


async def test_without_a_receipt_nobody_is_told_that_the_event_is_kept(serve: Serve, engine: StubEngine) -> None:
    answer = await told(serve, engine, settled(Ending.TIMEOUT, Heard(target="a"), receipt=None))

    assert answer.status == 504
    assert answer.json["detail"] == "a: no answer yet; whether the event is kept is not known yet"
    assert "receipt" not in answer.json
    assert not {"location", "fanout-receipt"} & set(answer.headers)


@pytest.mark.parametrize(
    "preference", ["respond-async", "wait=10, Respond-Async", "respond-async; x=y", "a\r\nPrefer: respond-async"]
)
async def test_who_prefers_it_has_202_at_once_and_is_told_so(serve: Serve, engine: StubEngine, preference: str) -> None:
    answer = await (await serve()).ask(post(b"hi", f"Prefer: {preference}"))

    assert (answer.status, answer.headers["preference-applied"]) == (202, "respond-async")
    assert engine.callers == []


@pytest.mark.parametrize("preference", ["respond-sync", "x=respond-async", "wait=10"])
async def test_another_preference_is_ignored(serve: Serve, engine: StubEngine, preference: str) -> None:
    wire = await asked(await serve(), engine, f"Prefer: {preference}")
    engine.callers[0].tell(settled(Ending.ANSWERED, delivered("a")))
    answer = await wire.answer()

    assert (answer.status, answer.headers.get("preference-applied")) == (200, None)


async def test_a_route_that_never_waits_says_nothing_of_preferences(serve: Serve, engine: StubEngine) -> None:
    answer = await (await serve()).ask(post(b"hi", "Prefer: respond-async", path="/shop/plain"))

    assert (answer.status, answer.headers.get("preference-applied")) == (202, None)


async def test_answers_keep_their_order_behind_one_that_waits(serve: Serve, engine: StubEngine) -> None:
    wire = await asked(await serve(), engine)
    await wire.send(post(b"2") + post(b"3", path="/shop/plain"))
    await until(lambda: len(engine.taken) == 3)
    engine.callers[1].tell(settled(Ending.ANSWERED, delivered("b"), receipt="second"))
    engine.callers[0].tell(settled(Ending.ANSWERED, delivered("a"), receipt="first"))

    answers = [await wire.answer() for _ in range(3)]

    assert [one.json["receipt"] for one in answers] == ["first", "second", "r3"]


async def test_whoever_hangs_up_leaves_and_nobody_else_notices(serve: Serve, engine: StubEngine) -> None:
    client = await serve()
    gone, there = await asked(client, engine), await asked(client, engine)
    gone.reset()
    await until(lambda: engine.callers[0].gone)
    engine.callers[0].tell(settled(Ending.ANSWERED, delivered("a")))  # too late: it goes nowhere
    engine.callers[1].tell(settled(Ending.ANSWERED, delivered("a")))

    assert (await there.answer()).status == 200
    assert not engine.callers[1].gone


async def test_an_answer_that_waits_is_still_given_while_the_port_drains(serve: Serve, engine: StubEngine) -> None:
    client = await serve()
    wire = await asked(client, engine)
    draining = asyncio.create_task(client.ingress.drain(5.0))
    await asyncio.sleep(0)
    engine.callers[0].tell(settled(Ending.DRAINING, Heard(target="a")))
    answer = await wire.answer()

    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert await draining == 0
