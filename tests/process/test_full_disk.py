"""A full disk under a real dispatcher: 503 before anything is accepted, settling goes on, and a restart opens."""

import asyncio
import pathlib
import socket
import subprocess

import httpx

from tests.harness.process import tail
from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually
from tests.support.dispatcher import Process
from tests.support.small_disk import hog, on, small
from tests.support.targets import Target

__all__ = ["small"]

HEAD = {"ce-specversion": "1.0", "ce-source": "/x", "ce-type": "t", "ce-big": "a" * 20_000}


async def fill(bench: Bench, process: Process) -> list[str]:
    """Events without a body and with a large head, until no more are taken; their ids."""
    accepted: list[str] = []
    while len(accepted) < 5_000:
        ident = str(len(accepted))
        answer = await bench.client.post(f"{process.listen}/shop/order-placed", headers=HEAD | {"ce-id": ident})
        if answer.status_code == 503:
            return accepted
        assert answer.status_code == 202, answer.text
        accepted.append(ident)
    raise AssertionError("it never was full")


async def drained(bench: Bench, process: Process) -> None:
    """Wait until nothing is pending."""

    async def empty() -> bool:
        view = (await bench.client.get(f"{process.admin}/v1/routes/shop/order-placed")).json()
        return all(one["pending"] == 0 for one in view["targets"])

    await eventually(empty)


def failing(target: Target) -> dict[str, object]:
    """A target that is asked often, however it fails."""
    policy = {
        "circuitBreaker": {"mode": "Disabled"},
        "retry": {"backoff": {"type": "Constant", "baseDelay": "200ms", "jitter": "None"}},
    }
    return {"name": target.name, "url": target.url, "policy": policy}


async def test_a_disk_full_of_heads_settles_what_it_has_and_a_clean_stop_sends_nothing_twice(
    bench: Bench, small: pathlib.Path
) -> None:
    a = await bench.target("a")
    a.status = 503
    bench.route(failing(a))
    process = on(small, bench.dispatcher())
    await process.start()
    accepted = await fill(bench, process)
    a.status = 204

    await drained(bench, process)
    code = await asyncio.to_thread(process.stop)
    before = len(a.got)
    await process.start()
    again = await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")
    await drained(bench, process)

    assert len(accepted) > 100
    assert (code, again.status_code) == (0, 202), tail(process.log)
    assert {got.event for got in a.got[:before] if got.status == 204} == set(accepted)
    assert len(a.got) == before + 1, "nothing was sent a second time"


async def test_a_restart_on_a_full_disk_delivers_what_is_owed_and_answers_503(
    bench: Bench, small: pathlib.Path
) -> None:
    a = await bench.target("a")
    a.status = 503
    bench.route(failing(a))
    process = on(small, bench.dispatcher())
    await process.start()
    for number in range(50):
        await bench.client.post(f"{process.listen}/shop/order-placed", headers=HEAD | {"ce-id": str(number)})
    first = process.stop()
    hog(small / "stranger")
    a.got.clear()
    a.status = 204
    listen, admin = process.listen, process.admin
    assert process.child is not None

    process.child = subprocess.Popen(process.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    process.listen, process.admin = listen, admin

    async def answers() -> bool:
        try:
            return (await bench.client.get(f"{admin}/livez")).status_code == 200
        except httpx.TransportError:
            return False

    await eventually(answers)
    await drained(bench, process)
    refused = await bench.client.post(f"{listen}/shop/order-placed", content=b"x" * 200_000)
    second = await asyncio.to_thread(process.stop)
    assert (first, second, refused.status_code) == (0, 0, 503)
    assert sorted({got.event for got in a.got}) == sorted(str(number) for number in range(50))


async def test_a_dead_target_of_small_events_is_full_before_the_journal_is_and_another_route_takes_on(
    bench: Bench,
) -> None:
    """By default a target may keep a quarter of the journal waiting, whatever the size of its events."""
    well = await bench.target("well")
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    bench.route({"name": "gone", "url": f"http://127.0.0.1:{port}/"}, name="sick")
    bench.route(well, name="well")
    process = await bench.started("--journal-size", "4Mi")

    async def flood() -> httpx.Response:
        for _ in range(1_000):
            answer = await bench.client.post(f"{process.listen}/shop/sick", content=b"x")
            if answer.status_code == 503:
                return answer
        raise AssertionError("it never was full")

    refused = await asyncio.gather(*(flood() for _ in range(20)))
    other = await bench.client.post(f"{process.listen}/shop/well", content=b"x")

    assert {answer.json()["type"].rpartition("/")[2] for answer in refused} == {"queue-full"}, refused[0].text
    assert other.status_code == 202
