"""Metrics: the plain counters of the desk, turned into Prometheus' form when somebody scrapes.

Nothing here runs per event: the hot path bumps ints, and a page reads them, a piece at a time (a page for thousands of
routes takes longer than the loop should wait). What there is one of per process goes through the library, the rest
is written by exposition.py.

Label values are bounded: routes and targets by what is installed, reasons and faults by closed lists, and statuses,
which a target could make up, by folding the unusual ones into their class.
"""

import itertools
import typing

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fanout_dispatcher.telemetry import exposition
from fanout_dispatcher.values.desk import COMMIT_BUCKETS, Desk, JournalMeter, PortMeter
from fanout_dispatcher.values.sink import Holder

CONTENT_TYPE: typing.Final = "text/plain; version=0.0.4; charset=utf-8"
JOURNAL: typing.Final = ("durability",)
OF_THE_JOURNAL: typing.Final = {("journal-full", 503): 0, ("journal-unavailable", 503): 0}  # as exposition.REFUSALS


class Metrics:
    """The metrics page of one desk, its data port (where there is one) and this process."""

    def __init__(self, desk: Desk, port: PortMeter | None = None, holder: Holder | None = None) -> None:
        self._desk = desk
        self._holder = holder
        self._port = port or PortMeter()
        self._process = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._process)
        prometheus_client.PlatformCollector(registry=self._process)
        prometheus_client.GCCollector(registry=self._process)

    def page(self) -> typing.Iterator[bytes]:
        """Write the page, in pieces, each in less than a few milliseconds.

        Text format 0.0.4: OpenMetrics would not let a gauge and a counter share the name fanout_dead_letters.
        """
        meters = prometheus_client.CollectorRegistry()
        held = len(self._holder.held()) if self._holder else 0
        ready = self._desk.readiness() is None
        journals = self._desk.journal_meters()
        meters.register(Meters(self._port, journals, ready=ready, refused=self._desk.refused(), held=held))
        yield prometheus_client.generate_latest(meters)
        yield prometheus_client.generate_latest(self._process)
        for pieces in (
            exposition.doors(list(self._desk.route_meters())),
            exposition.lanes(list(self._desk.lane_meters())),
        ):
            for piece in pieces:
                yield piece.encode()


class Meters(Collector):
    """Plain counters that a process has once, as metric families."""

    def __init__(
        self, port: PortMeter, journals: typing.Mapping[str, JournalMeter], *, ready: bool, refused: int, held: int
    ) -> None:
        self._port = port
        self._journals = journals
        self._ready = ready
        self._refused = refused
        self._held = held

    def collect(self) -> typing.Iterator[Metric]:
        """Every family."""
        yield GaugeMetricFamily("fanout_ready", "1 while events can be accepted and committed.", self._ready)
        yield GaugeMetricFamily("fanout_routes_refused", "Routes whose newest plan is not in force.", self._refused)
        yield GaugeMetricFamily("fanout_routes_held", "Routes that stay because many vanished at once.", self._held)
        yield from _ingress(self._port)
        yield from _commits(self._journals)


def _ingress(port: PortMeter) -> typing.Iterator[Metric]:
    yield GaugeMetricFamily("fanout_ingress_connected", "Connections to the data port now.", port.connected)
    for name, says, count in (
        ("connections", "Connections to the data port ever made.", port.connections),
        ("connections_turned_away", "Connections over a cap, refused at once.", port.turned_away),
        ("requests", "Requests to the data port.", port.requests),
        ("expired", "Connections ended by a deadline.", port.expired),
    ):
        yield CounterMetricFamily(f"fanout_ingress_{name}", says, count)
    refused = CounterMetricFamily(
        "fanout_ingress_refused", "Requests answered with a problem, by its type.", labels=("problem", "status")
    )
    for (problem, status), count in (OF_THE_JOURNAL | port.refused).items():
        refused.add_metric((problem, str(status)), count)
    yield refused


def _commits(journals: typing.Mapping[str, JournalMeter]) -> typing.Iterator[Metric]:
    events = CounterMetricFamily("fanout_journal_events", "Events committed.", labels=JOURNAL)
    settles = CounterMetricFamily("fanout_journal_settles", "Events of which settles were committed.", labels=JOURNAL)
    failed = CounterMetricFamily("fanout_journal_commits_failed", "Commits that failed.", labels=JOURNAL)
    seconds = HistogramMetricFamily(
        "fanout_journal_commit_seconds", "Commits, from the loop to the disk and back.", labels=JOURNAL
    )
    for durability, one in journals.items():
        events.add_metric((durability,), one.events)
        settles.add_metric((durability,), one.settles)
        failed.add_metric((durability,), one.failed)
        seconds.add_metric((durability,), _cumulated(COMMIT_BUCKETS, one.seconds), one.seconds_sum)
    yield from (events, settles, failed, seconds)


def _cumulated(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    """Turn a count per bucket into the counts up to each bound that Prometheus wants; *counts* may grow meanwhile."""
    return list(zip((*map(str, bounds), "+Inf"), itertools.accumulate(counts.copy()), strict=True))
