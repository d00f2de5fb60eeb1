"""Under which key a request comes, on a route that accepts each event once; and what it is told without one."""

import typing

import msgspec
import pytest

from fanout_crds import expressions
from fanout_crds.plan import Idempotency, Respond
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Ending, Heard, Repeated, Settled, Turned
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.keyed import door
from tests.contract.ingress.client import Answer, Wire, post, until
from tests.contract.ingress.conftest import Serve
from tests.unit.dispatcher.ingress.stub import StubEngine, route

EVENT = ("ce-specversion: 1.0", "ce-id: 7", "ce-source: /shop", "ce-type: placed")
STRUCTURED = b'{"specversion":"1.0","id":"7","source":"/shop","type":"placed","data":1}'
Asked = typing.Callable[..., typing.Awaitable[Answer]]


@pytest.fixture
async def ask(serve: Serve, engine: StubEngine) -> Asked:
    """Post to a route that keeps keys."""
    made = route()
    plan = msgspec.structs.replace(made.plan, idempotency=Idempotency(ttl=60.0, max_keys=9))
    engine.routes = {plan.path: msgspec.structs.replace(made, plan=plan)}
    client = await serve()

    async def asked(body: bytes, *headers: str) -> Answer:
        return await client.ask(post(body, *headers))

    return asked


Asking = typing.Callable[[str], typing.Awaitable[Asked]]


@pytest.fixture
def by(serve: Serve, engine: StubEngine) -> Asking:
    """Post to a route that finds its keys by an expression, which may read the header x-tenant."""

    async def asking(text: str) -> Asked:
        made = route(forward=("x-tenant",))
        rule = Idempotency(ttl=60.0, max_keys=9, key_expression=text)
        plan = msgspec.structs.replace(made.plan, idempotency=rule)
        keyed_by = expressions.compile(text, expressions.KEY)
        engine.routes = {plan.path: msgspec.structs.replace(made, plan=plan, keyed_by=keyed_by)}
        client = await serve()

        async def asked(body: bytes, *headers: str) -> Answer:
            return await client.ask(post(body, *headers))

        return asked

    return asking


class KnownBy(typing.NamedTuple):
    """By what an event is known again, without the event."""

    door: int
    key: bytes
    fingerprint: bytes


async def keys(ask: Asked, engine: StubEngine, *requests: tuple[bytes, tuple[str, ...]]) -> list[KnownBy]:
    for body, headers in requests:
        assert (await ask(body, *headers)).status == 202
    return [KnownBy(one.door, one.key, one.fingerprint) for one in engine.keyed]


async def test_the_header_is_the_key_quoted_or_bare(ask: Asked, engine: StubEngine) -> None:
    said = ('"a-1"', "a-1", '"a-1";v=1', '"a-2"', r'"a\"1"')

    found = await keys(ask, engine, *((b"x", (f"Idempotency-Key: {one}",)) for one in said))

    assert found[0] == found[1] == found[2]
    assert len({one.key for one in found}) == 3
    assert {one.door for one in found} == {door("shop/orders")}


@pytest.mark.parametrize("said", ["", '"', '"open', '""', '"a" b', "a\tb"])
async def test_what_is_no_key_is_refused(ask: Asked, engine: StubEngine, said: str) -> None:
    answer = await ask(b"x", f"Idempotency-Key: {said}")

    assert (answer.status, answer.json["type"].rpartition("/")[2]) == (400, "idempotency-key")
    assert answer.json["title"] == "Idempotency-Key unusable"
    assert engine.taken == []


async def test_a_plain_request_without_a_key_is_refused_and_a_cloudevent_has_one(
    ask: Asked, engine: StubEngine
) -> None:
    answer = await ask(b"x")
    found = await keys(ask, engine, (b"1", EVENT), (STRUCTURED, ("Content-Type: application/cloudevents+json",)))

    assert (answer.status, answer.json["title"]) == (400, "Idempotency-Key needed")
    assert found[0].key == found[1].key, "binary and structured, it is the same event"


async def test_the_fingerprint_is_of_body_and_event_and_not_of_what_changes_with_each_sending(
    ask: Asked, engine: StubEngine
) -> None:
    key = "Idempotency-Key: k"
    other = tuple(one.replace("placed", "cancelled") for one in EVENT)

    found = await keys(
        ask,
        engine,
        (b"1", (key, *EVENT, "traceparent: 00-1-1-01", "ce-time: 2026-11-23T01:04:00Z")),
        (b"1", (key, *EVENT, "traceparent: 00-2-2-01", "ce-time: 2026-11-23T01:05:00Z")),
        (b"2", (key, *EVENT)),
        (b"1", (key, *other)),
        (b"1", (key,)),
        (b"1", (key,)),
    )

    prints = [one.fingerprint for one in found]
    assert prints[0] == prints[1]
    assert prints[4] == prints[5], "the id of a plain request is ours, and another each time"
    assert len(set(prints)) == 4
    assert len({one.key for one in found}) == 1


async def test_an_event_that_breaks_the_rules_is_told_so_first(ask: Asked) -> None:
    answer = await ask(b"{", "Content-Type: application/json")

    assert answer.json["type"].endswith("/invalid-json")


async def test_a_route_without_keys_looks_at_none(serve: Serve, engine: StubEngine) -> None:
    client = await serve()

    assert (await client.ask(post(b"x", "Idempotency-Key: k"))).status == 202
    assert engine.keyed == []


JSON = "Content-Type: application/json"


async def test_an_expression_gives_the_key_and_the_header_has_no_say(by: Asking, engine: StubEngine) -> None:
    ask = await by("headers['x-tenant'] + '/' + data.order")

    found = await keys(
        ask,
        engine,
        (b'{"order": "7"}', (JSON, "X-Tenant: acme")),
        (b'{"order": "7"}', (JSON, "X-Tenant: acme", "Idempotency-Key: other")),
        (b'{"order": "7"}', (JSON, "X-Tenant: zeta")),
        (b'{"order": "8"}', (JSON, "X-Tenant: acme")),
    )

    assert found[0] == found[1]
    assert len({one.key for one in found}) == 3


async def test_under_an_expression_an_event_with_a_new_id_is_the_same_and_one_of_another_type_is_not(
    by: Asking, engine: StubEngine
) -> None:
    ask = await by("data.order")
    again = tuple(one.replace("ce-id: 7", "ce-id: 8") for one in EVENT)
    other = tuple(one.replace("placed", "cancelled") for one in EVENT)

    found = await keys(ask, engine, *((b'{"order": "7"}', (JSON, *one)) for one in (EVENT, again, other)))

    assert found[0] == found[1]
    assert found[0].key == found[2].key
    assert found[0].fingerprint != found[2].fingerprint


@pytest.mark.parametrize(
    ("text", "headers", "says"),
    [
        ("data.order", (JSON,), 'there is no "order" in data; has() asks whether there is'),
        ("string(data.n / 0)", (JSON,), "divide by zero"),
        ("''", (JSON,), "it gives an empty string, which is no key"),
        ("data.n", (JSON,), "it must give a string, it gave an int"),
        ("event.id", (JSON,), 'there is no "id" in event; has() asks whether there is'),
    ],
)
async def test_an_event_that_the_expression_gives_no_key_is_refused_with_the_reason(
    by: Asking, engine: StubEngine, text: str, headers: tuple[str, ...], says: str
) -> None:
    answer = await (await by(text))(b'{"n": 1}', *headers)

    assert (answer.status, answer.json["type"].rpartition("/")[2]) == (422, "no-idempotency-key")
    assert answer.json["detail"] == f"accept.idempotency.keyExpression: {says}"
    assert engine.taken == []


async def test_an_id_of_the_producers_can_be_the_key(by: Asking, engine: StubEngine) -> None:
    ask = await by("event.source + event.id")

    found = await keys(ask, engine, (b"1", EVENT), (STRUCTURED, ("Content-Type: application/cloudevents+json",)))

    assert found[0].key == found[1].key


# --- where callers wait -----------------------------------------------------------------------------------------------

Waiting = typing.Callable[..., typing.Awaitable[Wire]]
KEY_1 = "Idempotency-Key: k"
SAID = Settled(
    receipt="r1",
    ending=Ending.ANSWERED,
    heard=(Heard("a", State.DELIVERED, answer=Captured(200, (("content-type", "application/json"),), b'{"n": 1.0}')),),
)
NO = Settled(
    receipt="r1",
    ending=Ending.FAILED,
    heard=(Heard("a", State.DEAD, "TargetRejected", "the target answered 402", Captured(402)),),
)


@pytest.fixture
async def wait(serve: Serve, engine: StubEngine) -> Waiting:
    """Bring an event under the key k, and wait for its targets."""
    made = route(respond=Respond(wait_for=("a",), quorum=1, timeout=10.0, partial=False))
    plan = msgspec.structs.replace(made.plan, idempotency=Idempotency(ttl=60.0, max_keys=9))
    engine.routes = {plan.path: msgspec.structs.replace(made, plan=plan)}
    client = await serve()

    async def waiting(*headers: str) -> Wire:
        before = len(engine.clients)
        wire = await client.connect()
        await wire.send(post(b"hi", KEY_1, *headers))
        await until(lambda: len(engine.clients) > before)
        return wire

    return waiting


@pytest.mark.parametrize(("said", "status"), [(SAID, 200), (NO, 502)])
async def test_what_is_kept_is_told_again_byte_for_byte_but_for_what_is_of_a_request_alone(
    wait: Waiting, engine: StubEngine, said: Settled, status: int
) -> None:
    first, again = await wait("X-Request-Id: one"), await wait("X-Request-Id: two")

    kept = engine.clients[0].write(said)
    answers = []
    for client, wire in zip(engine.clients, (first, again), strict=True):
        client.tell(Repeated("r1", kept))
        answers.append(await wire.answer())

    assert [one.status for one in answers] == [status, status]
    assert answers[0].body == answers[1].body
    assert [one.headers.pop("x-request-id") for one in answers] == ["one", "two"]
    assert answers[0].headers | {"date": ""} == answers[1].headers | {"date": ""}
    assert answers[1].headers["fanout-receipt"] == "r1"


async def test_where_no_answer_is_kept_the_receipt_is_given_and_said_to_be_all_there_is(
    wait: Waiting, engine: StubEngine
) -> None:
    wire = await wait()

    engine.clients[0].tell(Repeated("r1", None))
    answer = await wire.answer()

    assert (answer.status, answer.headers["fanout-answer"]) == (202, "not-kept")
    assert answer.headers["location"] == "/-/events/r1"
    assert answer.json == {"receipt": "r1", "status": "/-/events/r1"}


async def test_who_would_rather_have_the_receipt_waits_for_nobody(wait: Waiting, engine: StubEngine) -> None:
    wire = await wait()
    engine.clients[0].tell(Turned(status=409, reason="IdempotencyKeyInUse", detail="later", retry_after=1))
    busy = await wire.answer()
    await wire.send(post(b"hi", KEY_1, "Prefer: respond-async"))
    answer = await wire.answer()

    assert (busy.status, busy.headers["retry-after"]) == (409, "1")
    assert busy.json["type"].endswith("/idempotency-key-in-use")
    assert (answer.status, answer.headers["preference-applied"]) == (202, "respond-async")
    assert len(engine.clients) == 1
