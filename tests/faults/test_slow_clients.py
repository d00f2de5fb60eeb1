"""P31: clients that say too little, too slowly or too much hold nothing, while others are served.

Here they meet the real process with its real deadlines, a crowd of each kind at once. The short form has the kinds
that are answered at once; those that a deadline has to end take half a minute.
"""

import asyncio
import contextlib
import time
import typing

import pytest

from tests.faults.conftest import Form
from tests.process.conftest import Bench
from tests.support.dispatcher import Load, Process
from tests.support.figures import Figure
from tests.support.ledger import lost, settled

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

CAP: typing.Final = 200.0  # MB
CROWD: typing.Final = 40  # clients of each kind
PROMISED: typing.Final = 30.0  # seconds: the longest that docs/security.md lets any of them stay …
NOTICED: typing.Final = 3.0  # … and how much later this busy test may see it
PATIENCE: typing.Final = 45.0  # seconds after which it has failed anyway

POST: typing.Final = b"POST /shop/order-placed HTTP/1.1\r\nhost: x\r\n"
LENGTH: typing.Final = POST + b"content-length: 100\r\n\r\n"
Said = tuple[bytes, bytes]  # what a client says first, and then five times a second

AT_ONCE: typing.Final[dict[str, Said]] = {
    "1000 headers": (POST + b"x: y\r\n" * 1000 + b"\r\n", b""),
    "long line": (b"POST /" + b"a" * 70_000, b""),
    "length and chunks": (POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b""),
    "two lengths": (POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd", b""),
    "huge body": (POST + b"content-length: 10737418240\r\n\r\n", b"x" * 10_000),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00", b""),
}
IN_TIME: typing.Final[dict[str, Said]] = {
    "nothing": (b"", b""),
    "half a head": (POST, b""),
    "dripping head": (POST + b"x: ", b"y"),
    "no body": (LENGTH, b""),
    "dripping body": (LENGTH, b"y"),
    "dripping chunks": (POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\ny\r\n"),
}


async def held(process: Process, said: Said) -> float:
    """Be one such client; for how many seconds (PATIENCE at the most) we were let in."""
    host, _, port = process.listen.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    begun = time.monotonic()
    dripping = asyncio.create_task(drip(writer, *said))
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while await reader.read(1 << 16):
                pass
    took = time.monotonic() - begun
    dripping.cancel()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await dripping
    writer.transport.abort()
    return took


async def drip(writer: asyncio.StreamWriter, first: bytes, more: bytes) -> None:
    """Say *first*, then *more* again and again."""
    writer.write(first)
    while more and not writer.is_closing():
        await asyncio.sleep(0.2)
        writer.write(more)


def crowd(process: Process, kinds: dict[str, Said]) -> "dict[str, asyncio.Future[list[float]]]":
    """Many clients of each kind, all at once."""
    return {kind: asyncio.gather(*(held(process, said) for _ in range(CROWD))) for kind, said in kinds.items()}


async def test_clients_that_hold_on_are_let_go_and_others_served(bench: Bench, form: Form, figure: Figure) -> None:
    kinds = AT_ONCE | (IN_TIME if form.long else {})
    a = await bench.target("a")
    bench.route(a)
    process = await bench.started()

    load = Load(process, "x", connections=4).start()
    took = {kind: max(await waiting) for kind, waiting in crowd(process, kinds).items()}
    await load.stop()
    await settled(process)
    peak = process.memory()
    code = await asyncio.to_thread(process.stop)

    worst = max(took, key=lambda kind: took[kind])
    gone = lost(load.accepted, [a])
    figure(
        "P31", clients=CROWD * len(kinds), kinds=len(kinds), longest_hold_s=took[worst], by=worst, peak_rss_mb=peak,
        acknowledged_meanwhile=len(load.accepted), lost=len(gone),
    )  # fmt: skip
    assert {kind: seconds for kind, seconds in took.items() if seconds > PROMISED + NOTICED} == {}
    assert len(load.accepted) > 0
    assert (gone, code) == ([], 0)
    assert peak < CAP
