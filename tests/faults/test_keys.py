"""P5, P6: a target that keeps order, stands still, and is owed something under every one of 100,000 keys.

All of that is in the journal: memory does not grow with keys. A kill -9 changes nothing of it, a restart has nothing to
work out, and once the target is well again each key has its events in the order of acceptance.
"""

import asyncio
import collections
import time
import typing

import pytest

from tests.faults.conftest import Form, patient
from tests.process.conftest import Bench
from tests.support.dispatcher import Process
from tests.support.figures import Figure
from tests.support.ledger import lost, metrics, settled
from tests.support.targets import Got

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

EACH: typing.Final = 2  # events of a key: one that can go, and one that waits for it
GROUP: typing.Final = 500  # events in one request
SIZE: typing.Final = 300  # bytes of an event
CAP: typing.Final = 60.0  # MB that may be added by all of them, by finding them after the kill, and by delivering them
MORE: typing.Final = 10.0  # MB that the second event of each key may add: 100 bytes each, where an event alone has 300


async def test_every_key_waits_in_the_journal_and_none_in_memory(bench: Bench, form: Form, figure: Figure) -> None:
    keys = int(form(2_000, 100_000))
    target = await bench.target("a")
    ordering = {"keyAttribute": "subject", "afterDeath": "Block"}
    policy = patient(attempt="15m") | {"ordering": ordering}
    bench.route({"name": "a", "url": target.url, "policy": policy}, accept={"batches": "Accept"})
    process = await bench.started()
    accepted = await post(bench, process, range(-GROUP, 0), keys)
    await settled(process)
    target.freeze()
    empty = process.memory("VmRSS")

    accepted += await post(bench, process, range(keys), keys)
    first = process.memory("VmRSS") - empty
    accepted += await post(bench, process, range(keys, EACH * keys), keys)
    second = process.memory("VmRSS") - empty
    waiting = (await metrics(process))("fanout_pending")
    peak = process.memory() - empty
    process.kill()
    begun = time.monotonic()
    await process.start()
    ready, found = time.monotonic() - begun, process.memory("VmRSS")
    target.cut()
    await settled(process, patience=600)
    drained = process.memory() - found
    code = await asyncio.to_thread(process.stop)

    figure(
        "P5", keys_in_order=keys, events=EACH * keys, rss_empty_mb=empty, first_of_each_adds_mb=first,
        all_add_mb=second, ready_after_kill_s=ready, rss_at_ready_mb=found, draining_adds_mb=drained,
    )  # fmt: skip
    assert waiting == EACH * keys
    assert (lost(accepted, [target]), disordered(target.got), code) == ([], [], 0)
    assert second - first < MORE
    assert max(peak, drained, found - empty) < CAP


async def post(bench: Bench, process: Process, numbers: range, keys: int) -> list[str]:
    """Post events of these *numbers*, whose key is the number modulo *keys*; the ids of those that were accepted."""
    accepted = []
    for begin in range(numbers.start, numbers.stop, GROUP):
        group = range(begin, min(begin + GROUP, numbers.stop))
        answer = await bench.client.post(
            f"{process.listen}/shop/order-placed",
            content=b"[%b]" % b",".join(event(number, number % keys) for number in group),
            headers={"content-type": "application/cloudevents-batch+json"},
            timeout=60,
        )
        assert answer.status_code == 202, answer.text
        accepted += [str(number) for number in group]
    return accepted


def event(number: int, key: int) -> bytes:
    """One event of SIZE bytes."""
    start = b'{"specversion":"1.0","id":"%d","source":"/s","type":"t","subject":"%d","data":"' % (number, key)
    return start + b"." * (SIZE - len(start) - 2) + b'"}'


def disordered(got: list[Got]) -> list[tuple[str, list[int]]]:
    """Keys whose events did not come first in the order of their numbers, with what came."""
    came: dict[str, dict[int, None]] = collections.defaultdict(dict)
    for one in got:
        came[one.headers["ce-subject"]].setdefault(int(one.event))
    return [(key, list(numbers)) for key, numbers in came.items() if list(numbers) != sorted(numbers)]
