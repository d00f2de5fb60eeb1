"""What a lane makes of an outcome: the verdict, but for what only the lane knows.

A lane that ends tries nothing again. Where a probe has failed and others wait, the next probe is another one's turn, so
that one event which its target does not take keeps no circuit open.
"""

import random
import typing

from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.fallbacks import Fallbacks
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.window import Window
from fanout_dispatcher.policies.circuit import Circuit
from fanout_dispatcher.policies.decide import Rules, Standing, decide
from fanout_dispatcher.values.outcome import Again, Dead, Outcome, Reason, Verdict


class Lane(typing.Protocol):
    """What this asks of a lane."""

    circuit: Circuit
    clock: Clock
    ending: Reason | None
    fallbacks: Fallbacks
    fresh: Window
    rules: Rules
    tried: Window

    @property
    def rng(self) -> random.Random:
        """Chance."""


def judge(lane: Lane, delivery: Delivery, outcome: Outcome, failed_probe: bool, now: float) -> Verdict:
    """What becomes of *delivery*."""
    standing = Standing(delivery.attempts, delivery.pending.event.accepted, failed_probe, lane.clock.wall(now))
    verdict = decide(standing, outcome, lane.rules, now, lane.rng)
    if lane.ending is not None and type(verdict) is Again:
        return Dead(lane.ending, spent=verdict.spent)
    if type(verdict) is Again and delivery.pending.caller is not None:
        verdict = lane.fallbacks.instead(delivery, verdict)
    probed = lane.circuit.probe_at
    waiting = lane.fresh.ready or lane.tried.ready
    if type(verdict) is Again and failed_probe and not verdict.spent and probed is not None and waiting:
        # As long after the next probe as that is from now, but no longer than that may last: it is another one's turn.
        another = min(2 * probed - now, probed + lane.circuit.rule.half_open.max_wait)
        return Again(max(verdict.at, another), spent=False)
    return verdict
