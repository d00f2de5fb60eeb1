"""A second try while the first is slow, and callers that find no slot: the real command and real targets."""

import asyncio
import typing

import httpx

from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually, view
from tests.process.test_settled import ask
from tests.support.targets import SILENT, Got, Target

HEDGED: typing.Final = {"hedge": {"delay": "100ms"}}


def silent_at_first(target: Target) -> None:
    """Say nothing to the first request for each event, and 204 to every other."""
    seen: set[str] = set()

    def choose(got: Got) -> int:
        first = got.event not in seen
        seen.add(got.event)
        return SILENT if first else 204

    target.choose = choose


def described(target: Target, policy: dict[str, typing.Any]) -> dict[str, typing.Any]:
    return {"name": target.name, "url": target.url, "policy": policy}


async def test_the_second_try_answers_for_a_first_one_that_hangs(bench: Bench) -> None:
    slow = await bench.target("slow")
    silent_at_first(slow)
    bench.route(described(slow, HEDGED), respond={"mode": "Settled"})
    process = await bench.started()

    answers = [await ask(bench, process.listen) for _ in range(3)]

    assert [one.status_code for one in answers] == [200, 200, 200]
    assert [one.attempt for one in slow.got] == [1] * 6
    for first, second in zip(slow.got[::2], slow.got[1::2], strict=True):
        assert (first.event, first.key) == (second.event, second.key), "the target can tell that it is the same"
    states = await view(bench, process, answers[0].headers["fanout-receipt"])
    assert (states["slow"]["state"], states["slow"]["attempts"]) == ("Delivered", 1)
    metrics = (await bench.client.get(f"{process.admin}/metrics")).text
    labels = 'route="shop/order-placed",target="slow"'
    assert f"fanout_hedges_total{{{labels}}} 3" in metrics
    assert f"fanout_hedges_won_total{{{labels}}} 3" in metrics
    assert f'fanout_circuit_state{{{labels},state="Closed"}} 1' in metrics
    assert f"fanout_in_flight{{{labels}}} 0" in metrics

    async def closed() -> bool:
        return len(slow.connections) == 1

    await eventually(closed)  # of each event the connection of the slow one is closed, the other is kept


async def test_who_would_have_to_wait_for_a_slot_is_told_at_once_and_nothing_is_accepted(bench: Bench) -> None:
    payment = await bench.target("payment")
    payment.delay = 1.0
    bench.route(
        described(payment, {"bulkhead": {"maxConcurrent": 1, "maxQueue": 1}}),
        respond={"mode": "Settled", "timeout": "20s"},
    )
    process = await bench.started()

    answers = await asyncio.gather(*(ask(bench, process.listen) for _ in range(6)))

    def slugs(status: int) -> list[str]:
        return [one.json().get("type", "").rpartition("/")[2] for one in answers if one.status_code == status]

    refused = [one for one in answers if one.status_code == 503]
    assert (slugs(200), slugs(503)) == ([""] * 2, ["bulkhead-full"] * 4)
    assert all(_told(one) for one in refused), refused[0].text
    assert len(payment.got) == 2
    metrics = (await bench.client.get(f"{process.admin}/metrics")).text
    assert 'fanout_events_refused_total{route="shop/order-placed",reason="BulkheadFull"} 4' in metrics


def _told(refused: httpx.Response) -> bool:
    says = refused.json()["detail"]
    return (
        says.startswith("target payment has no slot free")
        and refused.headers["retry-after"] == "1"
        and "fanout-receipt" not in refused.headers
    )
