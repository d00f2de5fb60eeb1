"""Families of scenarios: what kind of trouble a seed brings. A seed alone decides its family and everything else.

Each family stresses some promises and leaves the others in peace, so that a fault is found in few seeds and a failing
seed says by its family where to look.
"""

import random
import typing

import msgspec

from fanout_crds.plan import Budget, Cache, Hedge, Idempotency, Ordering, Plan, Target
from fanout_crds.policy import AfterDeath
from tests.sim import drawing
from tests.sim.modes import adapting, forcing
from tests.sim.scenario import Act, Adopt, Mood, Post, Scenario, Temper
from tests.sim.timelines import (
    decisions,
    edits,
    ends,
    jumps,
    keyed,
    keys_of,
    letters,
    posts,
    repeats,
    scenario,
    some_routes,
    troubles,
)
from tests.support.plans import a_plan, a_target, a_wait, changed

Draw = typing.Callable[[int, random.Random], Scenario]


def draw(seed: int, family: str | None = None) -> Scenario:
    """The scenario of *seed*; of *family* if one is named."""
    chance = random.Random(f"scenario/{seed}")
    drawn = chance.choices(list(FAMILIES), weights=list(WEIGHTS.values()))[0]
    return FAMILIES[family or drawn](seed, random.Random(f"{family or drawn}/{seed}"))


# --- anything goes ----------------------------------------------------------------------------------------------------


def mixed(seed: int, chance: random.Random) -> Scenario:
    """A few routes, targets of every temper, crashes, stops, edits, replays and a disk that fails, all at once."""
    heal = chance.uniform(3.0, 12.0)
    plans = some_routes(chance)
    acts = [
        *posts(chance, plans, heal, chance.randrange(20, 90)),
        *ends(chance, heal, chance.randrange(0, 4), ["crash", "crash", "reboot", "sigterm"]),
        *troubles(chance, heal, chance.choice([0, 0, 2])),
        *edits(chance, plans, heal, chance.choice([0, 1, 4])),
        *letters(chance, heal, chance.choice([0, 1, 3])),
        *jumps(chance, heal, chance.choice([0, 1])),
    ]
    return scenario(seed, chance, "mixed", plans, heal=heal, acts=acts, replay=chance.random() < 0.5)


def embedded(seed: int, chance: random.Random) -> Scenario:
    """The real journal on a disk that fails and forgets: power cuts, failed syncs, no space."""
    heal = chance.uniform(1.0, 4.0)
    plans = some_routes(chance, most=1)
    acts = [
        *posts(chance, plans, heal, chance.randrange(15, 45)),
        *ends(chance, heal, chance.randrange(1, 4), ["power", "power", "reboot", "crash", "sigterm"]),
        *troubles(chance, heal, chance.choice([0, 2])),
        *edits(chance, plans, heal, chance.choice([0, 1])),
        *letters(chance, heal, chance.choice([0, 1])),
        *jumps(chance, heal, chance.choice([0, 1])),
    ]
    return scenario(seed, chance, "embedded", plans, heal=heal, acts=acts, replay=chance.random() < 0.3, embedded=True)


def ailing(seed: int, chance: random.Random) -> Scenario:
    """The disk fails again and again, in every way that a commit can, with a crash now and then."""
    heal = chance.uniform(3.0, 8.0)
    plans = some_routes(chance, most=2)
    acts = [
        *posts(chance, plans, heal, chance.randrange(20, 60)),
        *troubles(chance, heal, chance.randrange(2, 6)),
        *ends(chance, heal, chance.choice([0, 1, 1, 2]), ["crash", "sigterm"]),
    ]
    return scenario(seed, chance, "ailing", plans, heal=heal, acts=acts)


def repeating(seed: int, chance: random.Random) -> Scenario:
    """Producers send everything two to four times under its key, at once and later, while processes and disks fail."""
    heal = chance.uniform(1.0, 5.0)
    rule = Idempotency(ttl=86400.0, max_keys=1_000_000)
    plans = tuple(msgspec.structs.replace(plan, idempotency=rule) for plan in some_routes(chance, most=2))
    acts = [
        *repeats(chance, posts(chance, plans, heal, chance.randrange(10, 30)), heal),
        *ends(chance, heal, chance.randrange(1, 5), ["power", "crash", "crash", "sigterm"]),
        *troubles(chance, heal, chance.choice([0, 0, 1, 2])),
    ]
    return scenario(seed, chance, "repeating", plans, heal=heal, acts=acts, embedded=chance.random() < 0.3)


# --- plans and processes ----------------------------------------------------------------------------------------------


def changing(seed: int, chance: random.Random) -> Scenario:
    """Plans change many times while events come in, some with bodies that take their time."""
    heal = chance.uniform(4.0, 12.0)
    plans = some_routes(chance, most=2)
    acts = [
        *posts(chance, plans, heal, chance.randrange(40, 100), slow=0.3),
        *edits(chance, plans, heal, chance.randrange(4, 14)),
        *ends(chance, heal, chance.choice([0, 0, 1]), ["crash", "sigterm"]),
    ]
    return scenario(seed, chance, "changing", plans, heal=heal, acts=acts)


def stopping(seed: int, chance: random.Random) -> Scenario:
    """SIGTERM again and again, at any moment, some with no time to wait for what is in flight."""
    heal = chance.uniform(2.0, 6.0)
    plans = some_routes(chance, most=2)
    acts = [
        *posts(chance, plans, heal, chance.randrange(30, 70)),
        *ends(chance, heal, chance.randrange(2, 6), ["sigterm"]),
    ]
    latency = chance.choice([(0.0001, 0.004), (0.02, 0.2)])
    return scenario(seed, chance, "stopping", plans, heal=heal, acts=acts, latency=latency)


def breaking(seed: int, chance: random.Random) -> Scenario:
    """Circuits open and close all the time, while answers from before are still on their way."""
    heal = chance.uniform(4.0, 10.0)
    targets = [
        drawing.a_drawn_target(
            chance,
            "r1",
            name,
            circuit_breaker={**drawing.a_breaker(chance), "enabled": True, "open_duration": chance.choice([0.2, 0.5])},
            bulkhead={"max_concurrent": 64},
            queue={"max_bytes": None},
            timeouts={"attempt": chance.choice([0.5, 2.0]), "total": 86400.0},
        )
        for name in ("a", "b")
    ]
    plans = (a_plan(*targets, namespace="sim", name="r1", path="/sim/r1"),)
    kinds = ["late", "late", "failing", "resets", "hanging", "flapping", "poisoned"]
    tempers: dict[str, Temper] = {
        f"sim/r1 {name}": tuple(drawing.a_mood(chance, chance.choice(kinds), heal * part / 3) for part in (1, 2, 3))
        for name in ("a", "b")
    }
    acts = [
        *posts(chance, plans, heal, chance.randrange(50, 100)),
        *edits(chance, plans, heal, chance.choice([0, 0, 2])),
    ]
    return scenario(seed, chance, "breaking", plans, heal=heal, acts=acts, tempers=tempers)


def waiting(seed: int, chance: random.Random) -> Scenario:
    """Callers wait for targets of every temper, with a quorum and a deadline, through ends, edits and a slow disk.

    One in four waits for steps, each of which depends on the one before.
    """
    heal = chance.uniform(3.0, 8.0)
    plans = tuple(_waited_for(chance, plan) for plan in some_routes(chance, most=2))
    stepwise = chance.random() < 0.25
    if stepwise:
        plans = tuple(_stepwise(plan) for plan in plans)
    acts = [
        *(_asked(chance, post) for post in posts(chance, plans, heal, chance.randrange(30, 70), slow=0.0)),
        *(_clipped(act) for act in edits(chance, plans, heal, 0 if stepwise else chance.choice([0, 0, 2]))),
        *troubles(chance, heal, chance.choice([0, 0, 1])),
        *ends(chance, heal, chance.choice([0, 1, 2]), ["crash", "sigterm", "sigterm"]),
    ]
    return scenario(seed, chance, "waiting", plans, heal=heal, acts=acts)


def recalling(seed: int, chance: random.Random) -> Scenario:
    """Callers wait, and come again under their key: meanwhile, afterwards, and after crashes and failing commits."""
    heal = chance.uniform(2.0, 6.0)
    rule = Idempotency(ttl=86400.0, max_keys=1_000_000)
    drawn = (_waited_for(chance, plan) for plan in some_routes(chance, most=2))
    plans = tuple(msgspec.structs.replace(plan, idempotency=rule) for plan in drawn)
    acts = [
        *(_asked(chance, one) for one in repeats(chance, posts(chance, plans, heal, chance.randrange(10, 30)), heal)),
        *ends(chance, heal, chance.choice([0, 1, 2, 3]), ["power", "crash", "crash", "sigterm"]),
        *troubles(chance, heal, chance.choice([0, 0, 1])),
    ]
    return scenario(seed, chance, "recalling", plans, heal=heal, acts=acts, embedded=chance.random() < 0.3)


def caching(seed: int, chance: random.Random) -> Scenario:
    """Callers ask the same again and again of targets with a cache, through open circuits, edits and ends."""
    heal = chance.uniform(3.0, 8.0)
    plans = tuple(_remembered(chance, _waited_for(chance, plan)) for plan in some_routes(chance, most=2))
    acts = [
        *(_asked(chance, post) for post in posts(chance, plans, heal, chance.randrange(40, 90), slow=0.0)),
        *(_clipped(act) for act in edits(chance, plans, heal, chance.choice([0, 1, 4]), _moved)),
        *troubles(chance, heal, chance.choice([0, 0, 1])),
        *ends(chance, heal, chance.choice([0, 0, 1, 2]), ["crash", "sigterm"]),
    ]
    return scenario(seed, chance, "caching", plans, heal=heal, acts=acts)


def _moved(chance: random.Random, plan: Plan, number: int) -> Plan:
    """*plan* after an edit: other addresses more often than not, or no caches and no static answers any more."""
    kind = chance.random()
    if kind < 0.3:
        return drawing.edited(chance, plan, number)
    if kind < 0.5:
        targets = tuple(msgspec.structs.replace(one, cache=None, static=None) for one in plan.targets)
    else:
        targets = tuple(msgspec.structs.replace(one, url=f"{one.url}/{number}") for one in plan.targets)
    return msgspec.structs.replace(plan, targets=targets, generation=number, revision=f"{plan.name}-{number}")


def _remembered(chance: random.Random, plan: Plan) -> Plan:
    """Targets that are waited for have a cache, by two of its letters (checkers/cache.py)."""
    cache = Cache(key_expression="size(data) > 2 ? data.substring(0, 2) : data", ttl=chance.choice([0.3, 2.0, 60.0]))
    targets = tuple(msgspec.structs.replace(one, cache=cache) if one.capture else one for one in plan.targets)
    return msgspec.structs.replace(plan, targets=targets)


def _waited_for(chance: random.Random, plan: Plan) -> Plan:
    names = [one.name for one in plan.targets]
    wanted = tuple(sorted(chance.sample(names, max(1, len(names) - chance.choice([0, 0, 1, 2])))))
    wait = a_wait(
        *wanted,
        quorum=chance.choice([len(wanted), len(wanted), 1]),
        timeout=chance.choice([0.5, 2.0, 10.0]),
        partial=chance.random() < 0.5,
    )
    targets = [msgspec.structs.replace(one, capture=64 if one.name in wanted else 0) for one in plan.targets]
    behind = []
    for place, one in enumerate(targets):
        kind = chance.choice(["", "", "Static", "Target"])
        if one.name not in wanted or not kind:
            continue
        targets[place] = _unbounded(one, static=drawing.STATIC if kind == "Static" else None)
        if kind == "Target":
            instead = drawing.a_fallback(chance, plan.name, one.name)
            behind.append(msgspec.structs.replace(instead, target=_unbounded(instead.target, capture=64)))
    return msgspec.structs.replace(plan, targets=tuple(targets), behind=tuple(behind), respond=wait)


def _stepwise(plan: Plan) -> Plan:
    """Each target of *plan* goes once the one before is through; none is ever too full to take what is freed."""
    targets = [
        _unbounded(one, depends_on=(before.name,) if before is not None else ())
        for before, one in zip((None, *plan.targets), plan.targets, strict=False)
    ]
    return msgspec.structs.replace(plan, targets=tuple(targets))


def _unbounded(target: Target, **changes: object) -> Target:
    """A target whose queue is never full, with *changes*."""
    queue = msgspec.structs.replace(target.policy.queue, max_bytes=None)
    return msgspec.structs.replace(target, policy=msgspec.structs.replace(target.policy, queue=queue), **changes)


def _clipped(act: Act) -> Act:
    """An edit may take a target out that is waited for: fewer are then. One that comes back is captured as before."""
    if not isinstance(act, Adopt) or act.plan.respond is None:
        return act
    wait = act.plan.respond
    left = tuple(one.name for one in act.plan.targets if one.name in wait.wait_for)
    wait = msgspec.structs.replace(wait, wait_for=left, quorum=min(wait.quorum, len(left)))
    there = {"", *(target.name for target in act.plan.targets)}  # what is behind nobody is told at the end
    behind = tuple(one for one in act.plan.behind if one.of in there)
    targets = tuple(msgspec.structs.replace(one, capture=64 if one.name in left else 0) for one in act.plan.targets)
    plan = msgspec.structs.replace(act.plan, targets=targets, respond=wait if left else None, behind=behind)
    return msgspec.structs.replace(act, plan=plan)


def _asked(chance: random.Random, act: Act) -> Act:
    """Most of those who post wait; the others prefer not to."""
    return msgspec.structs.replace(act, waits=True) if isinstance(act, Post) and chance.random() < 0.8 else act


def hedged(seed: int, chance: random.Random) -> Scenario:
    """Targets of every temper that are asked once more while they are slow, with few slots and little to spare.

    In the end each has one slot: whoever has kept one is in the way of all that is still owed.
    """
    heal = chance.uniform(3.0, 8.0)
    storm = chance.random() < 0.3  # everything is slow, and there is next to nothing to pay a hedge with
    targets = [_hedged_target(chance, name, storm=storm) for name in ("a", "b")]
    plan = a_plan(*targets, namespace="sim", name="r1", path="/sim/r1")
    kinds = ["slow", "slow", "slow", "late", "late", "hanging", "failing", "lost", "resets", "rejecting"]
    tempers: dict[str, Temper] = {
        key: (Mood(kind=chance.choice(["slow", "hanging", "late"]), until=heal),)
        if storm
        else tuple(drawing.a_mood(chance, chance.choice(kinds), heal * part / 3) for part in (1, 2, 3))
        for key in keys_of((plan,))
    }
    acts = [
        *posts(chance, (plan,), heal, 200 if storm else chance.randrange(40, 120)),
        *ends(chance, heal, chance.choice([0, 1, 2]), ["crash", "sigterm", "sigterm"]),
        *edits(chance, (plan,), heal, chance.choice([0, 0, 2])),
        Adopt(at=heal * 0.99, plan=changed(plan, {"targets": tuple(map(_narrowed, targets)), "revision": "narrow"})),
    ]
    return scenario(seed, chance, "hedged", (plan,), heal=heal, acts=acts, tempers=tempers)


def _hedged_target(chance: random.Random, name: str, *, storm: bool) -> Target:
    breaker = {**drawing.a_breaker(chance), "open_duration": chance.choice([0.2, 0.5])}
    made = drawing.a_drawn_target(
        chance,
        "r1",
        name,
        hedge=Hedge(delay=chance.choice([0.03, 0.2, 0.6]), max_extra=chance.choice([1, 1, 2, 3])),
        timeouts={"attempt": chance.choice([1.0, 2.5]), "total": chance.choice([3.0, 86400.0, 86400.0])},
        circuit_breaker={**breaker, "enabled": not storm},
    )
    if not storm:
        return made
    poor = {"retry": {"budget": Budget(percent=0, min_retries_per_second=1)}, "bulkhead": {"max_concurrent": 64}}
    return changed(made, {"policy": poor | {"rate_limit": None, "hedge": Hedge(delay=0.03, max_extra=3)}})


def _narrowed(target: Target) -> Target:
    return changed(target, {"policy": {"bulkhead": {"max_concurrent": 1}}})


# --- queues -----------------------------------------------------------------------------------------------------------


def crossing(seed: int, chance: random.Random) -> Scenario:
    """A few deliveries out of step and waits as short as a commit: reads of the index meet writes to it."""
    heal = chance.uniform(3.0, 6.0)
    backoff = chance.choice(
        [
            {"type": "Constant", "base_delay": 0.05, "jitter": "Full"},
            {"type": "Exponential", "base_delay": 0.05, "multiplier": 3.0, "max_delay": 0.3, "jitter": "Full"},
        ]
    )
    retry = {"backoff": backoff, "max_attempts": None}
    target = a_target("a", policy={"retry": retry, "circuit_breaker": {"enabled": False}})
    plans = (a_plan(target, namespace="sim", name="r1", path="/sim/r1"),)
    tempers: dict[str, Temper] = {"sim/r1 a": (Mood(kind="failing", until=heal, share=0.7, latency=(0.0, 0.05)),)}
    acts = [*posts(chance, plans, heal, 60), *ends(chance, heal, chance.choice([0, 0, 1]), ["crash"])]
    return scenario(seed, chance, "crossing", plans, heal=heal, acts=acts, tempers=tempers, latency=(0.001, 0.03))


def backlog(seed: int, chance: random.Random) -> Scenario:
    """More than a window holds: deliveries spill into the index and come back, through crashes and an end."""
    heal = 6.0
    plans = (_backlogged(chance, suspend=chance.random() < 0.3),)
    mood = Mood(kind=chance.choice(["dead", "hanging", "slow"]), until=chance.uniform(1.0, heal))
    tempers: dict[str, Temper] = {"sim/r1 a": (mood,)}
    number = chance.randrange(280, 420)
    acts: list[Act] = [Post(at=chance.uniform(0.0, 0.5), path="/sim/r1", event=f"e{n}", size=20) for n in range(number)]
    acts += ends(chance, heal, chance.choice([0, 1, 2]), ["crash", "sigterm"])
    acts += edits(chance, plans, heal, chance.choice([0, 0, 1]))
    return scenario(seed, chance, "backlog", plans, heal=heal, acts=acts, tempers=tempers)


def _backlogged(chance: random.Random, *, suspend: bool) -> Plan:
    policy = {
        "retry": {
            "max_attempts": None,
            "backoff": {"base_delay": 0.5, "max_delay": 4.0},
            "budget": {"percent": 20, "min_retries_per_second": chance.choice([2, 20])},
        },
        "circuit_breaker": {"open_duration": 1.0, "max_open_duration": 2.0, "enabled": chance.random() < 0.5},
        "bulkhead": {"max_concurrent": chance.choice([8, 64])},
        "timeouts": {"attempt": 2.0},
        "queue": {"max_bytes": chance.choice([None, 110_000])},
    }
    target = a_target("a", url="http://127.0.0.1:9/r1/a", policy=policy)
    return a_plan(target, namespace="sim", name="r1", path="/sim/r1", suspend=suspend)


def dying(seed: int, chance: random.Random) -> Scenario:
    """Deliveries die of every cause and are replayed and removed, while processes crash and routes go."""
    heal = chance.uniform(3.0, 10.0)
    plans = some_routes(chance, most=2)
    kinds = ["rejecting", "failing", "large", "dead", "poisoned"]
    tempers: dict[str, Temper] = {
        key: (drawing.a_mood(chance, chance.choice(kinds), chance.uniform(1.0, heal)),) for key in keys_of(plans)
    }
    acts = [
        *posts(chance, plans, heal, chance.randrange(30, 70)),
        *letters(chance, heal, chance.randrange(2, 6)),
        *ends(chance, heal, chance.choice([0, 1, 3]), ["crash", "sigterm"]),
        *edits(chance, plans, heal, chance.choice([0, 0, 2])),
    ]
    return scenario(seed, chance, "dying", plans, heal=heal, acts=acts, tempers=tempers, replay=True)


# --- clocks and neighbours --------------------------------------------------------------------------------------------


def outage(seed: int, chance: random.Random) -> Scenario:
    """A target is dead for an hour and comes back; the wall clock jumps meanwhile, and machines are restarted."""
    heal = 3600.0
    policy = {
        "timeouts": {"total": chance.choice([1800.0, 86400.0])},
        "retry": {"max_attempts": None, "backoff": {"max_delay": 60.0}},
        "circuit_breaker": {"open_duration": 30.0, "max_open_duration": chance.choice([60.0, 300.0])},
    }
    plan = a_plan(a_target("a", policy=policy), a_target("b"), namespace="sim", name="r1", path="/sim/r1")
    dead = Mood(kind=chance.choice(["dead", "failing", "flapping"]), until=heal - chance.uniform(0.0, 60.0), asks=30)
    acts = [
        *posts(chance, (plan,), heal, chance.randrange(20, 60)),
        *jumps(chance, heal, 2),
        *ends(chance, heal, chance.choice([0, 1, 1, 2]), ["crash", "sigterm"]),
    ]
    tempers: dict[str, Temper] = {"sim/r1 a": (dead,)}
    return scenario(seed, chance, "outage", (plan,), heal=heal, acts=acts, tempers=tempers)


def ordered(seed: int, chance: random.Random) -> Scenario:
    """Targets that keep order by a few keys, one of them poisoned, through crashes, dead letters and replays."""
    heal = chance.uniform(2.0, 8.0)
    embedded = chance.random() < 0.25
    plan = a_plan(
        *(ordered_target(chance, name) for name in ("a", "b")[: chance.randrange(1, 3)]),
        namespace="sim",
        name="r1",
        path="/sim/r1",
    )
    acts = [
        *keyed(chance, posts(chance, (plan,), heal, chance.randrange(30, 90)), keys=chance.choice([1, 3, 10])),
        *ends(chance, heal, chance.randrange(0, 4), ["crash", "crash", "sigterm", *(["power"] if embedded else [])]),
        *troubles(chance, heal, chance.choice([0, 0, 2])),
        *letters(chance, heal, chance.choice([0, 2, 5])),
    ]
    return scenario(seed, chance, "ordered", (plan,), heal=heal, acts=acts, replay=True, embedded=embedded)


def ordered_target(chance: random.Random, name: str) -> Target:
    """What is behind a dead letter has to end by itself, and soon; nothing else may come to its end by waiting."""
    after: AfterDeath = chance.choice(["Block", "Block", "PassOver"])
    total = chance.choice([4.0, 15.0]) if after == "Block" else 3600.0
    return drawing.a_drawn_target(
        chance,
        "r1",
        name,
        ordering=Ordering(key_attribute="partitionkey", after_death=after),
        timeouts={"attempt": chance.choice([0.5, 2.0]), "total": total},
    )


def batched(seed: int, chance: random.Random) -> Scenario:
    """Targets that take batches and reject some for one event in them, through crashes, edits and replays."""
    heal = chance.uniform(2.0, 8.0)
    embedded = chance.random() < 0.25
    targets = [
        drawing.a_drawn_target(chance, "r1", name, batch=drawing.a_batch(chance) if number < 2 else None)
        for number, name in enumerate(("a", "b", "c")[: chance.randrange(1, 4)])
    ]
    plan = a_plan(*targets, namespace="sim", name="r1", path="/sim/r1", revision="r1-1", uid="r1")
    spoilt = Mood(kind="spoilt", until=heal)
    tempers = {key: (spoilt,) if chance.random() < 0.6 else drawing.a_temper(chance, heal) for key in keys_of((plan,))}
    acts = [
        *posts(chance, (plan,), heal, chance.randrange(30, 150)),
        *ends(chance, heal, chance.randrange(0, 4), ["crash", "crash", "sigterm", *(["power"] if embedded else [])]),
        *troubles(chance, heal, chance.choice([0, 0, 1])),
        *edits(chance, (plan,), heal, chance.choice([0, 0, 2])),
        *letters(chance, heal, chance.choice([0, 2])),
    ]
    replay = chance.random() < 0.5
    return scenario(
        seed, chance, "batched", (plan,), heal=heal, acts=acts, tempers=tempers, replay=replay, embedded=embedded
    )


def neighbours(seed: int, chance: random.Random) -> Scenario:
    """One target of three is sick; the twin world, where it is well, says what the others should not notice."""
    heal = 10.0
    policy = {"timeouts": {"attempt": 2.0}}
    targets = [a_target(name, url=f"http://127.0.0.1:9/r1/{name}", policy=policy) for name in ("a", "b", "c")]
    plan = a_plan(*targets, namespace="sim", name="r1", path="/sim/r1")
    kind = chance.choice(["hanging", "slow", "dead", "busy", "resets", "failing", "rejecting"])
    sick = Mood(kind=kind, until=heal, share=chance.choice([0.5, 1.0]), asks=1)
    gap = chance.choice([0.05, 0.1])
    acts: list[Act] = [Post(at=n * gap, path="/sim/r1", event=f"e{n}") for n in range(100)]
    healthy = {"sim/r1 b": (), "sim/r1 c": ()}
    made = scenario(seed, chance, "neighbours", (plan,), heal=heal, acts=acts, tempers={"sim/r1 a": (sick,), **healthy})
    made = msgspec.structs.replace(made, healthy=tuple(healthy))
    return msgspec.structs.replace(made, twin=msgspec.structs.replace(made, tempers=healthy))


def flood(seed: int, chance: random.Random) -> Scenario:
    """Two routes, one of which gets a hundred times as much; in the twin world it gets nothing."""
    heal = 3.0
    policy = {"bulkhead": {"max_concurrent": chance.choice([2, 8])}}
    flooded, quiet = (
        a_plan(a_target("a", policy=policy), namespace="sim", name=name, path=f"/sim/{name}", uid=name)
        for name in ("r1", "r2")
    )
    calm: list[Act] = [Post(at=0.3 + n * 0.25, path="/sim/r2", event=f"q{n}") for n in range(6)]
    storm: list[Act] = [Post(at=0.1 + n * 0.002, path="/sim/r1", event=f"e{n}") for n in range(600)]
    tempers: dict[str, Temper] = {"sim/r1 a": (Mood(kind="slow", until=heal, share=0.1),), "sim/r2 a": ()}
    made = scenario(seed, chance, "flood", (flooded, quiet), heal=heal, acts=calm + storm, tempers=tempers)
    made = msgspec.structs.replace(made, healthy=("sim/r2 a",))
    return msgspec.structs.replace(made, twin=msgspec.structs.replace(made, acts=tuple(calm)))


def sagas(seed: int, chance: random.Random) -> Scenario:
    """A graph with compensations and callbacks: everybody fails, the process dies, people resume and abandon.

    One in four is on the real journal, where the power may fail too; at one in three callers wait for some of it.
    """
    heal = chance.uniform(2.0, 8.0)
    plan = drawing.a_graph(chance, "r1")
    embedded = chance.random() < 0.25
    if chance.random() < 0.33:
        plan = _waited_for_steps(chance, plan)
    plans = (plan,)
    tempers, crashes = None, chance.randrange(0, 5)
    if chance.random() < 0.5:  # all take their time, so that a crash finds many of them under way
        crashes += 2
        drowsy = Mood(kind="good", until=heal, latency=(0.05, 0.6))
        tempers = {
            key: (drowsy,) if chance.random() < 0.7 else drawing.a_temper(chance, heal) for key in keys_of(plans)
        }
    acts = [
        *(_asked(chance, post) for post in posts(chance, plans, heal, chance.randrange(5, 30))),
        *ends(
            chance,
            heal,
            crashes,
            ["crash", "crash", "crash", "reboot", "sigterm", *(["power", "power"] if embedded else [])],
        ),
        *troubles(chance, heal, chance.choice([0, 0, 0, 1])),
        *map(_clipped, edits(chance, plans, heal, chance.choice([0, 0, 1, 3]), drawing.edited_graph)),
        *decisions(chance, heal, chance.choice([1, 4, 8])),
        *letters(chance, heal, chance.choice([0, 0, 1])),
    ]
    replay = chance.random() < 0.3
    return scenario(
        seed, chance, "sagas", plans, heal=heal, acts=acts, tempers=tempers, replay=replay, embedded=embedded
    )


def overlapping(seed: int, chance: random.Random) -> Scenario:
    """Events of a graph wait for a target that is away for longer than its route stays what it was when they came in.

    Steps that they are still to come to are taken out, and forgotten; the route keeps its events elsewhere, and back.
    """
    heal = chance.uniform(35.0, 70.0)
    plan = drawing.a_graph(chance, "r1")
    if chance.random() < 0.5:
        plan = _waited_for_steps(chance, plan)
    plan = msgspec.structs.replace(
        plan,
        targets=tuple(_ungated(one, patient=chance.random() < 0.7) for one in plan.targets),
        behind=tuple(msgspec.structs.replace(one, target=_ungated(one.target)) for one in plan.behind),
    )
    tempers: dict[str, Temper] = {
        key: (drawing.a_mood(chance, chance.choice(["dead", "failing", "hanging"]), heal * chance.uniform(0.5, 1.0)),)
        if key.endswith(" a") or chance.random() < 0.3
        else ()
        for key in keys_of((plan,))
    }
    acts = [
        *(_asked(chance, post) for post in posts(chance, (plan,), heal / 2, chance.randrange(3, 12))),
        *map(_clipped, edits(chance, (plan,), heal / 2, chance.choice([1, 2, 3]), drawing.overlapped)),
        *ends(chance, heal, chance.choice([0, 0, 1, 2]), ["crash", "sigterm"]),
    ]
    return scenario(seed, chance, "overlapping", (plan,), heal=heal, acts=acts, tempers=tempers)


def _ungated(target: Target, *, patient: bool = False) -> Target:
    """A target whose gates hold nothing up: while its route keeps events in two journals, each has gates of its own."""
    policy: dict[str, object] = {
        "retry": {"budget": None, **({"max_attempts": None} if patient else {})},
        "circuit_breaker": {"enabled": False},
        "rate_limit": None,
        "bulkhead": {"max_concurrent": 64},
    }
    return changed(target, {"policy": policy | ({"timeouts": {"total": 3600.0}} if patient else {})})


def _waited_for_steps(chance: random.Random, plan: Plan) -> Plan:
    """Callers wait for some of a graph's targets, and hear what stands in for them."""
    names = [one.name for one in plan.targets]
    wanted = tuple(sorted(chance.sample(names, chance.randrange(1, len(names) + 1))))
    wait = a_wait(
        *wanted,
        quorum=chance.choice([len(wanted), 1]),
        timeout=chance.choice([0.5, 2.0, 10.0]),
        partial=chance.random() < 0.5,
    )
    targets = tuple(msgspec.structs.replace(one, capture=64 if one.name in wanted else 0) for one in plan.targets)
    behind = tuple(
        msgspec.structs.replace(one, target=msgspec.structs.replace(one.target, capture=64))
        if one.role == "Fallback" and one.of in wanted
        else one
        for one in plan.behind
    )
    return msgspec.structs.replace(plan, targets=targets, behind=behind, respond=wait)


FAMILIES: typing.Final[dict[str, Draw]] = {
    "mixed": mixed,
    "embedded": embedded,
    "ailing": ailing,
    "repeating": repeating,
    "changing": changing,
    "stopping": stopping,
    "breaking": breaking,
    "waiting": waiting,
    "recalling": recalling,
    "hedged": hedged,
    "caching": caching,
    "crossing": crossing,
    "backlog": backlog,
    "dying": dying,
    "outage": outage,
    "ordered": ordered,
    "batched": batched,
    "sagas": sagas,
    "overlapping": overlapping,
    "neighbours": neighbours,
    "flood": flood,
    "forcing": forcing,
    "adapting": adapting,
}
WEIGHTS: typing.Final = {
    "mixed": 24,
    "embedded": 12,
    "ailing": 10,
    "repeating": 6,
    "changing": 14,
    "stopping": 10,
    "breaking": 8,
    "waiting": 14,
    "recalling": 6,
    "hedged": 8,
    "caching": 6,
    "crossing": 8,
    "backlog": 5,
    "dying": 12,
    "outage": 3,
    "ordered": 10,
    "batched": 8,
    "sagas": 20,
    "overlapping": 8,
    "neighbours": 4,
    "flood": 2,
    "forcing": 12,
    "adapting": 5,
}
