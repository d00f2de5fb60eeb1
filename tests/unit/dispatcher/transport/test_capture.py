"""What is kept of an answer, for a flight that asks for it; for one that does not, nothing is."""

import pytest

from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault
from tests.unit.dispatcher.transport.support import OK, Call, Pad, answering, meeting

JSON = (("content-type", "application/json"),)
CHUNKED = (
    b"HTTP/1.1 201 Created\r\nLocation: /charges/7\r\ntransfer-encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n3\r\n, w\r\n0\r\nlocation: /elsewhere\r\n\r\n"
)
PLENTY = 1 << 16


def json(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type:  application/json \r\nserver: x\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


async def test_an_answer_is_kept_with_its_status_a_few_headers_and_its_body() -> None:
    async with meeting(answering(json(b'{"charge":7}'))) as (_, sender):
        outcome = await Pad().send(sender, capture=PLENTY)

    assert outcome == Delivered(200, Captured(200, JSON, b'{"charge":7}'))


async def test_a_refusal_is_kept_like_a_success() -> None:
    async with meeting(answering(json(b'"no funds"', b"402 Payment Required"))) as (_, sender):
        outcome = await Pad().send(sender, capture=PLENTY)

    assert outcome == Failed(status=402, answer=Captured(402, JSON, b'"no funds"'))


@pytest.mark.parametrize(("limit", "kept"), [(7, b"hello, "), (8, b"hello, w"), (1, b"h")])
async def test_a_body_in_chunks_is_kept_up_to_the_limit_and_said_to_be_cut(limit: int, kept: bytes) -> None:
    async with meeting(answering(CHUNKED)) as (found, sender):
        pad = Pad()
        outcome = await pad.send(sender, capture=limit)
        await pad.send(sender, capture=limit)

        assert outcome == Delivered(201, Captured(201, (("location", "/charges/7"),), kept, limit < 8))
        assert found.connections == 1  # it was read to its end all the same


async def test_a_body_that_comes_in_many_reads_is_put_together() -> None:
    async def script(call: Call) -> None:
        await call.request()
        for place in range(len(CHUNKED)):
            await call.answer(CHUNKED[place : place + 1])

    async with meeting(script) as (_, sender):
        outcome = await Pad().send(sender, capture=PLENTY)

    assert outcome == Delivered(201, Captured(201, (("location", "/charges/7"),), b"hello, w"))


async def test_a_body_without_a_length_is_kept_when_the_target_has_ended_it() -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(b"HTTP/1.1 200 OK\r\n\r\nabc")

    async with meeting(script) as (_, sender):
        assert await Pad().send(sender, capture=PLENTY) == Delivered(200, Captured(200, (), b"abc"))


async def test_headers_of_interim_answers_and_trailers_are_not_the_answer_s() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\netag: x\r\n\r\n"
    empty = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\netag: y\r\n\r\n0\r\nlink: </b>\r\n\r\n"
    async with meeting(answering(hints + empty)) as (_, sender):
        assert await Pad().send(sender, capture=PLENTY) == Delivered(200, Captured(200, (("etag", "y"),)))


async def test_a_header_of_hostile_length_is_left_out() -> None:
    head = b"HTTP/1.1 200 OK\r\nlocation: /%b\r\ncontent-length: 0\r\n\r\n" % (b"x" * 1024)
    async with meeting(answering(head)) as (_, sender):
        assert await Pad().send(sender, capture=PLENTY) == Delivered(200, Captured(200))


async def test_a_header_that_is_a_list_is_kept_whole_and_of_any_other_the_first() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nCache-Control: public\r\netag: a\r\ncache-control: no-store\r\netag: b\r\n"
        b"content-length: 0\r\n\r\n"
    )
    async with meeting(answering(head)) as (_, sender):
        outcome = await Pad().send(sender, capture=PLENTY)

    assert outcome == Delivered(200, Captured(200, (("cache-control", "public, no-store"), ("etag", "a"))))


@pytest.mark.parametrize(("name", "worst"), [("cache-control", "no-store"), ("vary", "*")])
async def test_what_is_too_long_to_be_kept_and_may_forbid_something_is_taken_to_do_so(name: str, worst: str) -> None:
    head = b"HTTP/1.1 200 OK\r\n%b: %b\r\ncontent-length: 0\r\n\r\n" % (name.encode(), b"x" * 1025)
    async with meeting(answering(head)) as (_, sender):
        assert await Pad().send(sender, capture=PLENTY) == Delivered(200, Captured(200, ((name, worst),)))


async def test_nothing_is_kept_of_an_answer_that_never_ended() -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(json(b"{}")[:-1])

    async with meeting(script) as (_, sender):
        assert await Pad().send(sender, capture=PLENTY) == Failed(fault=Fault.RESET, detail="connection reset")


async def test_each_flight_on_a_connection_gets_what_it_asked_for_though_the_bytes_are_the_same() -> None:
    async with meeting(answering(OK)) as (found, sender):
        pad = Pad()

        outcomes = [await pad.send(sender, capture=capture) for capture in (0, 9, 9, 1, 0, 9, 9)]

        kept, cut = Delivered(200, Captured(200, (), b"ok")), Delivered(200, Captured(200, (), b"o", True))
        assert outcomes == [Delivered(200), kept, kept, cut, Delivered(200), kept, kept]
        assert found.connections == 1


async def test_what_is_kept_of_one_answer_is_not_in_the_next() -> None:
    async with meeting(answering(json(b'"first"'), CHUNKED, b"HTTP/1.1 204 No Content\r\n\r\n")) as (_, sender):
        pad = Pad()
        first, second, third = [await pad.send(sender, capture=PLENTY) for _ in range(3)]

    assert first == Delivered(200, Captured(200, JSON, b'"first"'))
    assert second == Delivered(201, Captured(201, (("location", "/charges/7"),), b"hello, w"))
    assert third == Delivered(204, Captured(204))
