"""CloudEvents batched JSON at the data port: all or nothing, each with its bytes, one answer for all."""

import json
import typing

import msgspec
import pytest

from fanout_dispatcher.ingress import batches
from fanout_dispatcher.values.answers import Turned
from tests.contract.ingress.client import Answer, post
from tests.contract.ingress.conftest import Serve
from tests.unit.dispatcher.ingress.stub import StubEngine, route

BATCH = "Content-Type: application/cloudevents-batch+json"
Asked = typing.Callable[..., typing.Awaitable[Answer]]


def event(ident: str, data: bytes = b"1", more: bytes = b"") -> bytes:
    return b'{"specversion":"1.0","id":"%b","source":"/s","type":"t"%b,"data":%b}' % (ident.encode(), more, data)


def array(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


@pytest.fixture
async def ask(serve: Serve, engine: StubEngine) -> Asked:
    """Post to a route that takes batches."""
    made = route(max_body_size=1 << 20)
    plan = msgspec.structs.replace(made.plan, batches=True)
    engine.routes = {plan.path: msgspec.structs.replace(made, plan=plan)}
    client = await serve()

    async def asked(body: bytes, *headers: str) -> Answer:
        return await client.ask(post(body, *(headers or (BATCH,))))

    return asked


async def test_each_event_of_a_batch_gets_a_receipt_in_order(ask: Asked, engine: StubEngine) -> None:
    answer = await ask(array(event("a"), event("b")))

    assert answer.status == 202
    assert answer.json == {
        "events": [{"receipt": "r1", "status": "/-/events/r1"}, {"receipt": "r2", "status": "/-/events/r2"}]
    }
    assert [head.id for head, _ in engine.taken] == ["a", "b"]


async def test_data_arrives_byte_for_byte_in_whatever_form(ask: Asked, engine: StubEngine) -> None:
    odd = b'{ "a" : 1.50,\t"b":"\\u00e9" , "a":2}'
    binary = b'{"specversion":"1.0","id":"x","source":"/s","type":"t","data_base64":"AP8="}'
    text = event("y", b'"a\\nb"', b',"datacontenttype":"text/plain"')

    await ask(b"[ " + odd.join([event("z", b"", b"")[:-1], b"} ,"]) + binary + b"\n,  " + text + b" ]")

    assert [body for _, body in engine.taken] == [odd, b"\x00\xff", b"a\nb"]
    assert b"content-type: text/plain\r\n" in engine.taken[2][0].attributes


async def test_headers_of_the_request_go_along_with_each(ask: Asked, engine: StubEngine) -> None:
    await ask(array(event("a"), event("b")), f"{BATCH}; charset=utf-8", "X-Request-Id: q7")

    assert all(b"x-request-id: q7\r\n" in head.attributes for head, _ in engine.taken)
    assert all(b"content-type: application/json\r\n" in head.attributes for head, _ in engine.taken)


@pytest.mark.parametrize(
    ("body", "slug", "says"),
    [
        (array(event("a"), b'{"specversion":"1.0","id":"b"}'), "invalid-event", "event 1 of the batch: the attribute"),
        (array(event("a"), b"7"), "invalid-event", "event 1 of the batch: a structured event is a JSON object"),
        (event("a"), "invalid-event", "a batch is a JSON array of structured events"),
        (array(event("a"))[:-1], "invalid-json", "the body is not valid JSON"),
        (b"", "invalid-json", "the body is empty"),
        (array(*[event("a")] * (batches.MOST + 1)), "invalid-event", "a batch has at most 1000 events"),
    ],
)
async def test_one_that_is_wrong_refuses_all_with_its_place(
    ask: Asked, engine: StubEngine, body: bytes, slug: str, says: str
) -> None:
    answer = await ask(body)

    assert (answer.status, answer.json["type"].rpartition("/")[2]) == (400, slug)
    assert says in answer.json["detail"]
    assert engine.taken == []


async def test_an_empty_batch_is_accepted_and_brings_nothing(ask: Asked, engine: StubEngine) -> None:
    answer = await ask(b"[]")

    assert (answer.status, answer.json, engine.taken) == (202, {"events": []}, [])


async def test_as_many_as_may_be_are_taken(ask: Asked, engine: StubEngine) -> None:
    answer = await ask(array(*[event("a")] * batches.MOST))

    assert (answer.status, len(json.loads(answer.body)["events"]), len(engine.taken)) == (202, 1000, 1000)


async def test_what_the_engine_turns_away_is_one_problem(ask: Asked, engine: StubEngine) -> None:
    engine.outcome = Turned(status=503, reason="QueueFull", detail="no", retry_after=5)

    answer = await ask(array(event("a"), event("b")))

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")


async def test_single_events_go_on_as_before(ask: Asked, engine: StubEngine) -> None:
    answers = [await ask(event("a"), "Content-Type: application/cloudevents+json"), await ask(b"x", "X-A: b")]

    assert [one.status for one in answers] == [202, 202]
    assert "receipt" in answers[0].json


async def test_a_flood_of_members_is_refused_without_being_built(ask: Asked) -> None:
    answer = await ask(b"[" + b"0," * 500_000 + b"0]")

    assert (answer.status, answer.json["detail"]) == (400, "a batch has at most 1000 events")
