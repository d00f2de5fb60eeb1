"""Ours and aiohttp's server: the order of answers, who closes when, what is too large, and what was cut short."""

import asyncio

import pytest

from tests.contract.ingress.both import MOST, World, client
from tests.contract.ingress.client import chunked, post, until

HOST = b"POST /shop/orders HTTP/1.1\r\nHost: x\r\n"
NOWHERE = post(path="/nowhere")
DELETE = b"DELETE /shop/orders HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_answers_come_in_the_order_of_the_requests_whatever_they_are(world: World) -> None:
    async with world() as port, client(port) as wire:
        wire.writer.write(post(b"1") + NOWHERE + chunked(b"2") + DELETE + post(b"3"))

        assert [(await wire.answer()).status_code for _ in range(5)] == [202, 404, 202, 405, 202]
        assert port.taken() == [b"1", b"2", b"3"]


async def test_an_answer_that_is_ready_early_waits_for_those_before_it(world: World) -> None:
    async with world() as port, client(port) as wire:
        port.hold()
        wire.writer.write(post(b"1") + NOWHERE)
        await until(port.taken)
        await asyncio.sleep(0.02)  # for the second, which might be answered at once
        port.release()

        assert [(await wire.answer()).status_code for _ in range(2)] == [202, 404]


async def test_two_connections_do_not_wait_for_each_other(world: World) -> None:
    async with world() as port, client(port) as one, client(port) as two:
        port.hold()
        one.writer.write(post(b"held"))
        await until(port.taken)
        two.writer.write(NOWHERE)

        assert (await two.answer()).status_code == 404
        port.release()
        assert (await one.answer()).status_code == 202


@pytest.mark.parametrize(
    "last",
    [post(b"1", "Connection: close"), post(b"1", "Connection: keep-alive, close"), post(b"1", version="1.0")],
    ids=["close", "close in a list", "HTTP/1.0"],
)
async def test_nothing_that_follows_the_last_request_is_heard(world: World, last: bytes) -> None:
    async with world() as port, client(port) as wire:
        wire.writer.write(last + post(b"after"))
        await wire.closed()

        assert b"after" not in port.taken()


@pytest.mark.parametrize(
    ("request_", "manner"),
    [(post(b"1", "Connection: close"), b"close"), (post(b"1", "Connection: keep-alive", version="1.0"), b"keep-alive")],
    ids=["HTTP/1.1 that closes", "HTTP/1.0 that stays"],
)
async def test_an_answer_says_what_becomes_of_the_connection_where_that_is_not_the_rule(
    world: World, request_: bytes, manner: bytes
) -> None:
    async with world() as port, client(port) as wire:
        wire.writer.write(request_)

        assert dict((await wire.answer()).headers)[b"connection"].lower() == manner


async def test_an_idle_connection_is_let_go_without_a_word(world: World) -> None:
    async with world(idle=0.5) as port, client(port) as wire:
        wire.writer.write(post(b"1"))
        assert (await wire.answer()).status_code == 202

        assert await wire.closed() == b""


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue"])
async def test_a_client_of_http_1_0_is_never_told_to_go_on(world: World, expectation: str) -> None:
    """It would take the interim answer for the final one (RFC 9110 §10.1.1)."""
    async with world() as port, client(port) as wire:
        data = post(b"hi", f"Expect: {expectation}", version="1.0")
        wire.writer.write(data[:-2])
        await asyncio.sleep(0.02)
        wire.writer.write(data[-2:])

        assert (await wire.closed()).split(b" ")[1] == b"202"
        assert port.taken() == [b"hi"]


@pytest.mark.parametrize("data", [post(b"x" * MOST), chunked(*[b"x" * 64] * (MOST // 64))], ids=["a length", "chunks"])
async def test_the_largest_body_that_is_allowed_is_taken(world: World, data: bytes) -> None:
    async with world() as port, client(port) as wire:
        wire.writer.write(data)

        assert (await wire.answer()).status_code == 202
        assert port.taken() == [b"x" * MOST]


@pytest.mark.parametrize(
    "data", [post(b"x" * (MOST + 1)), chunked(*[b"x" * 64] * (MOST // 64), b"x")], ids=["a length", "chunks"]
)
async def test_a_body_beyond_that_is_413_and_never_a_request_of_its_own(world: World, data: bytes) -> None:
    """The connection may live on or not; what follows on it is read as what it is, or not at all."""
    async with world() as port, client(port) as wire:
        wire.writer.write(data + post(b"after"))

        assert (await wire.answer()).status_code == 413
        await wire.lives()
        assert set(port.taken()) <= {b"after", b"last"}


@pytest.mark.parametrize(
    "data",
    [
        HOST + b"A: " + b"x" * 60_000 + b"\r\n\r\n",
        HOST + b"A: " + b"x" * 60_000,
        HOST + b"".join(b"x-%d: 1\r\n" % number for number in range(1000)) + b"\r\n",
        b"POST /" + b"x" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /" + b"x" * 60_000,
    ],
    ids=["one header", "a header without an end", "a thousand headers", "a target", "a target without an end"],
)
async def test_a_head_that_is_too_large_is_the_clients_fault_and_nothing_after_it_is_heard(
    world: World, data: bytes
) -> None:
    """Which of 400, 414 and 431 it is, RFC 9112 §5.4 leaves to the server."""
    async with world() as port, client(port) as wire:
        wire.writer.write(data + post(b"after"))

        assert (await wire.answer()).status_code in {400, 414, 431}
        assert not await wire.lives()
        assert port.taken() == []


@pytest.mark.parametrize(
    "cut",
    [post(b"hello")[:30], post(b"hello")[:-1], chunked(b"hello")[:-9], chunked(b"hello")[:-5], chunked(b"hello")[:-2]],
    ids=["in the head", "in the body", "in a chunk", "before the last chunk", "in the trailer"],
)
async def test_a_request_cut_short_is_no_event(world: World, cut: bytes) -> None:
    async with world() as port, client(port) as wire:
        wire.writer.write(cut)
        wire.writer.write_eof()
        await wire.closed()

        assert port.taken() == []


async def test_a_client_that_is_gone_before_its_answer_harms_nobody(world: World) -> None:
    async with world() as port, client(port) as other:
        async with client(port) as wire:
            port.hold()
            wire.writer.write(post(b"kept"))
            await until(port.taken)
            wire.writer.transport.abort()
        port.release()
        other.writer.write(post(b"other"))

        assert (await other.answer()).status_code == 202
        assert port.taken() == [b"kept", b"other"]
