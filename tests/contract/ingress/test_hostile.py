"""Requests that no honest client sends: each is refused, and the connection is not believed any further."""

import pytest

from tests.contract.ingress.client import chunked, post
from tests.contract.ingress.conftest import Serve
from tests.unit.dispatcher.ingress.stub import StubEngine

HOST = b"POST /shop/orders HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"POST /shop/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nsmuggled"
WISH = b"Connection: upgrade\r\nUpgrade: h2c\r\n"
CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("two lengths", HOST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", 400),
        ("two different lengths", HOST + b"Content-Length: 2\r\nContent-Length: 0\r\n\r\nhi", 400),
        ("a list of lengths", HOST + b"Content-Length: 2, 2\r\n\r\nhi", 400),
        ("a signed length", HOST + b"Content-Length: +2\r\n\r\nhi", 400),
        ("a negative length", HOST + b"Content-Length: -2\r\n\r\nhi", 400),
        ("a hexadecimal length", HOST + b"Content-Length: 0x2\r\n\r\nhi", 400),
        ("an empty length", HOST + b"Content-Length:\r\n\r\n", 400),
        ("a length beyond 64 bits", HOST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
        ("a length of 20 digits", HOST + b"Content-Length: 00000000000000000002\r\n\r\nhi", 400),
        ("a length of 5000 digits", HOST + b"Content-Length: " + b"0" * 5000 + b"2\r\n\r\nhi", 400),
        ("such a length, and no Host", HOST[:-9] + b"Content-Length: " + b"0" * 5000 + b"2\r\n\r\nhi", 400),
        ("a length and chunks", HOST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("chunks and a length", CHUNKED + b"Content-Length: 2\r\n\r\n0\r\n\r\n", 400),
        ("a length in the trailer", CHUNKED + b"\r\n0\r\nContent-Length: 3\r\n\r\nabc", 400),
        ("a coding beside chunks", HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        ("an unknown coding", HOST + b"Transfer-Encoding: gzip\r\n\r\nhi", 400),
        ("identity as a coding", HOST + b"Transfer-Encoding: identity\r\n\r\nhi", 400),
        ("chunks twice", HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        ("two codings", CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("a coding with a parameter", HOST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400),
        ("a coding after a tab of vertical", HOST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
        ("space before the colon", HOST + b"Content-Length : 2\r\n\r\nhi", 400),
        ("a body without a length in HTTP/1.0", b"POST /shop/orders HTTP/1.0\r\n\r\nhi", 400),
        ("chunks in HTTP/1.0", CHUNKED.replace(b"1.1", b"1.0") + b"\r\n0\r\n\r\n", 400),
        ("a chunk size of nothing", CHUNKED + b"\r\n\r\nhi\r\n0\r\n\r\n", 400),
        ("a chunk size that is not hexadecimal", CHUNKED + b"\r\n2g\r\nhi\r\n0\r\n\r\n", 400),
        ("a chunk size with a sign", CHUNKED + b"\r\n+2\r\nhi\r\n0\r\n\r\n", 400),
        ("a chunk size beyond 64 bits", CHUNKED + b"\r\nfffffffffffffffff\r\nhi\r\n0\r\n\r\n", 400),
        ("a chunk longer than it says", CHUNKED + b"\r\n1\r\nhi\r\n0\r\n\r\n", 400),
        ("bare LF in a chunk size", CHUNKED + b"\r\n2\nhi\r\n0\r\n\r\n", 400),
        ("bare LF in an extension", CHUNKED + b"\r\n2;a\nb\r\nhi\r\n0\r\n\r\n", 400),
        ("bare LF everywhere", b"POST /shop/orders HTTP/1.1\nHost: x\n\n", 400),
        ("bare LF in the head", HOST + b"A: b\nC: d\r\n\r\n", 400),
        ("bare CR in a value", HOST + b"A: b\rc\r\n\r\n", 400),
        ("a folded line", HOST + b"A: b\r\n c\r\n\r\n", 400),
        ("a folded first line", b"POST /shop/orders HTTP/1.1\r\n Host: x\r\n\r\n", 400),
        ("NUL in a value", HOST + b"A: b\0c\r\n\r\n", 400),
        ("NUL in a name", HOST + b"A\0: b\r\n\r\n", 400),
        ("NUL in the path", b"POST /shop\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("a control character", HOST + b"A: \x01\r\n\r\n", 400),
        ("a nameless header", HOST + b": b\r\n\r\n", 400),
        ("a line without a colon", HOST + b"nothing\r\n\r\n", 400),
        ("no Host", b"POST /shop/orders HTTP/1.1\r\n\r\n", 400),
        ("two Hosts", HOST + b"Host: x\r\n\r\n", 400),
        ("two Hosts, spelt differently", HOST + b"hOST: y\r\n\r\n", 400),
        ("a Host with a path", b"POST /shop/orders HTTP/1.1\r\nHost: x/y\r\n\r\n", 400),
        ("a Host with a user", b"POST /shop/orders HTTP/1.1\r\nHost: u@x\r\n\r\n", 400),
        ("two Hosts in one", b"POST /shop/orders HTTP/1.1\r\nHost: x, y\r\n\r\n", 400),
        ("two content types", HOST + b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", 400),
        ("two authorizations", HOST + b"Authorization: a\r\nAuthorization: b\r\n\r\n", 400),
        ("an attribute twice", HOST + b"ce-id: 1\r\nCE-ID: 2\r\n\r\n", 400),
        ("a trace twice", HOST + b"traceparent: 1\r\ntraceparent: 2\r\n\r\n", 400),
        ("HTTP/2.0", b"POST /shop/orders HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("HTTP/3.0", b"POST /shop/orders HTTP/3.0\r\nHost: x\r\n\r\n", 505),
        ("HTTP/1.2", b"POST /shop/orders HTTP/1.2\r\nHost: x\r\n\r\n", 505),
        ("HTTP/0.9 by name", b"POST /shop/orders HTTP/0.9\r\nHost: x\r\n\r\n", 400),
        ("HTTP/0.9", b"GET /shop/orders\r\n\r\n", 400),
        ("RTSP", b"DESCRIBE /shop/orders RTSP/1.0\r\nHost: x\r\n\r\n", 405),
        ("a version in small letters", b"POST /shop/orders http/1.1\r\nHost: x\r\n\r\n", 400),
        ("a space in the path", b"POST /shop /orders HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("a path that is not ASCII", b"POST /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("a fragment", b"POST /shop/orders#x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("an absolute target", b"POST http://x/shop/orders HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("an asterisk", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("CONNECT", b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("TRACE", b"TRACE /shop/orders HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("an unknown method", b"FROB /shop/orders HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        ("an expectation", HOST + b"Expect: miracles\r\nContent-Length: 2\r\n\r\n", 417),
        ("a hundred and one headers", HOST + b"".join(b"x-%d: 1\r\n" % n for n in range(100)) + b"\r\n", 431),
        ("a thousand headers", HOST + b"".join(b"x-%d: 1\r\n" % n for n in range(1000)) + b"\r\n", 431),
        ("an endless line", HOST + b"A: " + b"x" * 60_000, 431),
        ("an endless target", b"POST /" + b"x" * 60_000, 431),
        ("endless headers", HOST + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 8192) for n in range(6)), 431),
        ("a large but complete head", HOST + b"A: " + b"x" * 32_768 + b"\r\n\r\n", 431),
        ("an endless extension", CHUNKED + b"\r\n1;" + b"x" * 60_000, 400),
        ("an endless trailer", CHUNKED + b"\r\n0\r\n" + b"a: " + b"b" * 100_000, 400),
        ("endless trailers", CHUNKED + b"\r\n0\r\n" + b"a: b\r\n" * 10_000, 431),
        ("a hundred and one trailers", CHUNKED + b"\r\n0\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (
            "Upgrade and an unknown coding",
            HOST + b"Connection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: gzip\r\n\r\n",
            400,
        ),
    ],
)
async def test_it_is_refused_and_nothing_after_it_is_heard(
    serve: Serve, engine: StubEngine, name: str, data: bytes, status: int
) -> None:
    client = await serve(linger_seconds=0.2)
    wire = await client.connect()

    await wire.send(data + SMUGGLED)

    answer = await wire.answer()
    assert answer.status == status, name
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/problem+json"
    assert await wire.closed() == b""
    assert engine.taken == []


async def test_the_largest_head_that_is_allowed_is_taken(serve: Serve) -> None:
    client = await serve()
    filler = "".join(f"x-{number:02}: {'y' * 8000}\r\n" for number in range(4))[:-2]

    assert (await client.ask(post(b"", filler))).status == 202


async def test_a_hundred_headers_are_taken(serve: Serve) -> None:
    client = await serve()

    assert (await client.ask(post(b"", *[f"x-{number}: 1" for number in range(98)]))).status == 202


async def test_chunks_of_one_byte_are_taken(serve: Serve, engine: StubEngine) -> None:
    client = await serve()

    assert (await client.ask(chunked(*[b"x"] * 1000))).status == 202
    assert engine.taken[0][1] == b"x" * 1000


@pytest.mark.parametrize("split", [False, True])
async def test_a_wish_to_upgrade_is_ignored_and_the_body_is_not_lost(
    serve: Serve, engine: StubEngine, split: bool
) -> None:
    client = await serve()
    wire = await client.connect()
    wish = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    data = (
        post(b"first", *wish)
        + chunked(b"sec", b"ond", headers="Connection: upgrade\r\nUpgrade: h2c\r\n")
        + post(b"third")
    )

    for part in [data[:200], data[200:]] if split else [data]:
        await wire.send(part)

    assert [(await wire.answer()).status for _ in range(3)] == [202, 202, 202]
    assert [body for _, body in engine.taken] == [b"first", b"second", b"third"]


@pytest.mark.parametrize(
    "refused",
    [post(path="/nowhere"), post(b"x", "Content-Encoding: gzip"), post(b"{", "Content-Type: application/json")],
)
async def test_a_refusal_that_can_be_mended_leaves_the_connection_open(serve: Serve, refused: bytes) -> None:
    client = await serve()
    wire = await client.connect()

    await wire.send(refused + post())

    assert (await wire.answer()).status >= 400
    assert (await wire.answer()).status == 202


async def test_the_body_of_a_refused_request_is_not_read_for_ever(serve: Serve) -> None:
    client = await serve(discard_bytes=100, linger_seconds=0.1)

    for data in (
        post(b"x" * 101, path="/nowhere"),
        chunked(b"x" * 50, b"x" * 51).replace(b"/shop/orders", b"/nowhere"),
    ):
        wire = await client.connect()
        await wire.send(data)
        answer = await wire.answer()
        assert answer.status == 404
        assert answer.headers["connection"] == "close"
        assert await wire.closed() == b""


async def test_a_large_body_pushed_at_a_refusal_still_reads_the_answer(serve: Serve) -> None:
    client = await serve()
    wire = await client.connect()

    wire.writer.write(post(b"x" * 3_000_000))

    assert (await wire.answer()).status == 413
