"""A lane's gates, put together: in what order they are asked, entered and left, and which of them a plan asks for.

Asked one after the other in one synchronous step, entered only when all said yes, left in the opposite order. A gate
that the policy does not ask for is not there, so it costs nothing. All of them outlive a change of plan, because what
they know of the target does.
"""

import typing

from fanout_crds import plan
from fanout_dispatcher.policies.adaptive import Adaptive, adaptive
from fanout_dispatcher.policies.budget import Budget, budget
from fanout_dispatcher.policies.bulkhead import Bulkhead
from fanout_dispatcher.policies.circuit import Circuit, CircuitState
from fanout_dispatcher.policies.gate import Counting, Crossing, Gate
from fanout_dispatcher.policies.ration import Pool, Ration
from fanout_dispatcher.policies.throttle import Throttle, throttle
from fanout_dispatcher.values.outcome import Outcome, Refused

NOT_SENT: typing.Final = Refused("it had its slot, and was not wanted any more")


class Gates:
    """What stands between one lane and its target.

    *changed* is told each new state of the circuit; *pool* is where large bodies in flight are counted.
    """

    __slots__ = (
        "adaptive",
        "asked",
        "budget",
        "bulkhead",
        "circuit",
        "counting",
        "holding",
        "left",
        "policy",
        "ration",
        "throttle",
        "told",
    )

    def __init__(self, policy: plan.Policy, changed: typing.Callable[[CircuitState], None], pool: Pool) -> None:
        self.policy = policy
        self.circuit = Circuit(policy.circuit_breaker, changed)
        self.bulkhead = Bulkhead(policy.bulkhead.max_concurrent)
        self.ration = Ration(pool)
        self.adaptive: Adaptive | None = adaptive(policy, self.bulkhead)
        self.throttle: Throttle | None = throttle(policy)
        self.budget: Budget | None = budget(policy)
        self._put_in_order()

    def __repr__(self) -> str:
        return f"<Gates {' '.join(map(repr, self.told))}>"

    def _put_in_order(self) -> None:
        asked: tuple[Gate | None, ...] = (
            self.circuit,  # first: an open circuit takes no slot and spends no token
            self.bulkhead,  # its slots outlive a change of plan: old flights and new ones share them
            self.adaptive,  # behind the bulkhead, whose flights it counts, and left before it
            self.ration,  # behind those that are about the target alone
            self.throttle,  # last: a spent token is the one yes that cannot be handed back
        )
        self.asked = tuple(gate for gate in asked if gate is not None)
        # The budget is asked by nobody but a retry (turns.py), and told of every flight: first attempts pay into it.
        self.told: tuple[Gate, ...] = self.asked if self.budget is None else (*self.asked, self.budget)
        self.left = self.told[::-1]
        counting: tuple[Counting | None, ...] = (self.throttle, self.budget)
        self.counting = tuple(gate for gate in counting if gate is not None)
        self.holding = tuple(gate for gate in self.told if gate not in self.counting)

    def follow(self, policy: plan.Policy, now: float) -> None:
        """Take a new plan's policy."""
        before, self.policy = self.policy, policy
        if policy.circuit_breaker != before.circuit_breaker:
            self.circuit.follow(policy.circuit_breaker, now)
        self.bulkhead.limit = policy.bulkhead.max_concurrent
        if self.adaptive is not None and policy.bulkhead.adaptive is not None:
            self.adaptive.follow(policy.bulkhead.adaptive)
        else:
            self.adaptive = adaptive(policy, self.bulkhead)
        if self.throttle is not None and policy.rate_limit is not None:
            self.throttle.follow(policy.rate_limit, now)
        else:
            self.throttle = throttle(policy)
        if self.budget is not None and policy.retry.budget is not None:
            self.budget.follow(policy.retry.budget, policy.bulkhead.max_concurrent, now)
        else:
            self.budget = budget(policy)
        self._put_in_order()

    def opens_at(self, now: float) -> float:
        """When the target may be asked: *now*, a later time, or NEVER when only an event can tell."""
        latest = now
        for gate in self.asked:
            at = gate.opens_at(now)
            if at > latest:  # noqa: PLR1730  max() would be a call for every gate of every attempt
                latest = at
        return latest

    def retries_at(self, now: float) -> float:
        """When the next retry may go, as far as that is not asked of first attempts too."""
        return now if self.budget is None else self.budget.opens_at(now)

    def spare(self, now: float) -> bool:
        """Whether one more may go that nobody waits for: a hedge, to a target that is well, and paid for as a retry."""
        well = self.circuit.state is CircuitState.CLOSED
        return well and self.opens_at(now) <= now and self.retries_at(now) <= now

    def enter_spare(self, flight: Crossing, now: float) -> None:
        """A hedge starts: ``spare`` said yes in the same step."""
        for gate in self.asked:
            gate.enter(flight, now)
        if self.budget is not None:
            self.budget.spend(now)

    def enter(self, flight: Crossing, now: float) -> None:
        """The flight starts: all said yes, and nothing has to be handed back."""
        for gate in self.told:
            gate.enter(flight, now)

    def reserve(self, flight: Crossing, now: float) -> None:
        """The flight starts a little later, or not at all: take its slot, and what else can be handed back."""
        for gate in self.holding:
            gate.enter(flight, now)
        for counting in self.counting:
            counting.reserve(flight, now)

    def start(self, flight: Crossing, now: float) -> None:
        """What was reserved starts."""
        for counting in self.counting:
            counting.start(flight, now)

    def hand_back(self, flight: Crossing, now: float) -> None:
        """What was reserved does not start."""
        for counting in self.counting:
            counting.hand_back(flight, now)
        for gate in reversed(self.holding):
            gate.leave(flight, NOT_SENT, now)

    def leave(self, flight: Crossing, outcome: Outcome, now: float) -> None:
        """The flight has landed."""
        for gate in self.left:
            gate.leave(flight, outcome, now)
