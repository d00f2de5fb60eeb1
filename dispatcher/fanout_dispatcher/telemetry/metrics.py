"""Metrics: the plain counters of the desk, turned into Prometheus' form when somebody scrapes.

Nothing here runs per event: the hot path bumps ints, and `Meters.collect` reads them. It runs on another thread (a
page for thousands of routes takes longer than the loop should wait), so every dict is copied before it is walked.

Label values are bounded: routes and targets by what is installed, reasons and faults by closed lists, and statuses,
which a target could make up, by folding the unusual ones into their class.
"""

import collections
import itertools
import typing

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fanout_dispatcher.values.desk import BUCKETS, COMMIT_BUCKETS, Desk, JournalMeter, LaneMeter, PortMeter, RouteMeter

CONTENT_TYPE: typing.Final = "text/plain; version=0.0.4; charset=utf-8"
CIRCUITS: typing.Final = ("Closed", "Open", "HalfOpen", "Disabled")
TELLING: typing.Final = frozenset(
    map(str, (400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 425, 429, 500, 501, 502, 503, 504, 505))
)
LANE: typing.Final = ("route", "target")
JOURNAL: typing.Final = ("durability",)


class Metrics:
    """The metrics page of one desk, its data port (where there is one) and this process."""

    def __init__(self, desk: Desk, port: PortMeter | None = None) -> None:
        self._desk = desk
        self._port = port or PortMeter()
        self._process = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._process)
        prometheus_client.PlatformCollector(registry=self._process)
        prometheus_client.GCCollector(registry=self._process)

    def page(self) -> typing.Callable[[], bytes]:
        """Take hold of the meters, on the loop; what comes back writes the page, on any thread.

        Text format 0.0.4: OpenMetrics would not let a gauge and a counter share the name fanout_dead_letters.
        """
        meters = prometheus_client.CollectorRegistry()
        desk = self._desk
        routes, lanes = list(desk.route_meters()), list(desk.lane_meters())
        meters.register(Meters(self._port, routes, lanes, desk.journal_meters()))
        return lambda: prometheus_client.generate_latest(meters) + prometheus_client.generate_latest(self._process)


class Meters(Collector):
    """Plain counters as metric families."""

    def __init__(
        self,
        port: PortMeter,
        routes: list[RouteMeter],
        lanes: list[LaneMeter],
        journals: typing.Mapping[str, JournalMeter],
    ) -> None:
        self._port = port
        self._routes = routes
        self._lanes = lanes
        self._journals = journals

    def collect(self) -> typing.Iterator[Metric]:
        """Every family, complete for all routes and lanes."""
        yield from _ingress(self._port)
        yield from _doors(self._routes)
        yield from _attempts(self._lanes)
        yield from _dead(self._lanes)
        yield from _waiting(self._lanes)
        yield _durations(self._lanes)
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
    for (problem, status), count in port.refused.copy().items():
        refused.add_metric((problem, str(status)), count)
    yield refused


def _doors(routes: list[RouteMeter]) -> typing.Iterator[Metric]:
    accepted = CounterMetricFamily("fanout_events_accepted", "Events answered with 202.", labels=("route",))
    refused = CounterMetricFamily("fanout_events_refused", "Events turned away.", labels=("route", "reason"))
    for one in routes:
        accepted.add_metric((one.route,), one.accepted)
        for reason, count in one.turned.copy().items():
            refused.add_metric((one.route, reason), count)
    yield accepted
    yield refused


def _attempts(lanes: list[LaneMeter]) -> typing.Iterator[Metric]:
    attempts = CounterMetricFamily(
        "fanout_attempts", "Attempts: Delivered, a status (or its class), a fault.", labels=(*LANE, "outcome")
    )
    delivered = CounterMetricFamily("fanout_delivered", "Deliveries that the target accepted.", labels=LANE)
    retries = CounterMetricFamily("fanout_retries", "Deliveries put back to be tried again.", labels=LANE)
    for one in lanes:
        key = (one.route, one.target)
        for outcome, count in _outcomes(one).items():
            attempts.add_metric((*key, outcome), count)
        delivered.add_metric(key, one.delivered)
        retries.add_metric(key, one.retried)
    yield attempts
    yield delivered
    yield retries


def _outcomes(lane: LaneMeter) -> collections.Counter[str]:
    counted: collections.Counter[str] = collections.Counter({"Delivered": lane.delivered})
    for outcome, count in lane.failed.copy().items():
        counted[fold(outcome)] += count
    return counted


def fold(outcome: str) -> str:
    """Bound the label of *outcome*: a fault or a telling status stays, another status becomes its class."""
    if not outcome.isdigit() or outcome in TELLING:
        return outcome
    return f"{outcome[0]}xx" if len(outcome) == 3 and outcome[0] in "12345" else "other"


def _dead(lanes: list[LaneMeter]) -> typing.Iterator[Metric]:
    died = CounterMetricFamily("fanout_dead_letters", "Deliveries given up, by reason.", labels=(*LANE, "reason"))
    replayed = CounterMetricFamily("fanout_replayed", "Dead letters sent again.", labels=LANE)
    kept = GaugeMetricFamily("fanout_dead_letters", "Dead letters kept now.", labels=LANE)
    for one in lanes:
        key = (one.route, one.target)
        for reason, count in one.dead.copy().items():
            died.add_metric((*key, reason), count)
        replayed.add_metric(key, one.replayed)
        kept.add_metric(key, one.dead_letters)
    yield died
    yield replayed
    yield kept


def _waiting(lanes: list[LaneMeter]) -> typing.Iterator[Metric]:
    pending = GaugeMetricFamily("fanout_pending", "Deliveries not yet settled.", labels=LANE)
    size = GaugeMetricFamily("fanout_pending_bytes", "Bytes of events whose deliveries are not settled.", labels=LANE)
    flying = GaugeMetricFamily("fanout_in_flight", "Attempts under way.", labels=LANE)
    circuit = GaugeMetricFamily("fanout_circuit_state", "1 for the state the circuit is in.", labels=(*LANE, "state"))
    for one in lanes:
        key = (one.route, one.target)
        pending.add_metric(key, one.pending)
        size.add_metric(key, one.pending_bytes)
        flying.add_metric(key, one.in_flight)
        for state in CIRCUITS:
            circuit.add_metric((*key, state), one.circuit == state)
    yield from (pending, size, flying, circuit)


def _durations(lanes: list[LaneMeter]) -> Metric:
    seconds = HistogramMetricFamily("fanout_attempt_seconds", "Attempts, connect to last byte.", labels=LANE)
    for one in lanes:
        seconds.add_metric((one.route, one.target), _cumulated(BUCKETS, one.seconds), one.seconds_sum)
    return seconds


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
