"""A dispatcher of several workers, as real processes: one of them may die at any time, and nobody is refused."""

import asyncio
import collections
import json
import os
import pathlib
import signal
import typing

from fanout_dispatcher.journal.clock import Clock
from fanout_dispatcher.journal.sqlite import SqliteJournal
from fanout_dispatcher.parts import journal_name
from tests.harness.process import free_ports, tail
from tests.process.conftest import Bench
from tests.process.test_dispatcher import cut_off, eventually, view
from tests.support.dispatcher import Process

Letters = list[dict[str, typing.Any]]


def workers_of(process: Process) -> dict[int, int]:
    """The process ids of the workers that hold a journal now, by number."""
    found = {}
    for lock in process.data.glob("journal*.db.lock"):
        pid = int(lock.read_text() or 0)
        if pid and pathlib.Path(f"/proc/{pid}/cmdline").exists():
            name = lock.name.removesuffix(".db.lock")
            found[int(name.partition("-")[2] or 0)] = pid
    return found


class Refused(Exception):
    """Nobody took the connection."""


async def asked(base: str, method: str, path: str) -> tuple[int, dict[str, typing.Any]]:
    """Ask on a connection of its own, which the kernel deals to any worker: the status and the answer.

    Raises Refused, and ConnectionError or EOFError when whoever had taken the connection is gone.
    """
    host, port = base.removeprefix("http://").split(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        raise Refused from None
    try:
        body = b"{}" if method == "POST" else b""
        writer.write(f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head[9:12]), json.loads(await reader.readexactly(length))
    finally:
        writer.close()


async def post(process: Process, count: int) -> dict[str, list[str]]:
    """Post *count* events at once; their receipts by worker."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    answers = await asyncio.gather(*(asked(process.listen, "POST", "/shop/order-placed") for _ in range(count)))
    for status, answer in answers:
        assert status == 202, answer
        found[answer["receipt"].partition("-")[0]].append(answer["receipt"])
    return found


async def spread(process: Process) -> dict[str, list[str]]:
    """Post until both workers have events."""
    found = await post(process, 12)
    while len(found) < 2:
        for worker, receipts in (await post(process, 4)).items():
            found[worker] += receipts
    return found


async def counted(bench: Bench, process: Process, name: str) -> float:
    """A metric's sum."""
    page = (await bench.client.get(f"{process.admin}/metrics")).text
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name))


def owed(process: Process, worker: int) -> int:
    """How many deliveries a worker's journal still owes."""
    journal = SqliteJournal(
        process.data / journal_name(worker),
        clock=lambda: Clock("", 0.0, 0.0),
        new_key=lambda: b"",
        worker=worker,
    )
    try:
        return journal.open().pending
    finally:
        journal.close()


def gone(pid: int) -> bool:
    """Whether the process has ended (what only its parent has not looked at yet has)."""
    try:
        return "\nState:\tZ" in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


class Producers:
    """Post one event per connection until told otherwise, and keep what came of each."""

    def __init__(self, process: Process, count: int) -> None:
        self.process = process
        self.accepted: list[str] = []
        self.refused = 0
        self.reset = 0  # the connection was a dead worker's: whoever sent has no 202, and knows it
        self.over = asyncio.Event()
        self.tasks = [asyncio.create_task(self._produce()) for _ in range(count)]

    async def _produce(self) -> None:
        while not self.over.is_set():
            try:
                status, answer = await asked(self.process.listen, "POST", "/shop/order-placed")
                assert status == 202, answer
                self.accepted.append(answer["receipt"])
            except Refused:
                self.refused += 1
            except (OSError, EOFError):
                self.reset += 1
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Let the last ones end."""
        self.over.set()
        await asyncio.gather(*self.tasks)


async def test_a_killed_worker_comes_back_under_its_number_and_nobody_is_refused(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a)
    process = await bench.started("--workers", "2")
    first = workers_of(process)
    producers = Producers(process, 6)

    async def under_load() -> bool:
        return await counted(bench, process, "fanout_events_accepted_total") >= 50

    async def back() -> bool:
        ready = (await bench.client.get(f"{process.admin}/readyz")).status_code == 200
        return ready and workers_of(process).get(1) not in (None, first[1])

    async def all_arrived() -> bool:
        arrived = {one.event for one in a.got}
        return len(arrived) >= len(producers.accepted) and await counted(bench, process, "fanout_pending{") == 0

    await eventually(under_load)
    before = await counted(bench, process, "fanout_events_accepted_total")
    os.kill(first[1], signal.SIGKILL)
    await eventually(back)
    since = len(producers.accepted)
    while {receipt[0] for receipt in producers.accepted[since:]} != {"0", "1"}:  # noqa: ASYNC110 (other tasks post)
        await asyncio.sleep(0.02)
    await producers.stop()
    await eventually(all_arrived)
    after = await counted(bench, process, "fanout_events_accepted_total")
    said = [json.loads(line) for line in process.log.read_text().splitlines()]
    lives = {(one["worker"], one["pid"]) for one in said if one["event"] == "worker.started"}

    assert lives == first.items() | workers_of(process).items(), "the log tells which process each was"
    assert (producers.refused, workers_of(process)[0]) == (0, first[0]), tail(process.log)
    assert producers.reset <= 6, "no more than the requests that were under way"
    assert len(producers.accepted) >= after >= max(before, len(producers.accepted) - 50), "what died was counted too"
    for receipt in producers.accepted[:3] + producers.accepted[-3:]:
        assert (await view(bench, process, receipt))["a"]["state"] == "Delivered"


async def test_any_connection_answers_for_any_event_and_lists_are_those_of_all_workers(bench: Bench) -> None:
    a, bad = await bench.target("a"), await bench.target("bad")
    bad.status = 422
    bench.route(a, bad)
    process = await bench.started("--workers", "2")
    get = bench.client.get
    found = await spread(process)
    receipts = [*found["0"], *found["1"]]

    async def dead() -> bool:
        return await counted(bench, process, "fanout_dead_letters{") == len(receipts)

    await eventually(dead)
    for receipt in (found["0"][0], found["1"][0]):
        for _ in range(6):
            status, answer = await asked(process.listen, "GET", f"/-/events/{receipt}")
            assert (status, answer["receipt"]) == (200, receipt)
    unknown = await get(f"{process.listen}/-/events/7-1-0000000000000000")
    letters = await pages(bench, f"{process.admin}/v1/dead-letters")
    events = await pages(bench, f"{process.admin}/v1/events")
    bad.status = 200
    one = await bench.client.post(f"{process.admin}/v1/dead-letters/replay", json={"ids": [letters[-1]["id"]]})
    rest = await bench.client.post(f"{process.admin}/v1/dead-letters/replay", json={"all": True})

    async def arrived() -> bool:
        return await counted(bench, process, "fanout_delivered_total") == 2 * len(receipts)

    await eventually(arrived)
    route = (await get(f"{process.admin}/v1/routes/shop/order-placed")).json()
    assert unknown.status_code == 404
    assert sorted(one["receipt"] for one in letters) == sorted(receipts)
    assert [one["at"] for one in letters] == sorted(one["at"] for one in letters)
    assert sorted(one["receipt"] for one in events) == sorted(receipts)
    assert [one["accepted"] for one in events] == sorted((one["accepted"] for one in events), reverse=True)
    assert len(one.json()["receipts"]) == 1
    assert len(rest.json()["receipts"]) == len(receipts) - 1
    assert (rest.json()["remaining"], await pages(bench, f"{process.admin}/v1/dead-letters")) == (False, [])
    assert [one["deadLetters"] for one in route["targets"]] == [0, 0]


async def pages(bench: Bench, url: str) -> Letters:
    """A list, five at a time."""
    found: Letters = []
    cursor: dict[str, typing.Any] = {}
    while True:
        page = (await bench.client.get(url, params={"limit": 5} | cursor)).json()
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = {"after": page["next"]}


async def test_all_workers_together_ask_a_target_no_more_at_once_than_its_bulkhead_allows(bench: Bench) -> None:
    a = await bench.target("a")
    a.delay = 0.1
    bench.route({"name": "a", "url": a.url, "policy": {"bulkhead": {"maxConcurrent": 3}}})
    process = await bench.started("--workers", "2")
    found = await post(process, 30)

    async def arrived() -> bool:
        return await counted(bench, process, "fanout_delivered_total") == 30

    await eventually(arrived)
    assert len(found) == 2, "2^-29 to be wrong"
    assert a.most == 3, "two for one worker, one for the other"


async def test_sigterm_drains_every_worker_and_a_plan_that_changed_reaches_all_before(bench: Bench) -> None:
    a, b = await bench.target("a"), await bench.target("b")
    bench.route(a)
    process = await bench.started("--workers", "2")
    pids = workers_of(process)
    bench.route(b)

    async def changed() -> bool:
        shown = (await bench.client.get(f"{process.admin}/v1/routes/shop/order-placed")).json()
        return bool(shown["revision"]) and [one["name"] for one in shown["targets"]] == ["b"]

    await eventually(changed)
    b.delay = 0.4
    found = await spread(process)

    async def in_flight() -> bool:
        return len(b.got) == sum(map(len, found.values()))

    await eventually(in_flight)
    code = await asyncio.to_thread(process.stop, 10)
    said = [json.loads(line) for line in process.log.read_text().splitlines()]
    stopped = {line.get("worker") for line in said if line["event"] == "dispatcher.stopped"}

    assert (code, a.got, len(pids)) == (0, [], 2)
    assert all(gone(pid) for pid in pids.values())
    assert {0, 1} <= stopped, tail(process.log)
    assert [owed(process, worker) for worker in (0, 1)] == [0, 0], "what landed was written"


async def test_a_second_sigterm_does_not_wait_for_what_is_in_flight(bench: Bench) -> None:
    a = await bench.target("a")
    a.delay = 60.0
    bench.route(a)
    process = await bench.started("--workers", "2")
    pids = workers_of(process)
    await spread(process)
    assert process.child is not None

    async def draining() -> bool:
        return process.log.read_text().count("dispatcher.stopping") == 3

    process.child.terminate()
    await eventually(draining)
    code = await asyncio.to_thread(process.stop, 5)

    async def all_gone() -> bool:
        return all(gone(pid) for pid in pids.values())

    await eventually(all_gone)
    assert code == 1
    assert "asked twice" in process.log.read_text()


async def test_workers_end_with_their_supervisor_and_fewer_of_them_deliver_what_was_left(bench: Bench) -> None:
    a = await bench.target("a")
    a.status = 503
    bench.route(a)
    process = await bench.started("--workers", "2")
    pids = workers_of(process)
    found = await spread(process)

    process.kill()

    async def all_gone() -> bool:
        return all(gone(pid) for pid in pids.values())

    await eventually(all_gone)
    a.status = 204
    process.command[-1] = "1"
    await process.start()
    new = await post(process, 4)

    async def arrived() -> bool:
        states = [await view(bench, process, receipt) for receipts in found.values() for receipt in receipts]
        return all(one["a"]["state"] == "Delivered" for one in states)

    await eventually(arrived)
    assert set(new) == {"0"}, "the other one takes nothing new"


async def test_a_start_outlasts_the_workers_of_a_killed_supervisor(bench: Bench) -> None:
    a = await bench.target("a")
    a.delay = 60.0  # for which they wait as long as they can
    bench.route(a)
    process = bench.dispatcher("--workers", "2")
    (port,) = free_ports(1)
    process.command[process.command.index("--listen") + 1] = f"127.0.0.1:{port}"
    await process.start()
    await spread(process)

    async def under_way() -> bool:
        return a.busy > 0

    await eventually(under_way)
    process.kill()
    await process.start()

    assert sum(map(len, (await post(process, 4)).values())) == 4


async def test_a_journal_that_holds_nothing_but_history_takes_no_share_of_a_limit(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a)
    process = await bench.started("--workers", "2")
    old = await spread(process)

    async def all_delivered() -> bool:
        return await counted(bench, process, "fanout_pending{") == 0

    await eventually(all_delivered)
    process.kill()
    bench.route({"name": "a", "url": a.url, "policy": {"bulkhead": {"maxConcurrent": 1}}})
    process.command[-1] = "1"
    await process.start()

    async def in_force() -> bool:
        return await counted(bench, process, "fanout_routes_refused") == 0 and bool(process.said("route.adopted"))

    await eventually(in_force)
    await post(process, 4)
    await eventually(all_delivered)
    assert (await view(bench, process, old["1"][0]))["a"]["state"] == "Delivered"
    assert not process.said("route.refused")


async def test_more_workers_than_a_limit_take_no_route_away_and_it_goes_on_when_the_limit_is_mended(
    bench: Bench,
) -> None:
    a = await bench.target("a")
    a.status = 503
    limited: dict[str, typing.Any] = {"name": "a", "url": a.url, "policy": {"bulkhead": {"maxConcurrent": 2}}}
    bench.route(limited)
    process = await bench.started("--workers", "1")
    await post(process, 3)
    process.kill()
    a.status = 204
    process.command[-1] = "3"
    await process.start()
    await post(process, 3)

    async def refused() -> bool:
        return bool((await bench.client.get(f"{process.admin}/v1/routes/shop/order-placed")).json()["refused"])

    async def delivered() -> bool:
        return await counted(bench, process, "fanout_delivered_total") == 6

    async def six_wait() -> bool:
        return await counted(bench, process, "fanout_pending{") == 6

    await eventually(refused)
    await eventually(six_wait)
    shown = (await bench.client.get(f"{process.admin}/v1/routes/shop/order-placed")).json()
    limited["policy"]["bulkhead"]["maxConcurrent"] = 3
    bench.route(limited)

    assert shown["targets"][0]["held"] == "LimitTooSmall"
    assert "bulkhead.maxConcurrent: 2 cannot be divided among the 3 workers" in shown["refused"]
    await eventually(delivered)


async def test_a_worker_that_is_new_runs_what_another_ones_journal_kept_without_an_api_server(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a)
    process = await bench.started()
    await asyncio.to_thread(process.stop)
    cut_off(bench, process)
    process.command += ["--workers", "2"]

    await process.start()

    assert set(await spread(process)) == {"0", "1"}


async def test_a_route_that_is_deleted_while_a_worker_is_away_is_gone_when_it_is_back(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a)
    bench.route(a, name="deleted")
    process = await bench.started("--workers", "2")
    first = workers_of(process)[1]

    async def adopted() -> bool:
        return len(process.said("route.adopted")) == 4

    async def deleted() -> bool:
        return bool(process.said("route.retired"))

    async def back() -> bool:
        ready = (await bench.client.get(f"{process.admin}/readyz")).status_code == 200
        return ready and workers_of(process).get(1) not in (None, first)

    await eventually(adopted)
    os.kill(first, signal.SIGSTOP)
    (bench.manifests / "deleted.json").unlink()
    await eventually(deleted)
    os.kill(first, signal.SIGKILL)
    await eventually(back)
    await spread(process)
    answers = await asyncio.gather(*(asked(process.listen, "POST", "/shop/deleted") for _ in range(30)))

    assert {status for status, _ in answers} == {404}, tail(process.log)


async def test_a_limit_that_does_not_go_round_and_a_port_that_is_taken_are_refused_in_words(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route({"name": "a", "url": a.url, "policy": {"bulkhead": {"maxConcurrent": 1}}})
    process = await bench.started("--workers", "2")
    second = Process(
        bench.folder, bench.manifests, "--workers", "2", "--listen", process.listen.removeprefix("http://")
    )
    bench.processes.append(second)
    second.data = bench.folder / "other"
    second.log = bench.folder / "second.log"
    second.command[second.command.index("--data") + 1] = str(second.data)

    async def refused() -> bool:
        shown = (await bench.client.get(f"{process.admin}/v1/routes/shop/order-placed")).json()
        return "spec.targets[0].policy.bulkhead.maxConcurrent: 1 cannot be divided" in shown.get("refused", "")

    await eventually(refused)
    run = await asyncio.create_subprocess_exec(*second.command, stderr=asyncio.subprocess.PIPE)
    _, said = await run.communicate()
    assert run.returncode == 1
    assert b"address already in use" in said
