"""Routes with keys or an order on a dispatcher of several workers: one of them takes what all of them read."""

import asyncio
import collections
import json
import os
import signal
import typing

import pytest

from tests.harness.process import tail
from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually, view
from tests.process.test_workers import Refused, counted, pages, workers_of
from tests.support.dispatcher import Process

PATH = "/shop/order-placed"
OWNER, OTHER = "1", "0"  # by the name of the route, of two workers
ORDERED: typing.Final = {
    "ordering": {"keyExpression": "data.key"},
    "retry": {"backoff": {"type": "Constant", "baseDelay": "50ms", "jitter": "None"}},
    "circuitBreaker": {"mode": "Disabled"},
}


class Answer(typing.NamedTuple):
    """What came back. Which worker had read the request does not show."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def receipt(self) -> str:
        return str(json.loads(self.body)["receipt"])


async def ask(
    process: Process, body: object = None, *, method: str = "POST", path: str = PATH, **headers: str
) -> Answer:
    """Ask on a connection of its own, which the kernel deals to any worker.

    Raises Refused, and ConnectionError or EOFError when whoever had taken the connection is gone.
    """
    host, port = process.listen.removeprefix("http://").split(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        raise Refused from None
    content = json.dumps(body).encode()
    fields = {"host": "x", "content_type": "application/json", "content-length": str(len(content))} | headers
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    try:
        writer.write("\r\n".join((*lines, "", "")).encode() + content)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Answer(int(status[9:12]), fields, await reader.readexactly(int(fields.get("content-length", "0"))))
    finally:
        writer.close()


async def quiet(bench: Bench, process: Process) -> None:
    """Wait until every event is settled, by the workers' journals: their meters come a moment later."""

    async def nothing() -> bool:
        return all(event["settled"] for event in await pages(bench, f"{process.admin}/v1/events"))

    await eventually(nothing)


async def until(bench: Bench, process: Process, name: str, count: int) -> None:
    """Wait until a metric's sum is *count*."""

    async def shown() -> bool:
        return await counted(bench, process, name) == count

    await eventually(shown)


async def back(bench: Bench, process: Process, worker: int, before: int) -> None:
    """Wait until another process has the number of *worker*."""

    async def there() -> bool:
        ready = (await bench.client.get(f"{process.admin}/readyz")).status_code == 200
        return ready and workers_of(process).get(worker) not in (None, before)

    await eventually(there)


async def test_of_200_clients_with_one_key_at_both_workers_one_brings_an_event(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a, accept={"idempotency": {}})
    process = await bench.started("--workers", "2")

    answers = await asyncio.gather(*(ask(process, {"n": 1}, idempotency_key="k") for _ in range(200)))
    other = [await ask(process, {"n": 2}, idempotency_key="k", x_request_id="mine") for _ in range(8)]
    await quiet(bench, process)

    assert {one.status for one in answers} == {202}, tail(process.log)
    assert len({one.receipt for one in answers}) == 1
    assert answers[0].receipt.startswith(OWNER)
    assert {(one.status, one.headers["x-request-id"]) for one in other} == {(422, "mine")}
    await until(bench, process, "fanout_events_repeated_total", 199)
    assert await counted(bench, process, "fanout_events_accepted_total") == len(a.got) == 1


async def test_a_key_holds_when_its_owner_is_killed_and_meanwhile_its_route_says_when_to_come_back(
    bench: Bench,
) -> None:
    a = await bench.target("a")
    bench.route(a, accept={"idempotency": {}})
    process = await bench.started("--workers", "2")
    pids = workers_of(process)
    first = await ask(process, {"n": 1}, idempotency_key="k")
    before = await counted(bench, process, "fanout_ingress_requests_total")
    os.kill(pids[int(OWNER)], signal.SIGSTOP)
    asked = [asyncio.create_task(ask(process, {"n": 1}, idempotency_key="k")) for _ in range(40)]

    async def handed_on() -> bool:
        return await counted(bench, process, "fanout_ingress_requests_total") >= before + 4

    await eventually(handed_on)
    os.kill(pids[int(OWNER)], signal.SIGKILL)
    meanwhile = await asyncio.gather(*asked, return_exceptions=True)
    await back(bench, process, int(OWNER), pids[int(OWNER)])
    again = [await ask(process, {"n": 1}, idempotency_key="k") for _ in range(8)]
    await quiet(bench, process)

    answered = [one for one in meanwhile if isinstance(one, Answer)]
    refused = [one for one in answered if one.status == 503]
    assert {one.status for one in answered} <= {202, 503}
    assert {one.headers["retry-after"] for one in refused} == {"1"}
    assert any(b"is not known. Send it again, under the same key" in one.body for one in refused)
    assert {one.receipt for one in again} == {first.receipt}
    assert len({got.event for got in a.got}) == 1


async def test_callers_that_wait_and_refusals_come_through_the_owner_as_they_are(bench: Bench) -> None:
    a = await bench.target("a")
    a.says = b'{ "amount":\t7.00 }'
    bench.route(
        {"name": "a", "url": a.url, "policy": ORDERED},
        listen={"path": "/shop/orders/{id}", "methods": ["PUT", "GET"]},
        accept={"rateLimit": {"requests": 1, "per": "1h", "burst": 20, "key": {"type": "Client"}}},
        respond={"mode": "Settled"},
    )
    process = await bench.started("--workers", "2")

    said = [await ask(process, {"key": "k"}, method="PUT", path="/shop/orders/7?x=1") for _ in range(20)]
    over = [await ask(process, {"key": "k"}, method="PUT", path="/shop/orders/7") for _ in range(4)]
    other = await ask(process, {}, method="DELETE", path="/shop/orders/7")

    assert {one.status for one in said} == {200}, said
    assert all(b'{ "amount":\t7.00 }' in one.body for one in said)
    assert {one.headers["fanout-receipt"][0] for one in said} == {OWNER}
    assert [one.status for one in over] == [429] * 4, "the limit is whole, and known in one place"
    assert (other.status, other.headers["allow"]) == (405, "PUT, GET, HEAD, OPTIONS")


async def test_the_events_of_a_batch_are_the_owners_and_keep_their_order(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route({"name": "a", "url": a.url, "policy": ORDERED}, accept={"batches": "Accept"})
    process = await bench.started("--workers", "2")
    batch = [
        {"specversion": "1.0", "id": str(n), "source": "/s", "type": "t", "data": {"key": "k", "n": n}}
        for n in range(20)
    ]

    said = [await ask(process, batch, content_type="application/cloudevents-batch+json") for _ in range(4)]
    await quiet(bench, process)

    receipts = [one["receipt"] for answer in said for one in json.loads(answer.body)["events"]]
    assert {answer.status for answer in said} == {202}
    assert ({receipt[0] for receipt in receipts}, len(set(receipts))) == ({OWNER}, 80)
    assert [json.loads(got.body)["n"] for got in a.got] == [*range(20)] * 4


async def test_a_client_that_hangs_up_is_gone_for_the_owner_too(bench: Bench) -> None:
    a = await bench.target("a")
    a.delay = 5.0
    bench.route({"name": "a", "url": a.url, "policy": ORDERED}, respond={"mode": "Settled", "timeout": "60s"})
    process = await bench.started("--workers", "2")
    asked = [asyncio.create_task(ask(process, {"key": str(n)})) for n in range(12)]

    await until(bench, process, "fanout_callers_waiting", 12)
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await until(bench, process, "fanout_callers_waiting", 0)
    await quiet(bench, process)

    assert len({got.event for got in a.got}) == 12, "their events are kept"


async def test_each_key_arrives_in_its_order_whoever_reads_it_and_though_the_owner_is_killed(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route({"name": "a", "url": a.url, "policy": ORDERED})
    process = await bench.started("--workers", "2")
    pids = workers_of(process)
    accepted: dict[int, list[int]] = collections.defaultdict(list)
    over = asyncio.Event()

    async def produce(key: int) -> None:
        n = 0
        while not over.is_set():
            n += 1
            try:
                answer = await ask(process, {"key": str(key), "n": n})
            except (OSError, EOFError):  # the owner had the connection
                continue
            assert answer.status in {202, 503}, answer
            if answer.status == 202:
                accepted[key].append(n)

    async def arrived() -> bool:
        return len(a.got) > 200

    async def more() -> bool:
        return len(a.got) > count + 100

    producers = [asyncio.create_task(produce(key)) for key in range(6)]
    await eventually(arrived)
    os.kill(pids[int(OWNER)], signal.SIGKILL)
    await back(bench, process, int(OWNER), pids[int(OWNER)])
    count = len(a.got)
    await eventually(more)
    over.set()
    await asyncio.gather(*producers)
    await quiet(bench, process)

    came: dict[int, list[int]] = collections.defaultdict(list)
    for got in a.got:
        data = json.loads(got.body)
        came[int(data["key"])].append(data["n"])
    for key in range(6):
        assert came[key] == sorted(came[key]), "again after a crash, but never before an older one"
        assert set(accepted[key]) <= set(came[key]), "what was accepted has arrived"
    assert workers_of(process)[int(OTHER)] == pids[int(OTHER)]


async def test_a_dead_letter_that_holds_its_key_is_replayed_in_its_place(bench: Bench) -> None:
    a = await bench.target("a")
    a.status = 422
    policy = {"ordering": {"keyExpression": "data.key", "afterDeath": "Block"}}
    bench.route({"name": "a", "url": a.url, "policy": policy})
    process = await bench.started("--workers", "2")
    for n in range(6):
        assert (await ask(process, {"key": "k", "n": n})).status == 202

    await until(bench, process, "fanout_dead_letters{", 1)
    a.status = 204
    await bench.client.post(f"{process.admin}/v1/dead-letters/replay", json={"all": True})
    await quiet(bench, process)

    assert [json.loads(got.body)["n"] for got in a.got] == [0, 0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("before", "after"), [("1", "2"), ("2", "1"), ("2", "3")])
async def test_another_number_of_workers_changes_no_key_and_no_order(bench: Bench, before: str, after: str) -> None:
    a = await bench.target("a")
    a.status = 503
    bench.route({"name": "a", "url": a.url, "policy": ORDERED}, accept={"idempotency": {}})
    process = await bench.started("--workers", before)

    async def bring(n: int) -> str:
        answer = await ask(process, {"key": "k", "n": n}, idempotency_key=str(n))
        assert answer.status == 202, answer
        return answer.receipt

    old = [await bring(n) for n in range(5)]
    process.kill()
    process.command[-1] = after
    await process.start()
    again = [await bring(n) for n in range(5)]
    new = [await bring(n) for n in range(5, 10)]
    a.status = 204
    await quiet(bench, process)

    assert again == old
    assert {receipt[0] for receipt in new} == {receipt[0] for receipt in old}, "it stays where its keys are"
    assert [json.loads(got.body)["n"] for got in a.got if got.status == 204] == list(range(10))
    assert (await view(bench, process, new[-1]))["a"]["state"] == "Delivered"


async def test_sigterm_ends_both_workers_in_order_with_clients_that_post_to_a_keyed_route(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a, accept={"idempotency": {}})
    process = await bench.started("--workers", "2")
    accepted: list[str] = []

    async def produce(who: int) -> None:
        n = 0
        while True:
            n += 1
            try:
                answer = await ask(process, {}, idempotency_key=f"{who}-{n}")
            except (Refused, OSError, EOFError):
                return
            if answer.status == 202:
                accepted.append(answer.receipt)
            else:
                assert (answer.status, b"shutting" in answer.body) == (503, True), answer

    async def under_load() -> bool:
        return len(accepted) > 100

    producers = [asyncio.create_task(produce(who)) for who in range(6)]
    await eventually(under_load)
    code = await asyncio.to_thread(process.stop, 15)
    await asyncio.gather(*producers)
    await process.start()
    await quiet(bench, process)

    assert code == 0, tail(process.log)
    assert len({got.event for got in a.got}) >= len(set(accepted)) == len(accepted)
