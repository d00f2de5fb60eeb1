"""A second try while the first is slow: the real command and real targets."""

import typing

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
