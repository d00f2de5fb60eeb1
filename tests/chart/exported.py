"""What the product exports, from the pages themselves: each metric's name, as it is asked for, with its labels."""

import asyncio
from collections.abc import Iterator
from unittest.mock import MagicMock

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fanout_dispatcher.telemetry.metrics import Metrics
from fanout_dispatcher.values.desk import JournalMeter, LaneMeter, PortMeter, RouteMeter
from fanout_operator.health import Collector
from fanout_operator.vitals import vitals
from tests.unit.dispatcher.admin.fakes import FakeDesk

Exported = dict[str, set[str]]
ONE = {"any": 1}


def happened() -> bytes:
    """The page of a dispatcher in which everything has happened once."""
    desk, port = FakeDesk(), PortMeter(refused={("no-route", 404): 1})
    desk.lanes = [
        LaneMeter(
            route="r",
            target="t",
            held="SecretNotFound",
            hedges=1,
            caches=1,
            failed=ONE,
            dead=ONE,
            dropped=ONE,
            passed=ONE,
            fell_back=ONE,
        )
    ]
    desk.doors = [RouteMeter(route="r", sources=1, turned=ONE, answers=ONE)]
    desk.journals = {"Journal": JournalMeter()}
    return b"".join(Metrics(desk, port).page())


def fresh() -> bytes:
    """The page of a dispatcher with one route and one target, in which nothing has happened yet."""
    desk = FakeDesk()
    desk.lanes, desk.doors = [LaneMeter(route="r", target="t")], [RouteMeter(route="r")]
    desk.journals = {"Journal": JournalMeter()}
    return b"".join(Metrics(desk).page())


def operator() -> bytes:
    """The page of an operator of which nothing is known: names and labels are the health port's own."""

    async def page() -> bytes:
        operator, pulse, rest = MagicMock(), MagicMock(), MagicMock(calls={"GET": 1})
        pulse.age.return_value = 0.0
        registry = CollectorRegistry()
        registry.register(Collector(vitals(operator, pulse, rest, slices=None, elector=None)))
        return generate_latest(registry)

    return asyncio.run(page())


def samples(page: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    """Each sample of a page: its name and its labels."""
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            yield sample.name, sample.labels


def exported() -> Exported:
    """Of both, in one."""
    found: Exported = {}
    for page in (happened(), operator()):
        for name, labels in samples(page):
            found.setdefault(name, set()).update(labels)
    return found
