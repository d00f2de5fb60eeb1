"""What a history has seen besides faults: turns that a promise is about, and that a campaign has to have taken.

A promise about sagas that fail proves nothing in worlds where none did.
"""

from fanout_dispatcher.telemetry.seam import CircuitChanged, DeliveryFellBack, SagaStuck
from fanout_dispatcher.values.outcome import Failed
from tests.sim.history import History, Posted, Told

SKIPPED_BY_A_FAILURE = {"NotReached", "CalledOff"}


def notable(history: History) -> dict[str, int]:
    """How often each came about."""
    told = [one.change for one in history.of(Told)]
    views = [view for view in history.events.values() if view is not None]
    sagas = [one for one in views if any(".compensate" in delivery.target for delivery in one.deliveries)]
    undone = [
        one for view in sagas for one in view.deliveries if ".compensate" in one.target and one.state != "Skipped"
    ]
    split = [one for one in history.sent if one.leads and one.shared > 1 and _rejected(one.outcome)]
    return {
        "saga failed": sum(any(one.reason in SKIPPED_BY_A_FAILURE for one in view.deliveries) for view in sagas),
        "saga undone": len({one.receipt for one in sagas if any(of in undone for of in one.deliveries)}),
        "saga called off": sum(one.reason == "CalledOff" for view in sagas for one in view.deliveries),
        "saga stuck": sum(isinstance(one, SagaStuck) for one in told),
        "fallback": sum(isinstance(one, DeliveryFellBack) for one in told),
        "key blocked": sum(one.holds for one in history.letters.values()),
        "batch split": len(split),
        "delivery delayed": sum(target.delay > 0 for posted in history.of(Posted) for target in posted.plan.targets),
        "circuit open by hand or dry": sum(_for_ever(one) for one in told),
    }


def _for_ever(change: object) -> bool:
    """A circuit is open, and nobody can say for how long: by its mode nothing is asked, or nothing held."""
    return isinstance(change, CircuitChanged) and change.after == "Open" and change.opens_for is None


def _rejected(outcome: object) -> bool:
    return isinstance(outcome, Failed) and outcome.fault is None and outcome.status < 500
