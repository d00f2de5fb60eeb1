"""What one worker hands on another takes and answers, and what becomes of it when either of them ends."""

import asyncio
import collections.abc
import pathlib

import msgspec
import pytest

from fanout_dispatcher.ingress.accept import Acceptor
from fanout_dispatcher.ingress.answer import Answer
from fanout_dispatcher.ingress.exchange import Exchange
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Request
from fanout_dispatcher.values.desk import PortMeter
from fanout_dispatcher.workers import handing
from fanout_dispatcher.workers.mates import Mates
from tests.support.plans import a_wait
from tests.unit.dispatcher.ingress.stub import StubEngine, route

OWNER = 1
ROUTE = msgspec.structs.replace(route(), owner=OWNER)


class Line:
    """A client's connection, as far as an exchange knows it."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.no: Refusal | None = None

    def refused(self, refusal: Refusal) -> None:
        self.no = refusal

    def answered(self, exchange: Exchange) -> None:
        assert exchange.answer is not None
        self.answer.set_result(exchange.answer)


def asked(mates: Mates, body: bytes = b"{}", **fields: str) -> tuple[Line, Exchange]:
    """Hand a request on; its line, and what waits there."""
    lines = [(b"host", b"x"), (b"content-length", b"%d" % len(body))]
    lines += [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    request = Request(b"POST", "/shop/orders", lines, dict(lines), True, False, body=body, peer="10.0.0.1")
    request.echo = b"x-request-id: mine\r\n"
    request.route = ROUTE
    line = Line()
    exchange = Exchange(line, request)
    mates.hand_on(OWNER, exchange)
    return line, exchange


class Two:
    """Worker 0, who hands on, and worker 1, who owns what the engine says and may be ended and begun again."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.engine = StubEngine()
        self.near = Mates(folder, 0)
        self.far = Mates(folder, OWNER)
        self.meter = PortMeter()
        self.ended: list[Mates] = []

    def end(self, mates: Mates) -> None:
        """End a process, as often as one may end."""
        if mates not in self.ended:
            self.ended.append(mates)
            mates.close()

    async def begin(self) -> None:
        """Let the owner hear."""
        loop = asyncio.get_running_loop()
        await self.far.hear(Acceptor(loop, self.engine, lambda: "made"), self.meter)

    async def again(self) -> None:
        """Another process under the owner's number."""
        self.far = Mates(self.folder, OWNER)
        await self.begin()

    async def until_taken(self, count: int) -> None:
        """Wait until the engine has so many events."""
        while len(self.engine.taken) < count:  # noqa: ASYNC110 (it is taken from a socket)
            await asyncio.sleep(0.001)


@pytest.fixture
async def two(tmp_path: pathlib.Path) -> collections.abc.AsyncIterator[Two]:
    folder = tmp_path / ("long" * 30)  # no socket has a name as long as this
    folder.mkdir()
    made = Two(folder)
    await made.begin()
    yield made
    made.end(made.near)
    made.end(made.far)
    await asyncio.sleep(0.01)  # connections end in the next turns of the loop


async def test_a_request_arrives_whole_and_its_answer_comes_back_as_it_was_written(two: Two) -> None:
    line, _ = asked(two.near, b"x" * 1000, ce_id="7", ce_source="/s", ce_type="t", ce_specversion="1.0")
    said = await line.answer

    ((head, body),) = two.engine.taken
    assert (head.id, body) == ("7", b"x" * 1000)
    assert said.head.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert b"x-request-id: mine\r\n" in said.head
    assert b'"receipt":"r1"' in said.body


async def test_a_refusal_of_the_owner_is_counted_there_and_comes_back(two: Two) -> None:
    line, _ = asked(two.near, b"x" * 2000)
    said = await line.answer

    assert said.head.startswith(b"HTTP/1.1 413 ")
    assert two.meter.refused == {("body-too-large", 413): 1}
    assert line.no is None


async def test_an_answer_overtakes_one_that_takes_longer(two: Two) -> None:
    two.engine.holding = True
    slow, _ = asked(two.near)
    await two.until_taken(1)
    two.engine.holding = False
    quick, _ = asked(two.near)

    assert b'"r2"' in (await quick.answer).body
    assert not slow.answer.done()
    two.engine.release()
    assert b'"r1"' in (await slow.answer).body


async def test_where_the_owner_is_away_nothing_is_accepted_and_afterwards_it_is_there_again(two: Two) -> None:
    two.end(two.far)
    before, _ = asked(two.near)
    said = await before.answer
    await two.again()
    after, _ = asked(two.near)

    assert said.head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in said.head
    assert b"nothing was accepted" in said.body
    assert ROUTE.meter.turned["OwnerAway"] == 1
    assert (await after.answer).head.startswith(b"HTTP/1.1 202 ")


async def test_of_what_was_under_way_when_the_owner_ended_the_client_is_told_that_nobody_knows(two: Two) -> None:
    two.engine.holding = True
    line, exchange = asked(two.near)
    await two.until_taken(1)
    two.end(two.far)
    said = await line.answer
    await two.again()

    assert said.head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in said.head
    assert b"is not known. Send it again, under the same key" in said.body
    assert exchange.caller is None


async def test_a_client_that_leaves_is_gone_at_the_owner_and_its_answer_goes_nowhere(two: Two) -> None:
    two.engine.routes["/shop/orders"] = route(respond=a_wait("a"))
    line, exchange = asked(two.near)
    await two.until_taken(1)

    exchange.leave()
    while not two.engine.callers[0].gone:  # noqa: ASYNC110 (it is told over a socket)
        await asyncio.sleep(0.001)

    assert not line.answer.done()


async def test_the_clients_of_a_worker_that_ends_are_gone_too(two: Two) -> None:
    two.engine.routes["/shop/orders"] = route(respond=a_wait("a"))
    asked(two.near)
    await two.until_taken(1)

    two.end(two.near)
    while not two.engine.callers[0].gone:  # noqa: ASYNC110 (the kernel tells it)
        await asyncio.sleep(0.001)


async def test_one_that_does_not_keep_up_gets_nothing_more(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = asked(two.near)
    await first.answer
    monkeypatch.setattr(handing, "MOST", -1)
    line, _ = asked(two.near)

    assert b"does not keep up" in (await line.answer).body


async def test_parting_ends_once_the_others_hand_on_nothing_more_and_what_is_under_way_is_answered(two: Two) -> None:
    two.engine.holding = True
    line, _ = asked(two.near)
    await two.until_taken(1)
    parting = asyncio.create_task(two.far.part(60.0))
    await two.near.part(60.0)
    await parting
    late, _ = asked(two.near)
    two.engine.release()

    assert b"shutting down" in (await late.answer).body
    assert (await line.answer).head.startswith(b"HTTP/1.1 202 ")


async def test_a_request_that_was_handed_on_is_never_handed_on_again(two: Two) -> None:
    two.engine.routes["/shop/orders"] = ROUTE
    line, _ = asked(two.near)

    said = await line.answer
    assert said.head.startswith(b"HTTP/1.1 503 ")
    assert b"there is no way to it" in said.body
    assert two.engine.taken == []


async def test_the_socket_is_its_owners_alone_and_goes_with_it(two: Two) -> None:
    file = two.folder / "worker-1.sock"

    assert file.stat().st_mode & 0o777 == 0o600
    two.end(two.far)
    assert not file.exists()
