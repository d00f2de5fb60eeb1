"""What a route is asked with besides POST, and what is kept of where it was asked; on a real port."""

import msgspec
import pytest

from fanout_crds.plan import Respond
from fanout_dispatcher.values.answers import Ending, Heard, Settled
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.parameters import Parameters
from tests.contract.ingress.client import Answer, post, until
from tests.contract.ingress.conftest import Serve
from tests.unit.dispatcher.ingress.stub import StubEngine, StubRoute, route

WAIT = Respond(wait_for=("a",), quorum=1, timeout=10.0, partial=False)
TOLD = Settled(receipt="r1", ending=Ending.ANSWERED, heard=(Heard(target="a", state=State.DELIVERED),))
ALLOWED = "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"


def product() -> StubRoute:
    """A route at /shop/products/{id}, which is asked and changed, and keeps the id and a parameter."""
    made = route("/shop/products/{id}", respond=WAIT)
    return StubRoute(
        msgspec.structs.replace(made.plan, methods=("GET", "PUT", "PATCH", "DELETE")),
        posted=False,
        source=None,
        parameters=Parameters(segments=(("id", 2),), query=frozenset({"fields"})),
    )


@pytest.fixture
def engine() -> StubEngine:
    return StubEngine(route(), product())


def asking(method: str, *headers: str, path: str = "/shop/products/7%2F8?fields=price&token=x") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


async def told(serve: Serve, engine: StubEngine, request: bytes, what: Settled = TOLD) -> Answer:
    """Ask, and be told what the target said."""
    before = len(engine.callers)
    wire = await (await serve()).connect()
    await wire.send(request)
    await until(lambda: len(engine.callers) > before)
    engine.callers[-1].tell(what)
    return await wire.answer(bodiless=request.startswith(b"HEAD"))


async def test_a_get_is_an_event_without_data_of_the_path_that_it_asked(serve: Serve, engine: StubEngine) -> None:
    answer = await told(serve, engine, asking("GET", "Content-Type: application/json"))

    head, body = engine.taken[0]
    assert (answer.status, answer.json["targets"]) == (200, {"a": {"state": "Delivered"}})
    assert (head.type, head.source, body) == ("dev.fanout.request", "/shop/products/7%2F8", b"")
    assert b"content-type" not in head.attributes
    assert (head.path, head.query) == ((("id", "7/8"),), (("fields", "price"),))


@pytest.mark.parametrize(
    ("method", "says"), [("GET", "the event is accepted and goes on"), ("PUT", ": do not send it again")]
)
async def test_who_only_asks_is_not_told_to_ask_no_more(
    serve: Serve, engine: StubEngine, method: str, says: str
) -> None:
    late = Settled(receipt="r1", ending=Ending.TIMEOUT, heard=(Heard(target="a", detail="last attempt: 503"),))
    answer = await told(serve, engine, asking(method, *(["Content-Length: 0"] if method == "PUT" else [])), late)

    assert answer.status == 504
    assert answer.json["detail"].startswith("a: no answer yet (last attempt: 503); the event is accepted and goes on")
    assert answer.json["detail"].endswith(says)
    assert answer.json["targets"] == {"a": {"state": "Pending", "detail": "last attempt: 503"}}


async def test_head_is_answered_as_get_is_without_the_body(serve: Serve, engine: StubEngine) -> None:
    get = await told(serve, engine, asking("GET"))
    head = await told(serve, engine, asking("HEAD", "Prefer: respond-async"))

    assert (head.status, head.body) == (200, b"")
    assert head.headers == get.headers


async def test_a_body_comes_with_put_and_patch_and_may_come_with_delete(serve: Serve, engine: StubEngine) -> None:
    await told(serve, engine, asking("PUT", "Content-Length: 2") + b"{}")
    await told(serve, engine, asking("PATCH", "Content-Length: 7") + b'{"a":1}')
    await told(serve, engine, asking("DELETE", "Content-Length: 2") + b"[]")
    await told(serve, engine, asking("DELETE"))

    assert [body for _, body in engine.taken] == [b"{}", b'{"a":1}', b"[]", b""]


@pytest.mark.parametrize("path", ["/shop/products/7", "/shop/orders"])
async def test_options_is_answered_by_what_is_allowed_and_is_no_event(
    serve: Serve, engine: StubEngine, path: str
) -> None:
    wire = await (await serve()).connect()
    await wire.send(asking("OPTIONS", path=path) + asking("GET", path="/-/events/r9"))
    answer, after = await wire.answer(bodiless=True), await wire.answer()

    assert (answer.status, "content-length" in answer.headers) == (204, False)
    assert answer.headers["allow"] == (ALLOWED if "products" in path else "POST, OPTIONS")
    assert after.status == 404, "the connection goes on"
    assert engine.taken == []


@pytest.mark.parametrize("request_bytes", [post(path="/shop/products/7"), asking("QUERY"), asking("PROPFIND")])
async def test_another_method_is_told_what_is_allowed(serve: Serve, engine: StubEngine, request_bytes: bytes) -> None:
    answer = await (await serve()).ask(request_bytes)

    assert (answer.status, answer.headers["allow"]) == (405, ALLOWED)
    assert answer.json["detail"] == "events are sent here by GET, PUT, PATCH, DELETE"
    assert engine.taken == []


@pytest.mark.parametrize(
    ("request_bytes", "slug"),
    [
        (asking("GET", "Content-Length: 2") + b"{}", "malformed-request"),
        (asking("GET", "Transfer-Encoding: chunked") + b"0\r\n\r\n", "malformed-request"),
        (asking("GET", path="/shop/products/7?fields=%ff"), "invalid-query"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    serve: Serve, engine: StubEngine, request_bytes: bytes, slug: str
) -> None:
    answer = await (await serve()).ask(request_bytes)

    assert (answer.status, answer.json["type"].rpartition("/")[2]) == (400, slug)
    assert "fields" not in answer.body.decode(), "a query may hold secrets"
    assert engine.taken == []


async def test_a_put_of_http_1_0_needs_a_length(serve: Serve) -> None:
    answer = await (await serve()).ask(b"PUT /shop/products/7 HTTP/1.0\r\n\r\n")

    assert answer.status == 400
    assert answer.json["detail"].startswith("a PUT in HTTP/1.0 needs a Content-Length")
