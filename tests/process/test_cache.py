"""A target with a cache: the real command, a real target, and what a caller, the metrics and the disk see of it."""

import asyncio
import json
import pathlib
import typing

import pytest

from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually, view
from tests.support.dispatcher import Process
from tests.support.targets import Target

SETTLED: typing.Final = {"mode": "Settled"}


def cached(target: Target, ttl: str = "10m") -> dict[str, typing.Any]:
    return {"name": target.name, "url": target.url, "cache": {"keyExpression": "data.sku", "ttl": ttl}}


async def ask(bench: Bench, process: Process, sku: str) -> dict[str, typing.Any]:
    answer = await bench.client.post(f"{process.listen}/shop/order-placed", json={"sku": sku}, timeout=20)
    assert answer.status_code == 200, answer.text
    return typing.cast("dict[str, typing.Any]", answer.json())


async def metric(bench: Bench, process: Process, name: str) -> float:
    page = (await bench.client.get(f"{process.admin}/metrics")).text
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(f"{name}{{"))


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
async def test_what_a_target_said_answers_the_next_caller_and_is_marked(bench: Bench, durability: str) -> None:
    prices, stock = await bench.target("prices"), await bench.target("stock")
    prices.says = json.dumps({"amount": 7}).encode()
    bench.route(cached(prices), stock, respond=SETTLED, durability=durability)
    process = await bench.started()

    first, second, other = [await ask(bench, process, sku) for sku in ("a", "a", "b")]

    fresh = {"state": "Delivered", "status": 200, "body": {"amount": 7}}
    assert [one["targets"]["prices"] for one in (first, second, other)] == [fresh, fresh | {"cached": True}, fresh]
    assert [one["targets"]["stock"] for one in (first, second)] == [{"state": "Delivered", "status": 204}] * 2
    assert (len(prices.got), len(stock.got)) == (2, 3)
    states = await view(bench, process, second["receipt"])
    assert (states["prices"]["state"], states["prices"]["attempts"]) == ("Delivered", 0)
    assert await metric(bench, process, "fanout_cache_hits_total") == 1
    assert await metric(bench, process, "fanout_cache_misses_total") == 2
    assert await metric(bench, process, "fanout_cache_evictions_total") == 0
    assert await metric(bench, process, "fanout_cache_bytes") > 1024
    assert await metric(bench, process, "fanout_delivered_total") == 5


async def test_callers_that_come_at_once_make_one_request(bench: Bench) -> None:
    prices = await bench.target("prices")
    prices.delay = 0.5
    bench.route(cached(prices), respond=SETTLED)
    process = await bench.started()

    answers = await asyncio.gather(*(ask(bench, process, "a") for _ in range(20)))

    assert len(prices.got) == 1
    assert sorted("cached" in one["targets"]["prices"] for one in answers) == [False] + [True] * 19


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "no-store"},
        {"Cache-Control": "private, max-age=600"},
        {"Cache-Control": "max-age=600", "Age": "600"},
        {"Expires": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"Vary": "*"},
        {"Cache-Control": "x" * 2000},
    ],
)
async def test_a_target_that_forbids_it_is_asked_each_time(bench: Bench, headers: dict[str, str]) -> None:
    prices = await bench.target("prices")
    prices.tells = headers
    bench.route(cached(prices), respond=SETTLED)
    process = await bench.started()

    for _ in range(3):
        assert "cached" not in (await ask(bench, process, "a"))["targets"]["prices"]

    assert len(prices.got) == 3


async def test_an_error_is_asked_about_again(bench: Bench) -> None:
    prices = await bench.target("prices")
    prices.status = 404
    bench.route(cached(prices), respond=SETTLED)
    process = await bench.started()

    answers = [
        await bench.client.post(f"{process.listen}/shop/order-placed", json={"sku": "a"}, timeout=20) for _ in range(2)
    ]

    assert [one.status_code for one in answers] == [502, 502]
    assert len(prices.got) == 2


async def test_a_settled_route_with_durability_memory_writes_nothing_to_disk(bench: Bench) -> None:
    prices = await bench.target("prices")
    prices.says = b"7"
    bench.route(cached(prices), respond=SETTLED, durability="Memory")
    process = await bench.started()
    await ask(bench, process, "a")
    before = files(process.data)

    for number in range(50):
        await ask(bench, process, f"sku-{number % 5}")

    assert files(process.data) == before
    page = (await bench.client.get(f"{process.admin}/metrics")).text
    assert 'fanout_journal_events_total{durability="Journal"} 0.0' in page
    assert 'fanout_journal_events_total{durability="Memory"} 51.0' in page


async def test_answers_of_the_old_address_are_gone_with_it(bench: Bench) -> None:
    old, new = await bench.target("old"), await bench.target("new")
    old.says, new.says = b'"old"', b'"new"'
    bench.route(cached(old) | {"name": "prices"}, respond=SETTLED)
    process = await bench.started()
    assert (await ask(bench, process, "a"))["targets"]["prices"]["body"] == "old"

    bench.route(cached(new) | {"name": "prices"}, respond=SETTLED)

    async def asked_anew() -> bool:
        return bool((await ask(bench, process, "a"))["targets"]["prices"]["body"] == "new")

    await eventually(asked_anew)
    assert (len(old.got), len(new.got)) == (1, 1)


def files(folder: pathlib.Path) -> dict[str, tuple[int, bytes]]:
    """Every file of the journal, when it was last written, and what is in it."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and "journal" in path.name]
    assert found
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in found if path.suffix != ".db-shm"}
