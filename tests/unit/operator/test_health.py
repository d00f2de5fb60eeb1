"""What the health port says."""

import aiohttp
import pytest
from aiohttp import web

from fanout_operator.health import OLD, Vitals, application, oldest


async def ask(path: str, *, age: float = 1.0, ready: bool = True, standby: bool = False) -> tuple[int, str]:
    vitals = Vitals(
        ages=lambda: {"routes": age},
        ready=lambda: ready,
        standby=lambda: standby,
        gauges=lambda: {"routes": 3},
        counters=lambda: {"reconciles": 7},
        calls=lambda: {"PATCH": 2},
    )
    runner = web.AppRunner(application(vitals))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{runner.addresses[0][1]}{path}") as answer,
        ):
            return answer.status, await answer.text()
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("age", "status"), [(OLD - 1, 200), (OLD + 1, 503)])
async def test_it_is_alive_as_long_as_its_watches_are(age: float, status: int) -> None:
    assert (await ask("/livez", age=age))[0] == status


@pytest.mark.parametrize("ages", [(OLD + 1, 1.0), (1.0, OLD + 1)])
def test_of_two_watches_with_one_name_a_dead_one_is_not_hidden_by_the_other(ages: tuple[float, float]) -> None:
    """As of Secrets, where routes may be in the dispatchers' namespace too: those of people and those of plans."""
    assert oldest(("secrets@fanout", age) for age in ages) == {"secrets@fanout": OLD + 1}


async def test_a_dead_watch_is_named() -> None:
    assert "routes" in (await ask("/livez", age=OLD + 1))[1]


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_it_is_ready_when_all_there_was_is_done(ready: bool, status: int) -> None:
    assert (await ask("/readyz", ready=ready))[0] == status


async def test_a_standby_is_ready_and_says_what_it_is() -> None:
    assert await ask("/readyz", ready=False, standby=True) == (200, "standby")


async def test_metrics_are_read_at_the_time_of_the_scrape() -> None:
    _, text = await ask("/metrics")

    assert "fanout_operator_routes 3.0" in text
    assert "fanout_operator_reconciles_total 7.0" in text
    assert 'fanout_operator_api_calls_total{method="PATCH"} 2.0' in text
