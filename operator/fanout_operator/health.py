"""What the operator says of itself: /livez, /readyz, /metrics.

Alive means that every watch was heard of lately, not that a process exists. An API server that is away is no reason to
die: its errors are signs of life. Ready means that all there was at the start is done; a
standby, which has nothing to do, is ready when it watches, or no rollout of two would ever end.
"""

import typing
from collections.abc import Callable, Iterable, Mapping

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

OLD: typing.Final = 180.0  # seconds: three renewals of a watch


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look. All are asked when somebody asks us."""

    ages: Callable[[], Mapping[str, float]]  # seconds since each watch showed a sign of life
    ready: Callable[[], bool]
    standby: Callable[[], bool]
    gauges: Callable[[], Mapping[str, float]]
    counters: Callable[[], Mapping[str, float]]
    calls: Callable[[], Mapping[str, int]]


def oldest(ages: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Ages by name; of watches with one name the oldest, since each of them has to be alive."""
    found: dict[str, float] = {}
    for name, age in ages:
        found[name] = max(age, found.get(name, age))
    return found


class Collector:
    """Exports the numbers at the time of the scrape; they are plain numbers where they are counted."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def collect(self) -> Iterable[Metric]:
        """Say all metrics."""
        for name, value in self._vitals.gauges().items():
            yield GaugeMetricFamily(f"fanout_operator_{name}", name.replace("_", " "), value=value)
        for name, value in self._vitals.counters().items():
            yield CounterMetricFamily(f"fanout_operator_{name}", name.replace("_", " "), value=value)
        ages = GaugeMetricFamily("fanout_operator_age_seconds", "since the last sign of life", labels=["of"])
        for name, value in self._vitals.ages().items():
            ages.add_metric([name], value)
        yield ages
        calls = CounterMetricFamily("fanout_operator_api_calls", "requests to the API server", labels=["method"])
        for method, count in self._vitals.calls().items():
            calls.add_metric([method], count)
        yield calls


def application(vitals: Vitals) -> web.Application:
    """The health port."""
    registry = CollectorRegistry()
    registry.register(Collector(vitals))

    async def livez(_: web.Request) -> web.Response:
        old = [f"{name}: {age:.0f} s" for name, age in vitals.ages().items() if age > OLD]
        return web.Response(text="\n".join(old) or "ok", status=503 if old else 200)

    async def readyz(_: web.Request) -> web.Response:
        if vitals.standby():
            return web.Response(text="standby")
        ready = vitals.ready()
        return web.Response(text="ok" if ready else "not synced yet", status=200 if ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app
