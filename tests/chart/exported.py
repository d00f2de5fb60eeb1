"""What the product exports, from the pages themselves: each metric's name, as it is asked for, with its labels."""

import asyncio
from unittest.mock import MagicMock

from prometheus_client.parser import text_string_to_metric_families

from fanout_dispatcher.telemetry.metrics import Metrics
from fanout_dispatcher.values.desk import JournalMeter, LaneMeter, PortMeter, RouteMeter
from fanout_operator.health import Collector
from fanout_operator.vitals import vitals
from tests.unit.dispatcher.admin.fakes import FakeDesk

Exported = dict[str, set[str]]
ONE = {"any": 1}


def dispatcher() -> Exported:
    """Of a dispatcher in which everything has happened once."""
    desk, port = FakeDesk(), PortMeter(refused={("no-route", 404): 1})
    desk.lanes = [
        LaneMeter(
            route="r", target="t", hedges=1, caches=1, failed=ONE, dead=ONE, dropped=ONE, passed=ONE, fell_back=ONE
        )
    ]
    desk.doors = [RouteMeter(route="r", sources=1, turned=ONE, answers=ONE)]
    desk.journals = {"Journal": JournalMeter()}
    found: Exported = {}
    for family in text_string_to_metric_families(b"".join(Metrics(desk, port).page()).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


async def _operator() -> Exported:
    """Of an operator of which nothing is known: only the names are asked for, and those are the health port's own."""
    operator, pulse, rest = MagicMock(), MagicMock(), MagicMock(calls={"GET": 1})
    pulse.age.return_value = 0.0
    shown = vitals(operator, pulse, rest, slices=None, elector=None)
    return {sample.name: set(sample.labels) for family in Collector(shown).collect() for sample in family.samples}


def exported() -> Exported:
    """Of both, in one."""
    return dispatcher() | asyncio.run(_operator())
