"""Graphs of up to twelve targets, sagas among them, against rules that are written down a second time, in another way.

The engine goes from one settlement to the next. Here each position is worked out by itself, from nothing but when its
attempts and those of others landed: when its turn came, when the saga failed, and which of the two was first.
"""

import asyncio
import itertools
import math
import random

from fanout_crds.plan import Behind, Plan, Static
from fanout_dispatcher.transport.memory import Reply, fault, status
from fanout_dispatcher.values.outcome import Failed, Fault
from tests.sim.graphs import final, step, undo
from tests.sim.history import Sent
from tests.sim.senders import Lost
from tests.sim.world import Behave, Life, World
from tests.support.plans import a_plan, changed

SEEDS = 120
WHEN = {True: "true", False: "false", None: "data.total > 3"}  # of an event without a total
CALM = {"policy": {"circuit_breaker": {"enabled": False}}}
NARROW = {"policy": {"bulkhead": {"max_concurrent": 1}}}


class Reference:
    """What the rules say of one event, whose attempts were these."""

    def __init__(self, plan: Plan, asked: dict[str, list[Sent]]) -> None:
        self.targets = {one.name: one for one in plan.targets}
        self.behind = {(one.role, one.of): one.target.name for one in plan.behind}
        self.asked = asked
        self.saga = any(role == "Compensation" for role, _ in self.behind)
        self.failed = math.inf
        if self.saga:
            self.failed = min(self._lost(name) for name in self.targets)

    def expected(self) -> dict[str, str]:
        """The state of each position."""
        found = {name: self._target(name) for name in self.targets}
        for (role, of), name in self.behind.items():
            if role == "Fallback":
                found[name] = self._fallback(of, name)
            elif role == "Compensation":
                found[name] = "Delivered" if self._to_undo(of) else "Skipped"
            else:
                found[name] = "Delivered"
        return found

    def _target(self, name: str) -> str:
        turn, holds = self._turn(name), self._holds(name)
        if holds is None and not math.isinf(turn) and turn <= self.failed:
            return "Dead"  # it may be what the saga fails by
        if math.isinf(turn) or turn >= self.failed or not holds:
            return "Skipped"
        return self._ended(name)

    def _fallback(self, of: str, name: str) -> str:
        died = self._died(of)
        if math.isinf(died) or died >= self.failed or self._holds(of) is None:
            return "Skipped"
        return self._ended(name)

    def _to_undo(self, of: str) -> bool:
        done = any(sent.yes or _lost(sent) for sent in self.asked[of])
        return not math.isinf(self.failed) and done

    def _ended(self, name: str) -> str:
        """Of one whose turn has come."""
        chain = self.asked[name]
        if any(sent.yes for sent in chain):
            return "Delivered"
        return "Dead" if _given_up(chain) else "Skipped"  # called off, before its first attempt or between two

    def _holds(self, name: str) -> bool | None:
        return next((holds for holds, when in WHEN.items() if when == self.targets[name].when), True)

    def _turn(self, name: str) -> float:
        """When all that it depends on was through; inf: never."""
        return max((self._through(of) for of in self.targets[name].depends_on), default=0.0)

    def _through(self, name: str) -> float:
        """When what depends on a target could go; inf: never."""
        turn = self._turn(name)
        if math.isinf(turn) or self._holds(name) is False:
            return turn
        chain = self.asked[name]
        yes = [sent.ended or 0.0 for sent in (*chain, *self._instead(name)) if sent.yes]
        if yes:
            return yes[0]
        died = self._died(name)
        if self.targets[name].static is not None:
            return died
        return self._gone(name) if self.targets[name].on_dead == "Continue" else math.inf

    def _lost(self, name: str) -> float:
        """When the saga failed because of this target; inf: not because of it."""
        stands_in = self.targets[name].static is not None or any(sent.yes for sent in self._instead(name))
        return math.inf if stands_in or self.targets[name].on_dead == "Continue" else self._gone(name)

    def _gone(self, name: str) -> float:
        """When a target was given up, and its fallback too if it has one that was to be asked."""
        died, instead = self._died(name), self._instead(name)
        if ("Fallback", name) not in self.behind or self._holds(name) is None:
            return died
        return instead[-1].ended or math.inf if _given_up(instead) else math.inf

    def _died(self, name: str) -> float:
        if self._holds(name) is None:
            return self._turn(name)
        chain = self.asked[name]
        return chain[-1].ended or math.inf if _given_up(chain) else math.inf

    def _instead(self, name: str) -> list[Sent]:
        return self.asked.get(self.behind.get(("Fallback", name), ""), [])


def _lost(sent: Sent) -> bool:
    return isinstance(sent.outcome, Failed) and sent.outcome.fault is Fault.RESET


def _given_up(chain: list[Sent]) -> bool:
    """By a clear no, or after the third attempt without an answer."""
    return bool(chain) and not chain[-1].yes and (not _lost(chain[-1]) or len(chain) == 3)


def drawn(chance: random.Random) -> Plan:
    """A graph."""
    names = [f"t{number}" for number in range(chance.randrange(1, 13))]
    saga = chance.random() < 0.7
    targets, behind = [], []
    for place, name in enumerate(names):
        after = sorted(chance.sample(names[:place], min(place, chance.choice([0, 1, 1, 2, 3]))))
        static = Static(status=200, headers=(), body="{}") if chance.random() < 0.1 else None
        when = WHEN[chance.choice([True, True, False, None])] if chance.random() < 0.25 else None
        on_dead = "Continue" if chance.random() < 0.25 else "Fail"
        one = changed(step(name, *after, when=when, static=static, on_dead=on_dead), CALM)
        targets.append(changed(one, NARROW) if chance.random() < 0.5 else one)
        if static is None and chance.random() < 0.2:
            behind.append(Behind(role="Fallback", of=name, target=changed(step(f"{name}.fallback"), CALM)))
        elif saga and chance.random() < 0.6:
            behind.append(undo(name))
    return a_plan(*targets, behind=(*behind, final("audit")))


def behaving(chance: random.Random, plan: Plan) -> Behave:
    """One in four fails for an event, by a clear no or by answers that are lost; what undoes and who is told, never."""
    well = {one.target.name for one in plan.behind if one.role != "Fallback"}
    replies: dict[tuple[str, str], Reply | Lost] = {}
    for target, event in itertools.product((one.name for one in plan.everybody), ("e1", "e2", "e3")):
        took = chance.uniform(0.01, 0.6)
        kinds: list[Reply | Lost] = [status(422, took), Lost(fault(Fault.RESET, took))]
        fails = target not in well and chance.random() < 0.25
        replies[target, event] = chance.choice(kinds) if fails else status(200, took)
    return lambda target, flight, now: replies[target, flight.event.head.id]


def test_each_position_ends_as_its_own_history_and_that_of_others_say() -> None:
    failed = undone = called_off = 0
    for seed in range(SEEDS):
        chance = random.Random(f"flows/{seed}")
        plan = drawn(chance)
        world = World(plan, behaving(chance, plan), seed=seed)
        world.live(three)

        for event in ("e1", "e2", "e3"):
            asked = {
                one.name: [sent for sent in world.history.sent if (sent.event, sent.target) == (event, one.name)]
                for one in plan.everybody
            }
            reference, found = Reference(plan, asked), world.history.states[event]
            assert found == reference.expected(), (seed, event, reference.failed)
            in_reverse(reference, asked)
            failed += not math.isinf(reference.failed)
            undone += sum(state == "Delivered" for name, state in found.items() if name.endswith(".compensate"))
        view = [one for one in world.history.events.values() if one is not None]
        called_off += sum(of.reason == "CalledOff" for one in view for of in one.deliveries)

    assert failed > SEEDS / 2
    assert undone > SEEDS / 2
    assert called_off > SEEDS / 10


def in_reverse(reference: Reference, asked: dict[str, list[Sent]]) -> None:
    """Each step is undone after those that came later because of it, and callbacks are last."""
    for earlier, later in itertools.permutations(reference.targets, 2):
        first, then = (asked.get(f"{name}.compensate") for name in (later, earlier))
        if first and then and earlier in reference.targets[later].depends_on:
            assert (first[-1].ended or math.inf) <= then[0].at
    (told,) = asked["finally.audit"]
    assert all(sent.at <= told.at for chain in asked.values() for sent in chain)


async def three(life: Life) -> None:
    """Three events at once, to their end."""
    await asyncio.gather(*map(life.post, ("e1", "e2", "e3")))
    await life.settle(patience=1000)
    await life.look()
