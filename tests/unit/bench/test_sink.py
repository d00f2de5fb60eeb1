"""The targets count every request once, however it is cut into pieces."""

import asyncio
import typing

import pytest

from bench.event import body, request
from bench.sink import ANSWER, Counts, Target


class Transport:
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def target(counts: Counts) -> tuple[Target, Transport]:
    one, transport = Target(counts), Transport()
    one.connection_made(typing.cast(asyncio.BaseTransport, transport))
    return one, transport


@pytest.mark.parametrize("size", [300, 64 << 10])
@pytest.mark.parametrize("piece", [100, 20_000, 1 << 20])
def test_every_request_is_answered_once(size: int, piece: int) -> None:
    counts = Counts()
    one, transport = target(counts)
    sent = (request("/a", "host", size) + body(size=size)) * 3

    for start in range(0, len(sent), piece):
        one.data_received(sent[start : start + piece])

    assert counts.deliveries == 3
    assert transport.written == ANSWER * 3


def test_each_event_of_a_batch_counts_and_the_batch_is_answered_once() -> None:
    counts = Counts()
    one, transport = target(counts)
    batch = b'[{"id":"1","data":%b},{"id":"2","data":%b}]' % (body(), body())

    one.data_received((request("/a", "host", len(batch)) + batch) * 2)

    assert (counts.deliveries, counts.latencies) == (4, [])
    assert transport.written == ANSWER * 2


def test_one_that_hangs_counts_and_never_answers() -> None:
    counts = Counts(delay=None)
    one, transport = target(counts)

    one.data_received(request("/a", "host") + body())

    assert (counts.deliveries, transport.written) == (1, b"")


async def test_a_slow_one_answers_later() -> None:
    counts = Counts(delay=0.01)
    one, transport = target(counts)

    one.data_received(request("/a", "host") + body())
    at_once = transport.written
    await asyncio.sleep(0.05)

    assert (at_once, transport.written) == (b"", ANSWER)
