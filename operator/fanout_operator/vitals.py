"""What the health port shows of one operator: its watches' ages, whether it is ready, and its numbers."""

import asyncio

from fanout_operator import health
from fanout_operator.app import Operator
from fanout_operator.dispatchers import Found
from fanout_operator.elector import Elector
from fanout_operator.handlers import Pulse
from fanout_operator.kube import Scope
from fanout_operator.reflector import Reflector
from fanout_operator.rest import Rest


def vitals(
    operator: Operator,
    pulse: Pulse,
    rest: Rest,
    slices: Reflector[Found] | None,
    elector: Elector | None,
) -> health.Vitals:
    """Where to look. Without an *elector* this operator leads; without *slices* dispatchers are named."""
    loop = asyncio.get_running_loop()
    watched = (*operator.reflectors, *((slices,) if slices else ()))

    def ages() -> dict[str, float]:
        now = loop.time()
        return health.oldest([*((_name(one.scope), one.age(now)) for one in watched), ("routes", pulse.age(now))])

    def leads() -> bool:
        return elector is None or elector.elected.is_set()

    return health.Vitals(
        ages=ages,
        ready=operator.synced.is_set,
        standby=lambda: not leads() and all(one.synced.is_set() for one in watched),
        gauges=lambda: {
            "leader": leads(),
            "routes": len(operator.routes),
            "plans": len(operator.inventory),
            "plans_held": operator.held(),
            "routes_contested": operator.contested(),
            "waiting": len(operator.work),
            "events_waiting": len(operator.recorder),
        },
        counters=lambda: {
            "reconciles": operator.work.done,
            "reconcile_failures": operator.work.failed,
            "events_posted": operator.recorder.posted,
            "events_dropped": operator.recorder.dropped,
        },
        calls=lambda: rest.calls,
    )


def _name(scope: Scope) -> str:
    """A short name of what is watched, for people and for labels."""
    return f"{scope.kind.plural}@{scope.namespace or '*'}"
