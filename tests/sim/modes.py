"""Families in which people turn the knobs of a target that others leave alone: delays, modes, slow calls, limits.

What they turn, they turn while events are in flight and while others wait for their time.
"""

import random
import typing

import msgspec

from fanout_crds.plan import Adaptive, Plan, Target
from tests.sim import drawing
from tests.sim.scenario import Act, Adopt, Mood, Post, Scenario, Temper
from tests.sim.timelines import ends, keys_of, letters, posts, scenario, troubles
from tests.support.plans import a_plan, changed

MODES: typing.Final = ("Auto", "Auto", "Auto", "ForcedOpen", "ForcedClosed", "DryRun", "DryRun", "Disabled")
UNFORCED: typing.Final = ("Auto", "Auto", "ForcedClosed", "DryRun", "Disabled")

Turn = typing.Callable[[random.Random, Target, int], Target]


def forcing(seed: int, chance: random.Random) -> Scenario:
    """Circuits are forced open and closed, switched off and tried dry, at targets that are slow, and delayed.

    At one in four each target depends on the one before, and its delay begins when its turn comes. In the end no
    circuit is forced open any more: what is held for ever is not delivered.
    """
    heal = chance.uniform(4.0, 9.0)
    stepwise = chance.random() < 0.25
    targets: list[Target] = []
    for name in ("a", "b", "c")[: chance.randrange(1, 4)]:
        before = (targets[-1].name,) if stepwise and targets else ()
        targets.append(msgspec.structs.replace(_a_forced_target(chance, name), depends_on=before))
    plan = a_plan(*targets, namespace="sim", name="r1", path="/sim/r1", revision="r1-1", uid="r1")
    tempers: dict[str, Temper] = {
        key: tuple(_a_slow_mood(chance, heal * part / 3) for part in (1, 2, 3)) for key in keys_of((plan,))
    }
    embedded = chance.random() < 0.15
    kinds = ["crash", "crash", "sigterm", *(["power"] if embedded else [])]
    acts = [
        *posts(chance, (plan,), heal, chance.randrange(30, 80)),
        *_turned(chance, plan, heal, _another_mode),
        *ends(chance, heal, chance.choice([0, 1, 1, 2]), kinds),
        *troubles(chance, heal, chance.choice([0, 0, 0, 1])),
        *letters(chance, heal, chance.choice([0, 0, 1])),
    ]
    return scenario(seed, chance, "forcing", (plan,), heal=heal, acts=acts, tempers=tempers, embedded=embedded)


def _a_slow_mood(chance: random.Random, until: float) -> Mood:
    """Slow, and mostly well beside that; or ill."""
    if chance.random() < 0.5:
        return Mood(kind="good", until=until, latency=(0.1, 0.4))
    kinds = ["slow", "late", "failing", "hanging", "flapping", "poisoned", "resets"]
    return drawing.a_mood(chance, chance.choice(kinds), until)


def _a_forced_target(chance: random.Random, name: str) -> Target:
    made = drawing.a_drawn_target(
        chance,
        "r1",
        name,
        rate_limit=None,
        circuit_breaker=_a_breaker(chance, MODES),
        bulkhead={"max_concurrent": 64},
        queue={"max_bytes": None},
        timeouts={"attempt": chance.choice([0.5, 2.0, 5.0]), "total": chance.choice([20.0, 86400.0, 86400.0])},
    )
    return msgspec.structs.replace(made, delay=_a_delay(chance))


def _a_delay(chance: random.Random) -> float:
    return chance.choice([0.0, 0.0, 0.4, 1.5, 6.0])


def _a_breaker(chance: random.Random, modes: tuple[str, ...]) -> dict[str, object]:
    """One that is soon sure, soon open and soon asks again; half of them look at how long calls take, too."""
    return {
        **drawing.a_breaker(chance),
        "enabled": True,
        "mode": chance.choice(modes),
        "minimum_calls": chance.choice([3, 3, 10]),
        "open_duration": chance.choice([0.2, 1.0]),
        "max_open_duration": 1.0,
        "slow_call_duration": chance.choice([0.0, 0.15, 0.15, 0.4]),
        "slow_call_rate_threshold": chance.choice([10, 30, 100]),
    }


def _another_mode(chance: random.Random, target: Target, number: int) -> Target:
    """Another mode more often than not; or other rules, another delay, another address."""
    what = chance.choice(["mode", "mode", "mode", "rules", "delay", "delay", "address"])
    if what == "delay":
        return msgspec.structs.replace(target, delay=_a_delay(chance))
    if what == "address":
        return msgspec.structs.replace(target, url=f"http://127.0.0.1:9/r1/{target.name}/{number}")
    rule = _a_breaker(chance, MODES) if what == "rules" else {"mode": chance.choice(MODES)}
    return changed(target, {"policy": {"circuit_breaker": rule}})


def adapting(seed: int, chance: random.Random) -> Scenario:
    """Limits that adapt themselves, at targets that slow down under load and are well again, with all at once to do."""
    heal = chance.uniform(4.0, 7.0)
    targets = [_an_adapting_target(chance, name) for name in ("a", "b")[: chance.choice([1, 1, 2])]]
    plan = a_plan(*targets, namespace="sim", name="r1", path="/sim/r1", revision="r1-1", uid="r1")
    tempers: dict[str, Temper] = {key: tuple(_moods(chance, heal)) for key in keys_of((plan,))}
    acts = [
        *_bursts(chance, heal),
        *_turned(chance, plan, heal, _other_bounds),
        *ends(chance, heal, chance.choice([0, 0, 1]), ["crash", "sigterm"]),
    ]
    return scenario(seed, chance, "adapting", (plan,), heal=heal, acts=acts, tempers=tempers)


def _moods(chance: random.Random, heal: float) -> typing.Iterator[Mood]:
    """Four in a row: slow with a crowd, well, failing."""
    for part in range(1, 5):
        kind = chance.choice(["crowded", "crowded", "crowded", "good", "slow", "failing", "hanging"])
        share = 1.0 if kind == "crowded" else 0.3
        yield Mood(kind=kind, until=heal * part / 4, share=share, takes=chance.choice([1, 2, 8]), latency=(0.03, 0.06))


def _bursts(chance: random.Random, heal: float) -> list[Act]:
    made: list[Act] = []
    for _ in range(chance.randrange(3, 6)):
        at = chance.uniform(0.0, heal)
        made += [
            Post(at=at + chance.choice([0.0, 0.01]), path="/sim/r1", event=f"e{len(made) + number}")
            for number in range(chance.choice([20, 60]))
        ]
    return made


def _an_adapting_target(chance: random.Random, name: str) -> Target:
    return drawing.a_drawn_target(
        chance,
        "r1",
        name,
        rate_limit=None,
        circuit_breaker={"enabled": chance.random() < 0.2, "open_duration": 0.5, "max_open_duration": 1.0},
        bulkhead=_a_bulkhead(chance),
        queue={"max_bytes": None},
        timeouts={"attempt": chance.choice([0.5, 2.0]), "total": 86400.0},
    )


def _a_bulkhead(chance: random.Random) -> dict[str, object]:
    least = chance.choice([1, 4, 12])
    most = chance.choice([12, 24, 64])
    adaptive = Adaptive(min=least, initial=chance.randrange(least, most + 1), max=most)
    return {"max_concurrent": chance.choice([most, 64]), "adaptive": adaptive}


def _other_bounds(chance: random.Random, target: Target, number: int) -> Target:
    """Other bounds, or none for a while, or another address."""
    if chance.random() < 0.2:
        return msgspec.structs.replace(target, url=f"http://127.0.0.1:9/r1/{target.name}/{number}")
    rule = {"max_concurrent": 10, "adaptive": None} if chance.random() < 0.3 else _a_bulkhead(chance)
    return changed(target, {"policy": {"bulkhead": rule}})


def _turned(chance: random.Random, plan: Plan, heal: float, turn: Turn) -> list[Act]:
    """A few edits of one target each, with a route that is suspended now and then; the last lets everything go."""
    made: list[Act] = []
    for number, at in enumerate(sorted(chance.uniform(0.0, heal) for _ in range(chance.choice([0, 2, 5]))), start=2):
        targets = list(plan.targets)
        place = chance.randrange(len(targets))
        targets[place] = turn(chance, targets[place], number)
        suspend = chance.random() < 0.1
        plan = changed(plan, _adopted(targets, number) | {"suspend": suspend})
        made.append(Adopt(at=at, plan=plan))
    targets = [_let_go(chance, one) for one in plan.targets]
    return [*made, Adopt(at=heal, plan=changed(plan, _adopted(targets, 100) | {"suspend": False}))]


def _adopted(targets: list[Target], number: int) -> dict[str, object]:
    return {"targets": tuple(targets), "generation": number, "revision": f"r1-{number}"}


def _let_go(chance: random.Random, target: Target) -> Target:
    if target.policy.circuit_breaker.mode != "ForcedOpen":
        return target
    return changed(target, {"policy": {"circuit_breaker": {"mode": chance.choice(UNFORCED)}}})
