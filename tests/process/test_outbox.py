"""Rows of a real PostgreSQL become events of a real dispatcher, each exactly once, whatever is killed in between."""

import asyncio
import collections
import collections.abc
import json
import pathlib
import sys
import typing

import pytest

from tests.process.conftest import Bench
from tests.support.dispatcher import Process
from tests.support.missing import without
from tests.support.postgres import MISSING, PASSWORD, Postgres, connected, programs
from tests.support.stalling import Stalling, When
from tests.support.targets import Got, Target

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "08-outbox"
EXAMPLE_URL = "postgresql://orders:an-example@127.0.0.1:5432/orders?sslmode=disable"
SOON = 20.0  # seconds
TABLE = "CREATE TABLE outbox (id bigserial PRIMARY KEY, type text, data jsonb, fanout text)"
WRITE = (
    "INSERT INTO outbox (type, data) SELECT 'order.placed', jsonb_build_object('n', n) FROM generate_series(1, $1) n"
)

LARGE = "to_jsonb(repeat('x', 60000))"


@pytest.fixture(scope="module")
def postgres() -> collections.abc.Iterator[Postgres]:
    """A server for all tests here; each has a database of its own."""
    found = programs()
    if found is None:
        without("postgresql", MISSING)
    server = Postgres(found)
    try:
        server.start()
        yield server
    finally:
        server.close()


class Shop:
    """A service that writes an outbox, and the route that fetches from it, which delivers nothing (suspend)."""

    def __init__(self, bench: Bench, postgres: Postgres, database: str) -> None:
        self.bench = bench
        self.postgres = postgres
        self.database = database

    @property
    def url(self) -> str:
        return self.postgres.url(self.database)

    def route(self, *targets: typing.Any, port: int = 0, suspend: bool = True, **outbox: typing.Any) -> None:
        """Write the manifests: the route, and the Secret with the database's URL."""
        url = self.postgres.url(self.database, port=port)
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "shop-db", "namespace": "shop"},
            "stringData": {"uri": url},
        }
        (self.bench.manifests / "secret.json").write_text(json.dumps(secret))
        said = {"urlSecret": {"name": "shop-db", "key": "uri"}, "pollInterval": "200ms"} | outbox
        nowhere = {"name": "nowhere", "url": "http://127.0.0.1:9/"}
        self.bench.route(*(targets or [nowhere]), suspend=suspend, sources={"postgresOutbox": said})

    async def write(self, rows: int) -> None:
        """Put so many rows into the outbox, in one transaction."""
        async with connected(self.url) as connection:
            await connection.execute(WRITE, rows)

    async def ask(self, query: str) -> typing.Any:
        """The one value that a query answers."""
        async with connected(self.url) as connection:
            return await connection.fetchval(query)

    async def until(self, query: str, value: object) -> None:
        """Wait until the query answers *value*."""
        async with connected(self.url) as connection:

            async def answers() -> bool:
                return bool(await connection.fetchval(query) == value)

            await eventually(answers)

    async def events(self, process: Process) -> collections.Counter[str]:
        """How many events there are in the journal, by the row's id."""
        found: collections.Counter[str] = collections.Counter()
        query: dict[str, str] = {"limit": "1000", "route": "shop/order-placed"}
        page = (await self.bench.client.get(f"{process.admin}/v1/events", params=query)).json()
        found.update(one["id"] for one in page["items"])
        return found

    async def source(self, process: Process) -> dict[str, typing.Any]:
        """What the dispatcher says of the outbox."""
        view = (await self.bench.client.get(f"{process.admin}/v1/routes/shop/order-placed")).json()
        return typing.cast("dict[str, typing.Any]", view["source"] or {})

    async def counted(self, process: Process, rows: int) -> None:
        """Wait until so many are counted: at the end of a round, and a worker tells its supervisor a little later."""
        sample = f'fanout_source_rows_taken_total{{route="shop/order-placed"}} {rows}\n'

        async def is_there() -> bool:
            return sample in (await self.bench.client.get(f"{process.admin}/metrics")).text

        await eventually(is_there)

    async def held(self, process: Process, reason: str | None) -> dict[str, typing.Any]:
        """Wait until nothing is fetched for that reason."""
        found: dict[str, typing.Any] = {}

        async def says() -> bool:
            found.update(await self.source(process))
            return bool(found) and found["held"] == reason

        await eventually(says)
        return found


async def eventually(holds: typing.Callable[[], typing.Awaitable[bool]]) -> None:
    """Ask until it does."""
    async with asyncio.timeout(SOON):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


async def came(target: Target, count: int) -> list[Got]:
    """Wait until so many requests came to *target*."""

    async def all_are_here() -> bool:
        return len(target.got) >= count

    await eventually(all_are_here)
    return target.got


@pytest.fixture
async def shop(bench: Bench, postgres: Postgres) -> Shop:
    made = Shop(bench, postgres, await postgres.database())
    async with connected(made.url) as connection:
        await connection.execute(TABLE)
    return made


LEFT = "SELECT count(*) FROM outbox"
ONCE = {str(n): 1 for n in range(1, 301)}


async def test_each_row_becomes_one_event_at_its_target_and_is_gone(bench: Bench, shop: Shop) -> None:
    target = await bench.target("billing")
    shop.route(target, suspend=False)
    process = await bench.started()

    await shop.write(300)
    await shop.until(LEFT, 0)

    assert await shop.held(process, None) == {"name": "postgresOutbox", "held": None, "lastError": None}
    await came(target, 300)
    assert collections.Counter(one.headers["ce-id"] for one in target.got) == ONCE
    first = next(one for one in target.got if one.headers["ce-id"] == "1")
    assert (first.headers["ce-type"], first.headers["ce-source"]) == ("order.placed", "/shop/order-placed")
    assert (first.headers["content-type"], json.loads(first.body)) == ("application/json", {"n": 1})
    await shop.counted(process, 300)


@pytest.mark.parametrize(
    ("when", "word"),
    [
        ("before", "WITH free"),  # nothing is reserved
        ("after", "WITH free"),  # reserved, and nobody heard that it is
        ("after", "SELECT id, type"),  # reserved and read, not taken
        ("before", "DELETE FROM"),  # on disk, not checked off
        ("after", "DELETE FROM"),  # checked off, and nobody heard that it is
    ],
)
async def test_a_kill_at_each_step_neither_loses_nor_doubles_a_row(
    bench: Bench, shop: Shop, when: When, word: str
) -> None:
    proxy = await Stalling(shop.postgres.port).open()
    shop.route(port=proxy.port)
    process = await bench.started()
    await shop.held(process, None)

    proxy.stall(when, word)
    await shop.write(300)
    async with asyncio.timeout(SOON):
        await proxy.hit.wait()
    process.kill()
    await process.start()
    await shop.until(LEFT, 0)

    assert await shop.events(process) == ONCE
    await proxy.close()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_kill_as_rows_are_marked_neither_loses_nor_doubles_one(bench: Bench, shop: Shop, when: When) -> None:
    proxy = await Stalling(shop.postgres.port).open()
    shop.route(port=proxy.port, afterTaking="Mark")
    process = await bench.started()
    await shop.held(process, None)

    proxy.stall(when, """UPDATE "outbox" SET "fanout" = 'taken'""")
    await shop.write(300)
    async with asyncio.timeout(SOON):
        await proxy.hit.wait()
    process.kill()
    await process.start()
    await shop.until("SELECT count(*) FROM outbox WHERE fanout = 'taken'", 300)

    assert await shop.ask(LEFT) == 300
    assert await shop.events(process) == ONCE
    await proxy.close()


async def test_rows_that_another_transaction_has_locked_hold_up_no_others_and_come_when_it_ends(
    bench: Bench, shop: Shop
) -> None:
    """What it deletes never was; what it looked at, or wrote to, is fetched as it left it."""
    await shop.write(300)
    async with connected(shop.url) as other, other.transaction():
        await other.execute("DELETE FROM outbox WHERE id = 1")
        await other.execute("UPDATE outbox SET type = 'order.changed' WHERE id = 2")
        await other.fetch("SELECT id FROM outbox WHERE id BETWEEN 3 AND 10 FOR UPDATE")
        shop.route()
        process = await bench.started()
        await shop.until(LEFT, 10)  # as whoever is outside of the transaction sees it
        early = await shop.events(process)
    await shop.until(LEFT, 0)

    assert early == collections.Counter(str(n) for n in range(11, 301))
    assert await shop.events(process) == collections.Counter(str(n) for n in range(2, 301))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("word", ["WITH free", "SELECT id, type", "DELETE FROM"])
async def test_a_connection_that_breaks_at_each_step_neither_loses_nor_doubles_a_row(
    bench: Bench, shop: Shop, when: When, word: str
) -> None:
    proxy = await Stalling(shop.postgres.port).open()
    shop.route(port=proxy.port)
    process = await bench.started()
    await shop.held(process, None)

    proxy.stall(when, word)
    await shop.write(300)
    async with asyncio.timeout(SOON):
        await proxy.hit.wait()
    proxy.cut()
    await shop.until(LEFT, 0)

    assert await shop.events(process) == ONCE
    await proxy.close()


async def test_dispatchers_share_the_rows_and_none_is_taken_twice_when_one_is_killed(bench: Bench, shop: Shop) -> None:
    shop.route(batchSize=7)
    one = await bench.started()
    other = Process(bench.folder / "other", bench.manifests)
    (bench.folder / "other").mkdir()
    bench.processes.append(other)
    await other.start()

    written = 0
    while written < 290 and not (await shop.events(one) and await shop.events(other)):  # until each has had its turn
        await shop.write(10)
        written += 10
    one.kill()
    await shop.write(300 - written)
    await shop.until("SELECT count(*) <= 7 FROM outbox", True)  # what the dead one has reserved waits for it
    await one.start()
    await shop.until(LEFT, 0)

    mine, others = await shop.events(one), await shop.events(other)
    assert mine + others == ONCE
    assert mine
    assert others


async def test_a_dispatcher_that_is_stopped_leaves_nothing_reserved(bench: Bench, shop: Shop) -> None:
    """Scaled down for good, it would hold what nobody else may take."""
    shop.route()
    process = await bench.started("--journal-size", "4Mi")
    await shop.held(process, None)

    async with connected(shop.url) as connection:
        await connection.execute(f"INSERT INTO outbox (type, data) SELECT 't', {LARGE} FROM generate_series(1, 300)")
    full = await shop.held(process, "QueueFull")
    process.stop()

    left = int(await shop.ask(LEFT))
    assert "nowhere" in full["lastError"]
    assert 0 < left < 300
    assert await shop.ask("SELECT count(*) FROM outbox WHERE fanout IS NOT NULL") == 0


async def test_rows_behind_one_that_a_full_queue_turns_away_wait_for_it(bench: Bench, shop: Shop) -> None:
    """A small one would have room, and would be taken before the one of its key that it comes after."""
    shop.route({"name": "nowhere", "url": "http://127.0.0.1:9/", "policy": {"queue": {"maxBytes": "4Ki"}}})
    async with connected(shop.url) as connection:
        await connection.execute(
            "INSERT INTO outbox (type, data) VALUES ('t', '1'), ('t', to_jsonb(repeat('x', 3500))), ('t', '3')"
        )
    process = await bench.started()

    await shop.held(process, "QueueFull")
    early = await shop.events(process)
    shop.route()
    await shop.until(LEFT, 0)

    assert early == {"1": 1}
    assert list(await shop.events(process)) == ["3", "2", "1"]  # newest first


async def test_a_plan_that_changes_while_rows_come_in_neither_loses_nor_doubles_one(bench: Bench, shop: Shop) -> None:
    """Whoever fetches by the old plan ends before the next begins: to the table both are the same."""
    shop.route(batchSize=3)
    process = await bench.started()
    await shop.held(process, None)

    for size in range(4, 10):
        await shop.write(50)
        shop.route(batchSize=size)
    await shop.until(LEFT, 0)

    assert await shop.events(process) == ONCE


async def test_a_route_that_goes_leaves_nothing_reserved_and_goes_on_when_it_is_back(bench: Bench, shop: Shop) -> None:
    shop.route(batchSize=3)
    process = await bench.started()
    await shop.held(process, None)

    await shop.write(150)
    (bench.manifests / "order-placed.json").unlink()
    await eventually(lambda: _is_gone(bench, process))
    await shop.until("SELECT count(*) FROM outbox WHERE fanout IS NOT NULL", 0)
    await shop.write(150)
    shop.route(batchSize=30)
    await shop.until(LEFT, 0)

    assert await shop.events(process) == ONCE


async def _is_gone(bench: Bench, process: Process) -> bool:
    return (await bench.client.get(f"{process.admin}/v1/routes/shop/order-placed")).status_code == 404


async def test_rows_are_marked_where_they_are_to_stay(bench: Bench, shop: Shop) -> None:
    shop.route(afterTaking="Mark", channel="outbox", pollInterval="1h")
    process = await bench.started()
    await shop.held(process, None)

    async with connected(shop.url) as connection:
        await connection.execute(WRITE, 300)
        await connection.execute("NOTIFY outbox")
    await shop.until("SELECT count(*) FROM outbox WHERE fanout = 'taken'", 300)

    assert await shop.ask(LEFT) == 300
    newest_first = await shop.events(process)
    assert newest_first == ONCE
    assert list(newest_first) == list(reversed(ONCE))


async def test_a_row_that_is_no_event_is_set_aside_with_the_reason_and_holds_up_no_other(
    bench: Bench, shop: Shop
) -> None:
    shop.route()
    process = await bench.started()

    async with connected(shop.url) as connection:
        await connection.execute("INSERT INTO outbox (type, data) VALUES (NULL, '{}'), ('t', '{}'), ('', '{}')")
    await shop.until("SELECT count(*) FROM outbox WHERE fanout LIKE 'refused: %'", 2)
    await shop.until(LEFT, 2)
    assert await shop.ask("SELECT string_agg(fanout, ', ' ORDER BY id) FROM outbox") == (
        "refused: the type is null, refused: type is empty"
    )
    assert await shop.events(process) == {"2": 1}

    async with connected(shop.url) as connection:
        await connection.execute("UPDATE outbox SET type = 'mended', fanout = NULL")
    await shop.until(LEFT, 0)
    assert await shop.events(process) == {"1": 1, "2": 1, "3": 1}


async def test_every_column_that_is_named_is_part_of_the_event(bench: Bench, shop: Shop) -> None:
    target = await bench.target("billing")
    columns = {
        "id": "key",
        "type": "Kind",
        "data": "body",
        "state": "st",
        "orderBy": "at",
        "source": "src",
        "subject": "sub",
        "time": "at",
        "contentType": "ct",
        "headers": "h",
    }
    forwarding = {"name": "billing", "url": target.url, "request": {"forwardHeaders": ["x-shop"]}}
    shop.route(forwarding, suspend=False, table="shop.Box", columns=columns)
    async with connected(shop.url) as connection:
        await connection.execute(
            'CREATE SCHEMA shop; CREATE TABLE shop."Box" (key uuid PRIMARY KEY, "Kind" text, body bytea, st text,'
            " src text, sub text, at timestamptz, ct text, h jsonb)"
        )
        await connection.execute(
            """INSERT INTO shop."Box" VALUES ('00000000-0000-0000-0000-00000000000a', 'a.b', '\\x00ff', NULL,
            '/orders', 'ä 1', '2026-01-02 03:04:05.5+01', 'image/png',
            '{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Shop": "7", "x-no": "n"}')"""
        )
    await bench.started()

    [one] = await came(target, 1)
    assert one.body == b"\x00\xff"
    assert {name: one.headers.get(name) for name in ("ce-id", "ce-type", "ce-source", "ce-subject", "ce-time")} == {
        "ce-id": "00000000-0000-0000-0000-00000000000a",
        "ce-type": "a.b",
        "ce-source": "/orders",
        "ce-subject": "%C3%A4%201",
        "ce-time": "2026-01-02T02:04:05.500000Z",
    }
    assert (one.headers["content-type"], one.headers["x-shop"]) == ("image/png", "7")
    assert one.headers["x-request-id"] == one.headers["ce-id"]
    assert one.headers["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    assert "x-no" not in one.headers


async def test_a_row_goes_through_filters_and_graphs_as_what_is_posted_does(bench: Bench, shop: Shop) -> None:
    first, last, never = [await bench.target(name) for name in ("first", "last", "never")]
    graph = [
        {"name": "first", "url": first.url},
        {"name": "last", "url": last.url, "dependsOn": ["first"]},
        {"name": "never", "url": never.url, "when": "data.n > 300"},
    ]
    shop.route(*graph, suspend=False)
    await bench.started()

    await shop.write(300)
    await shop.until(LEFT, 0)
    await came(last, 300)

    assert collections.Counter(one.headers["ce-id"] for one in last.got) == ONCE
    assert len(first.got) == 300
    assert never.got == []


async def test_what_is_wrong_is_said_without_the_password_and_mends_by_itself(bench: Bench, shop: Shop) -> None:
    shop.route(table="nowhere")
    process = await bench.started()

    missing = await shop.held(process, "DatabaseRefused")
    shop.route()
    await shop.held(process, None)
    shop.postgres.stop()
    gone = await shop.held(process, "ConnectFailure")
    shop.postgres.start()
    await shop.held(process, None)
    await shop.write(300)
    await shop.until(LEFT, 0)

    assert 'relation "nowhere" does not exist' in missing["lastError"]
    assert gone["lastError"] == "the connection to the database could not be made, or broke"
    assert await shop.events(process) == ONCE
    assert PASSWORD not in process.log.read_text()


async def test_the_example_brings_an_order_from_its_transaction_to_the_target(bench: Bench, postgres: Postgres) -> None:
    database = await postgres.database()
    target = await bench.target("orders")
    url, port = postgres.url(database), target.url.rpartition(":")[2].partition("/")[0]
    for file in ("route.yaml", "secret.yaml"):
        text = (EXAMPLE / file).read_text().replace("127.0.0.1:9108", f"127.0.0.1:{port}").replace(EXAMPLE_URL, url)
        (bench.manifests / file).write_text(text)
    async with connected(url) as connection:
        await connection.execute((EXAMPLE / "outbox.sql").read_text())
    await bench.started()

    command = [sys.executable, str(EXAMPLE / "orders.py"), url, "coffee", "450"]
    placed = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await placed.communicate()
    [one] = await came(target, 1)

    assert said == b"order 1 is placed\n"
    assert (one.headers["ce-id"], one.headers["ce-type"]) == ("1", "order.placed")
    assert json.loads(one.body) == {"order": 1, "item": "coffee", "cents": 450}


async def test_of_several_workers_one_fetches_and_each_knows_of_it(bench: Bench, shop: Shop) -> None:
    shop.route()
    process = await bench.started("--workers", "2")

    await shop.write(300)
    await shop.until(LEFT, 0)

    assert (await shop.held(process, None))["name"] == "postgresOutbox"
    assert await shop.events(process) == ONCE
    await shop.counted(process, 300)


async def test_a_route_that_keeps_order_is_the_workers_that_fetches_whoever_is_posted_to(
    bench: Bench, shop: Shop
) -> None:
    target = await bench.target("a")
    policy = {"ordering": {"keyExpression": "event.type"}}
    shop.route({"name": "a", "url": target.url, "policy": policy}, suspend=False)
    process = await bench.started("--workers", "2")
    url = f"{process.listen}/shop/order-placed"

    await shop.write(30)
    await shop.until(LEFT, 0)
    posted = [await bench.client.post(url, json={}, headers={"Connection": "close"}) for _ in range(12)]
    got = await came(target, 42)

    assert {answer.json()["receipt"][0] for answer in posted} == {"0"}
    assert [json.loads(one.body)["n"] for one in got if one.body != b"{}"] == [*range(1, 31)]
