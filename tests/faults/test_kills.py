"""P1, P3: what was answered 202 survives kill -9 at once, and whatever is delivered twice has its reason.

In every second round all targets are frozen: otherwise the requests already sit in socket buffers when the kill comes,
and the journal would prove nothing.
"""

import asyncio
import collections
import itertools
import json
import pathlib
import random

import httpx
import pytest

from tests.support.dispatcher import Process, Producer
from tests.support.targets import Got, Target

CONNECTIONS = 8


def manifest(targets: list[Target]) -> str:
    """A route to *targets* that never gives up during the test."""
    policy = {"retry": {"backoff": {"type": "Constant", "baseDelay": "50ms", "jitter": "None"}}}
    spec = {
        "defaults": {"policy": policy | {"circuitBreaker": {"mode": "Disabled"}, "timeouts": {"attempt": "2s"}}},
        "targets": [{"name": one.name, "url": one.url} for one in targets],
    }
    metadata = {"name": "kills", "namespace": "test"}
    return json.dumps({"apiVersion": "fanout.dev/v1alpha1", "kind": "FanoutRoute", "metadata": metadata, "spec": spec})


@pytest.mark.faults
@pytest.mark.timeout(1800)
async def test_nothing_that_was_accepted_is_lost_by_kill_9(tmp_path: pathlib.Path, kills: int) -> None:
    chance = random.Random(f"kills/{kills}")
    targets = [await Target(name).open() for name in ("a", "b", "c")]
    (tmp_path / "route.json").write_text(manifest(targets))
    process = Process(tmp_path, tmp_path / "route.json")
    accepted: dict[str, str] = {}

    for life in range(1, kills + 1):
        for target in targets:
            target.life = life  # what a restart sends is the new life's
        await process.start()
        producers = [Producer(f"{process.listen}/test/kills", f"{life}.{n}") for n in range(CONNECTIONS)]
        if life % 2:
            for target in targets:
                target.freeze()
        posting = [asyncio.create_task(one.run()) for one in producers]
        await asyncio.sleep(chance.uniform(0.02, 0.4))
        process.kill()
        await asyncio.gather(*posting)
        for target in targets:
            target.cut()
        for one in producers:
            accepted |= one.accepted
    for target in targets:
        target.life = kills + 1
    await process.start()
    await settled(process)
    code = process.stop()
    for target in targets:
        await target.close()

    lost = [(event, one.name) for one in targets for event in accepted.keys() - {got.event for got in one.got}]
    unexplained = [twice for one in targets for twice in duplicates(one.got)]
    print(f"kills {kills}, acknowledged {len(accepted)}, lost {len(lost)}, unexplained duplicates {len(unexplained)}")  # noqa: T201
    assert len(accepted) > 10 * kills, "a run that accepted next to nothing proves nothing"
    assert lost == []
    assert unexplained == []
    assert code == 0


def duplicates(got: list[Got]) -> list[tuple[Got, Got]]:
    """Pairs that no crash lies between: one life sent a delivery again although it had been answered."""
    by_event = collections.defaultdict(list)
    for one in got:
        by_event[one.event].append(one)
    pairs = [pair for all_of in by_event.values() for pair in itertools.pairwise(all_of)]
    return [(before, after) for before, after in pairs if before.life == after.life or before.key != after.key]


async def settled(process: Process) -> None:
    """Wait until nothing is pending."""
    async with asyncio.timeout(120), httpx.AsyncClient(trust_env=False) as client:
        while True:
            answer = await client.get(f"{process.admin}/v1/routes/test/kills")
            if all(one["pending"] == 0 for one in answer.json()["targets"]):
                return
            await asyncio.sleep(0.1)
