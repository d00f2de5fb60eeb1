"""The dispatcher's logs: the word and loudness of each change. The form of a line is both planes' (fanout_crds.logs).

`logger` is made once, in the composition root, and handed to whoever speaks. `LogSeam` turns changes into lines.
"""

import logging
import typing

from structlog.typing import FilteringBoundLogger

from fanout_crds.logs import adopt_libraries as adopt_libraries
from fanout_crds.logs import logger as logger
from fanout_dispatcher.telemetry import seam

WORDS: typing.Final[typing.Mapping[type, tuple[str, int]]] = {
    seam.DeliveryDead: ("delivery.dead", logging.WARNING),
    seam.DeliveryFellBack: ("delivery.fell_back", logging.WARNING),
    seam.SagaStuck: ("saga.stuck", logging.ERROR),
    seam.SagaResumed: ("saga.resumed", logging.INFO),
    seam.RouteAdopted: ("route.adopted", logging.INFO),
    seam.TargetHeld: ("target.held", logging.WARNING),
    seam.RouteRefused: ("route.refused", logging.WARNING),
    seam.RouteRetired: ("route.retired", logging.INFO),
    seam.SourceFailed: ("source.failed", logging.WARNING),
    seam.SourceFetches: ("source.fetches", logging.INFO),
    seam.JournalDegraded: ("journal.degraded", logging.ERROR),
    seam.JournalRecovered: ("journal.recovered", logging.INFO),
    seam.DeliveriesUnreadable: ("deliveries.unreadable", logging.ERROR),
    seam.DeliveriesReadable: ("deliveries.readable", logging.INFO),
    seam.PlansHeld: ("plans.held", logging.WARNING),
    seam.PlansFaulty: ("plans.faulty", logging.WARNING),
    seam.PlansMended: ("plans.mended", logging.INFO),
    seam.PlansCautioned: ("plans.cautioned", logging.WARNING),
    seam.PlansForeign: ("plans.foreign", logging.INFO),
    seam.PlansSynced: ("plans.synced", logging.INFO),
}
CIRCUIT: typing.Final[typing.Mapping[str, tuple[str, int]]] = {
    "Open": ("circuit.opened", logging.WARNING),
    "HalfOpen": ("circuit.probing", logging.DEBUG),
    "Closed": ("circuit.closed", logging.INFO),
}


class LogSeam:
    """Turns changes into log lines."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log

    def tell(self, change: seam.Change) -> None:
        """Write the line for *change*."""
        word, level = CIRCUIT[change.after] if isinstance(change, seam.CircuitChanged) else WORDS[type(change)]
        if isinstance(change, seam.CircuitChanged) and change.before == "HalfOpen" and change.after == "Open":
            level = logging.DEBUG  # a probe that failed is no news: one line when it opens, one when it closes
        self._log.log(level, word, **{name: value for name, value in _fields(change) if value not in ("", None, ())})


def _fields(change: seam.Change) -> typing.Iterator[tuple[str, object]]:
    for name in change.__struct_fields__:
        value = getattr(change, name)
        yield name, ",".join(value) if isinstance(value, tuple) else value
