"""Ours and aiohttp's server, asked the same: where the RFCs leave a server no choice, both answer alike.

An answer is read by h11, so that neither side's own reading is the measure. What is left out is what RFC 9112 leaves
open, and where aiohttp does not do what it says (a request without Host, or with two, is served there).
"""

import asyncio

import pytest

from tests.contract.ingress.both import World, client
from tests.contract.ingress.client import PATIENCE, chunked, post

HOST = b"POST /shop/orders HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("name", "data", "bodies", "lives"),
    [
        ("a length", post(b"hello"), [b"hello"], True),
        ("any bytes", post(bytes(range(256))), [bytes(range(256))], True),
        ("an empty body", post(b""), [b""], True),
        ("no body and no length", HOST + b"\r\n", [b""], True),
        ("chunks", chunked(b"a", b"\r\n", b"bc"), [b"a\r\nbc"], True),
        ("chunks of one byte", chunked(*[b"x"] * 50), [b"x" * 50], True),
        ("no chunk at all", chunked(), [b""], True),
        ("an extension and a trailer", CHUNKED + b"\r\n2;a=b\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n", [b"hi"], True),
        ("a size in capitals", CHUNKED + b"\r\n0A\r\n0123456789\r\n0\r\n\r\n", [b"0123456789"], True),
        ("names in any case", b"POST /shop/orders HTTP/1.1\r\nhOsT: x\r\ncONTENT-lENGTH: 2\r\n\r\nhi", [b"hi"], True),
        ("blanks around a value", HOST + b"Content-Length: \t 2 \t\r\n\r\nhi", [b"hi"], True),
        ("an empty value", HOST + b"X-Empty:\r\nContent-Length: 2\r\n\r\nhi", [b"hi"], True),
        ("a value outside ASCII", HOST + b"X-A: \xe4\xff\r\nContent-Length: 2\r\n\r\nhi", [b"hi"], True),
        ("a list in two lines", post(b"hi", "Accept: a/b", "Accept: c/d"), [b"hi"], True),
        ("a query", post(b"hi", path="/shop/orders?a=b&c"), [b"hi"], True),
        ("a letter percent-encoded", post(b"hi", path="/shop/%6Frders"), [b"hi"], True),
        ("an empty line before", b"\r\n" + post(b"hi"), [b"hi"], True),
        ("three in a row", post(b"1") + chunked(b"2") + post(b"3"), [b"1", b"2", b"3"], True),
        ("close", post(b"hi", "Connection: close"), [b"hi"], False),
        ("close, in a list", post(b"hi", "Connection: x, Close"), [b"hi"], False),
        ("HTTP/1.0", post(b"hi", version="1.0"), [b"hi"], False),
        ("HTTP/1.0 that stays", post(b"hi", "Connection: keep-alive", version="1.0"), [b"hi"], True),
        ("HTTP/1.0 without a host", b"POST /shop/orders HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", [b"hi"], False),
        ("chunked in capitals", HOST + b"Transfer-Encoding: CHUNKED\r\n\r\n2\r\nhi\r\n0\r\n\r\n", [b"hi"], True),
        ("a size with zeros before it", CHUNKED + b"\r\n0002\r\nhi\r\n000\r\n\r\n", [b"hi"], True),
        ("a quoted extension", CHUNKED + b'\r\n2;a="b;c"\r\nhi\r\n0\r\n\r\n', [b"hi"], True),
        ("two trailers", CHUNKED + b"\r\n2\r\nhi\r\n0\r\nA: 1\r\nB: 2\r\n\r\n", [b"hi"], True),
        ("expecting to go on", post(b"hi", "Expect: 100-continue"), [b"hi"], True),
    ],
)
async def test_what_is_well_formed_is_taken(
    world: World, name: str, data: bytes, bodies: list[bytes], lives: bool
) -> None:
    async with world() as port, client(port) as wire:
        wire.writer.write(data)

        assert [(await wire.answer()).status_code for _ in bodies] == [202] * len(bodies), name
        assert port.taken() == bodies
        assert await wire.lives() == lives


async def test_however_the_network_cuts_it_the_request_is_the_same(world: World) -> None:
    data = post(b"one") + chunked(b"two", b"2") + post(b"three", "Connection: close")
    async with world() as port, client(port) as wire:
        for byte in range(len(data)):
            wire.writer.write(data[byte : byte + 1])
            await asyncio.sleep(0)

        assert [(await wire.answer()).status_code for _ in range(3)] == [202] * 3
        assert port.taken() == [b"one", b"two2", b"three"]


async def test_nowhere_is_404_and_another_method_405_with_what_is_allowed(world: World) -> None:
    async with world() as port, client(port) as wire:
        wire.writer.write(post(b"x", path="/nowhere"))
        nowhere = await wire.answer()
        wire.writer.write(b"DELETE /shop/orders HTTP/1.1\r\nHost: x\r\n\r\n")
        wrong = await wire.answer()

        assert (nowhere.status_code, wrong.status_code) == (404, 405)
        assert dict(wrong.headers)[b"allow"].split(b", ")[0] == b"POST"
        assert await wire.lives()
        assert port.taken() == [b"last"]


async def test_an_answer_to_head_has_no_body(world: World) -> None:
    async with world() as port, client(port) as wire:
        wire.writer.write(b"HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")

        assert (await wire.answer("HEAD")).status_code == 404
        assert await wire.lives()


@pytest.mark.parametrize("expectation", [b"100-continue", b"100-Continue"])
async def test_who_waits_for_100_is_told_before_the_body(world: World, expectation: bytes) -> None:
    """In any case of letters (RFC 9110 §10.1.1)."""
    async with world() as port, client(port) as wire:
        wire.writer.write(HOST + b"Content-Length: 2\r\nExpect: %b\r\n\r\n" % expectation)
        async with asyncio.timeout(PATIENCE):
            said = await wire.reader.readuntil(b"\r\n\r\n")
        wire.writer.write(b"hi")

        assert said.startswith(b"HTTP/1.1 100 ")
        assert (await wire.answer()).status_code == 202
        assert port.taken() == [b"hi"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("two different lengths", HOST + b"Content-Length: 2\r\nContent-Length: 0\r\n\r\nhi"),
        ("a signed length", HOST + b"Content-Length: +2\r\n\r\nhi"),
        ("a negative length", HOST + b"Content-Length: -2\r\n\r\nhi"),
        ("a hexadecimal length", HOST + b"Content-Length: 0x2\r\n\r\nhi"),
        ("an empty length", HOST + b"Content-Length:\r\n\r\n"),
        ("a length beyond 64 bits", HOST + b"Content-Length: 99999999999999999999\r\n\r\n"),
        ("space before the colon", HOST + b"Content-Length : 2\r\n\r\nhi"),
        ("a coding that is not chunked", HOST + b"Transfer-Encoding: gzip\r\n\r\nhi"),
        ("a chunk size that is no number", CHUNKED + b"\r\n2g\r\nhi\r\n0\r\n\r\n"),
        ("a chunk size with a sign", CHUNKED + b"\r\n+2\r\nhi\r\n0\r\n\r\n"),
        ("a chunk size of nothing", CHUNKED + b"\r\n\r\nhi\r\n0\r\n\r\n"),
        ("a chunk size beyond 64 bits", CHUNKED + b"\r\nfffffffffffffffff\r\nhi\r\n0\r\n\r\n"),
        ("chunks twice", HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("a chunk longer than it says", CHUNKED + b"\r\n1\r\nhi\r\n0\r\n\r\n"),
        ("a length and chunks in HTTP/1.0", CHUNKED.replace(b"1.1", b"1.0") + b"Content-Length: 2\r\n\r\n0\r\n\r\n"),
        ("a nameless header", HOST + b": b\r\n\r\n"),
        ("a line without a colon", HOST + b"nothing\r\n\r\n"),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    ],
)
async def test_what_breaks_the_framing_is_400_and_nothing_after_it_is_heard(
    world: World, name: str, data: bytes
) -> None:
    async with world() as port, client(port) as wire:
        wire.writer.write(data + post(b"smuggled"))

        assert (await wire.answer()).status_code == 400, name
        assert not await wire.lives()
        assert b"smuggled" not in port.taken()
