"""Draws the parts of a scenario: targets with their policies and tempers, plans, and what is edited in them.

Times are short on purpose: a breaker that opens for a second is the same machine as one that opens for a minute, and a
seed costs what its virtual seconds and its attempts cost.
"""

import random

import msgspec

from fanout_crds.plan import Batch, Behind, Plan, RateLimit, Static, Target
from tests.sim.scenario import Mood, Temper
from tests.support.plans import a_plan, a_target

NAMES = ("a", "b", "c", "d")
STEPS = ("a", "b", "c", "d", "e", "f", "g", "h")  # of a graph
BEHIND = (*(f"{name}.{what}" for what in ("compensate", "fallback") for name in STEPS), "finally.x", "finally.y")
STATIC = Static(status=200, headers=(("content-type", "application/json"),), body="[]")
KINDS = (
    *("slow", "late", "failing", "failing", "rejecting", "busy", "busy", "dated", "resets"),
    *("lost", "lost", "lost", "hanging", "dead", "flapping", "poisoned", "large"),
)


def a_route(chance: random.Random, name: str, *, targets: int, durability: str = "Journal") -> Plan:
    """A route ``sim/<name>`` with *targets* targets, each with a policy of its own."""
    made = [a_drawn_target(chance, name, target) for target in NAMES[:targets]]
    return a_plan(
        *made, namespace="sim", name=name, path=f"/sim/{name}", durability=durability, revision=f"{name}-1", uid=name
    )


def a_drawn_target(chance: random.Random, route: str, name: str, **changes: object) -> Target:
    """A target with a drawn policy; *changes* go over it."""
    url = f"http://127.0.0.1:9/{route}/{name}"
    return a_target(name, url=url, policy={**a_policy(chance), **changes})


def a_policy(chance: random.Random) -> dict[str, object]:
    """What differs from the built-in policy."""
    limit = RateLimit(requests=chance.choice([5, 40]), per=chance.choice([0.25, 1.0]), burst=chance.choice([1, 3]))
    return {
        "rate_limit": limit if chance.random() < 0.15 else None,
        "timeouts": {"attempt": chance.choice([0.5, 2.0, 10.0]), "total": chance.choice([15.0, 300.0, 86400.0])},
        "retry": a_retry(chance),
        "circuit_breaker": a_breaker(chance),
        "bulkhead": {"max_concurrent": chance.choice([1, 2, 5, 64, 64])},
        "queue": {
            "max_bytes": chance.choice([None, None, None, 6_000]),
            "on_full": chance.choice(["Reject", "DeadLetter"]),
        },
        "dead_letter": {
            "max_bytes": chance.choice([1 << 30, 1 << 30, 1500]),
            "on_full": chance.choice(["Reject", "DropOldest"]),
        },
    }


def a_batch(chance: random.Random) -> Batch:
    """How many go together."""
    return Batch(
        max_events=chance.choice([2, 5, 8, 100]),
        max_bytes=chance.choice([150, 600, 1 << 20]),
        max_wait=chance.choice([0.0, 0.02, 0.5]),
    )


def a_retry(chance: random.Random) -> dict[str, object]:
    """When and how often; one in eight by a schedule, whose length is also the number of retries."""
    backoff: dict[str, object] = {
        "type": chance.choice(["Constant", "Linear", "Exponential", "Exponential"]),
        "base_delay": chance.choice([0.05, 0.2, 1.0]),
        "max_delay": chance.choice([0.5, 2.0, 8.0]),
        "multiplier": chance.choice([1.5, 2.0, 3.0]),
        "jitter": chance.choice(["None", "Equal", "Full", "Full"]),
    }
    most = chance.choice([None, None, None, 1, 3, 6])
    if chance.random() < 0.12:
        waits = (0.05, 0.4, 0.2, 1.0)
        backoff |= {"type": "Schedule", "schedule": waits, "base_delay": waits[0], "max_delay": max(waits)}
        most = len(waits) + 1
    return {
        "max_attempts": most,
        "backoff": backoff,
        "budget": {"percent": chance.choice([0, 20, 100]), "min_retries_per_second": chance.choice([1, 10])},
        "retry_after": chance.random() < 0.9,
        "retry_after_max": chance.choice([2.0, 3600.0]),
    }


def a_breaker(chance: random.Random) -> dict[str, object]:
    """A circuit breaker; one in seven is switched off."""
    kind = chance.choice(["Time", "Count"])
    return {
        "enabled": chance.random() > 0.15,
        "window": {"type": kind, "size": chance.choice([2.0, 10.0]) if kind == "Time" else chance.choice([10, 40])},
        "minimum_calls": chance.choice([3, 10, 20]),
        "failure_rate_threshold": chance.choice([25, 50, 80]),
        "consecutive_failures": chance.choice([0, 3, 5]),
        "open_duration": chance.choice([0.5, 2.0, 5.0]),
        "max_open_duration": chance.choice([1.0, 4.0, 10.0]),
        "half_open": {
            "max_calls": chance.choice([1, 2, 3]),
            "success_threshold": chance.choice([1, 2, 3]),
            "max_wait": chance.choice([1.0, 5.0]),
        },
    }


def a_graph(chance: random.Random, name: str) -> Plan:
    """A route whose targets depend on earlier ones, some of which can be undone, with callbacks at the end.

    What some of them answer is read by those that come after.
    """
    targets: list[Target] = []
    read = {one for one in STEPS if chance.random() < 0.6}
    many = chance.choice([2, 3, 3, 4, 4, 6, 8])
    for place, target in enumerate(STEPS[:many]):
        after = tuple(one for one in STEPS[:place] if chance.random() < (0.5 if many < 5 else 0.3))
        on_dead = "Continue" if chance.random() < 0.15 else "Fail"
        when = _reading(sorted(read & set(after))) if chance.random() < 0.7 else None
        keep = 64 if target in read else 0
        static = STATIC if chance.random() < 0.1 else None
        targets.append(
            a_step(chance, name, target, depends_on=after, on_dead=on_dead, when=when, keep=keep, static=static)
        )
    behind = [a_fallback(chance, name, one.name) for one in targets if one.static is None and chance.random() < 0.15]
    instead = {one.of for one in behind}
    behind += [
        a_compensation(chance, name, one.name) for one in targets if one.name not in instead and chance.random() < 0.75
    ]
    behind += [
        Behind(role="Final", of="", target=a_step(chance, name, f"finally.{final}", patient=True))
        for final in ("x", "y")[: chance.choice([0, 1, 1, 2])]
    ]
    return a_plan(
        *targets,
        namespace="sim",
        name=name,
        path=f"/sim/{name}",
        revision=f"{name}-1",
        uid=name,
        behind=tuple(behind),
    )


def _reading(names: list[str]) -> str | None:
    """A condition that holds where these targets have answered what they say, with who they are, or another has."""
    parts = (
        f"(targets.{one}.state != 'Delivered' || targets.{one}.fallback || targets.{one}.body.startsWith('{one} '))"
        for one in names
    )
    return " && ".join(parts) or None


def a_fallback(chance: random.Random, route: str, of: str) -> Behind:
    """Who stands in for a target."""
    return Behind(role="Fallback", of=of, target=a_step(chance, route, f"{of}.fallback", patient=True))


def a_compensation(chance: random.Random, route: str, of: str) -> Behind:
    """How a target is undone."""
    return Behind(role="Compensation", of=of, target=a_step(chance, route, f"{of}.compensate", patient=True))


def a_step(chance: random.Random, route: str, name: str, *, patient: bool = False, **changes: object) -> Target:
    """A target of a graph; one behind the targets is *patient*: its attempts are what ends it."""
    made = a_drawn_target(chance, route, name, queue={"max_bytes": None}, dead_letter={"on_full": "Reject"})
    policy = made.policy
    if chance.random() < 0.4:  # what a crash finds under way is given up by the next process
        policy = msgspec.structs.replace(policy, timeouts=msgspec.structs.replace(policy.timeouts, total=2.0))
    if patient:
        retry = msgspec.structs.replace(policy.retry, max_attempts=policy.retry.max_attempts or chance.choice([2, 20]))
        timeouts = msgspec.structs.replace(policy.timeouts, total=0.0)
        policy = msgspec.structs.replace(policy, retry=retry, timeouts=timeouts)
    return msgspec.structs.replace(made, policy=policy, **changes)


def edited_graph(chance: random.Random, plan: Plan, number: int) -> Plan:
    """*plan* after somebody's edit: policies and addresses change, compensations come and go, it is suspended."""
    route, targets, behind = plan.name, list(plan.targets), list(plan.behind)
    what = chance.choice(["policy", "address", "undo", "leaf", "suspend"])
    place = chance.randrange(len(targets))
    old = targets[place]
    if what == "policy":
        targets[place] = msgspec.structs.replace(old, policy=a_step(chance, route, old.name).policy)
    elif what == "address":
        targets[place] = msgspec.structs.replace(old, url=f"http://127.0.0.1:9/{route}/{old.name}/{number}")
    elif what == "undo":
        there = [one for one in behind if one.of == old.name]
        behind = [one for one in behind if one not in there or one.role == "Fallback"]
        behind += [] if there else [a_compensation(chance, route, old.name)]
    elif what == "leaf" and len(targets) > 1:
        last = targets.pop()  # nobody can depend on it
        behind = [one for one in behind if one.of != last.name]
    return msgspec.structs.replace(
        plan,
        targets=tuple(targets),
        behind=tuple(behind),
        suspend=what == "suspend" and chance.random() < 0.7,
        generation=number,
        revision=f"{route}-{number}",
    )


def overlapped(chance: random.Random, plan: Plan, number: int) -> Plan:
    """*plan*, a graph, after an edit that leaves events under way without what they were to go on with.

    Steps are taken out with all that stands behind them, or the events that come from now on are kept elsewhere.
    """
    other = "Memory" if plan.durability == "Journal" else "Journal"
    later = [one.name for one in plan.targets[1:]]
    if not later or chance.random() < 0.4:
        return msgspec.structs.replace(plan, durability=other, generation=number, revision=f"{plan.name}-{number}")
    gone = set(chance.sample(later, chance.randrange(1, len(later) + 1)))
    targets = tuple(
        msgspec.structs.replace(
            one,
            depends_on=tuple(name for name in one.depends_on if name not in gone),
            when=None if any(f"targets.{name}." in (one.when or "") for name in gone) else one.when,
        )
        for one in plan.targets
        if one.name not in gone
    )
    behind = tuple(one for one in plan.behind if one.of not in gone)
    return msgspec.structs.replace(
        plan, targets=targets, behind=behind, generation=number, revision=f"{plan.name}-{number}"
    )


def a_temper(chance: random.Random, heal: float) -> Temper:
    """A target's moods until the world heals."""
    moods: list[Mood] = []
    at = 0.0
    while at < heal:
        at += chance.choice([heal, chance.uniform(0.5, heal)])
        moods.append(a_mood(chance, chance.choice(KINDS), at) if chance.random() < 0.7 else Mood(kind="good", until=at))
    return tuple(moods)


def a_mood(chance: random.Random, kind: str, until: float) -> Mood:
    """One mood of *kind*."""
    share = chance.choice([0.1, 0.5, 1.0]) if kind not in {"flapping", "dead", "poisoned"} else 1.0
    return Mood(kind=kind, until=until, share=share, asks=chance.choice([0, 1, 3]))


def edited(chance: random.Random, plan: Plan, number: int) -> Plan:
    """*plan* after somebody's edit: targets come and go, addresses and policies change, it is suspended or not."""
    targets = list(plan.targets)
    what = chance.choice(["policy", "policy", "address", "remove", "add", "suspend", "same"])
    place = chance.randrange(len(targets))
    route, old = plan.name, targets[place]
    if what == "policy":
        targets[place] = msgspec.structs.replace(old, policy=a_drawn_target(chance, route, old.name).policy)
    elif what == "address":
        targets[place] = msgspec.structs.replace(old, url=f"http://127.0.0.1:9/{route}/{old.name}/{number}")
    elif what == "remove" and len(targets) > 1:
        del targets[place]
    elif what == "add":
        missing = [name for name in NAMES if name not in {one.name for one in targets}]
        targets += [a_drawn_target(chance, route, name) for name in missing[:1]]
    suspend = chance.random() < 0.7 if what == "suspend" else False
    return msgspec.structs.replace(
        plan, targets=tuple(targets), suspend=suspend, generation=number, revision=f"{route}-{number}"
    )


def resumed(plan: Plan, number: int) -> Plan:
    """*plan*, not suspended."""
    return msgspec.structs.replace(plan, suspend=False, generation=number, revision=f"{plan.name}-{number}")
