"""The parts that families of scenarios are put together from: when events come in, and what befalls them meanwhile.

Each draws its times from the span before the world heals; ``scenario`` puts the acts in order.
"""

import random
import typing

import msgspec

from fanout_crds.plan import Plan
from tests.sim import drawing
from tests.sim.scenario import (
    Act,
    Adopt,
    Decide,
    End,
    Jump,
    Latency,
    Post,
    Remove,
    Replay,
    Retire,
    Scenario,
    Temper,
    Trouble,
)

Edit = typing.Callable[[random.Random, Plan, int], Plan]


def scenario(
    seed: int,
    chance: random.Random,
    family: str,
    plans: tuple[Plan, ...],
    *,
    heal: float,
    acts: list[Act],
    tempers: dict[str, Temper] | None = None,
    replay: bool = False,
    embedded: bool = False,
    latency: tuple[float, float] = (0.0001, 0.004),
) -> Scenario:
    """The acts in order, and a temper for each target that has none."""
    moods = tempers or {key: drawing.a_temper(chance, heal) for key in keys_of(plans)}
    return Scenario(
        seed=seed,
        family=family,
        plans=plans,
        tempers=moods,
        acts=tuple(sorted(acts, key=lambda act: act.at)),
        heal=heal,
        embedded=embedded,
        replay=replay,
        latency=latency,
    )


def keys_of(plans: tuple[Plan, ...]) -> list[str]:
    """The keys of all targets that the plans have or may be given, and of who stands behind them."""
    names = [*drawing.STEPS, *drawing.BEHIND] if any(plan.behind for plan in plans) else drawing.NAMES
    return [f"{plan.key} {name}" for plan in plans for name in names]


def some_routes(chance: random.Random, most: int = 3) -> tuple[Plan, ...]:
    """One to *most* routes; now and then one that keeps its events in memory."""
    return tuple(
        drawing.a_route(
            chance,
            f"r{number}",
            targets=chance.randrange(1, 4),
            durability="Memory" if number > 1 and chance.random() < 0.3 else "Journal",
        )
        for number in range(1, chance.randrange(1, most + 1) + 1)
    )


def posts(chance: random.Random, plans: tuple[Plan, ...], heal: float, number: int, *, slow: float = 0.02) -> list[Act]:
    """*number* events, some alone and some in bursts."""
    made: list[Act] = []
    at = 0.0
    while len(made) < number:
        at = chance.uniform(0.0, heal)
        for _ in range(chance.choice([1, 1, 3, 12])):
            path = chance.choice(plans).path
            body = chance.choice([0, 20, 20, 90])
            waits = chance.uniform(0.0, 2.0) if chance.random() < slow else 0.0
            made.append(Post(at=at, path=path, event=f"e{len(made)}", size=body, slow=waits))
            at += chance.choice([0.0, 0.001, 0.01])
    return made


def repeats(chance: random.Random, made: list[Act], heal: float) -> list[Act]:
    """*made*, with each event sent again under its key once to three times: at the same moment, or much later."""
    every: list[Act] = []
    for act in made:
        if not isinstance(act, Post):
            continue
        first = msgspec.structs.replace(act, key=act.event)
        every.append(first)
        for number in range(chance.choice([1, 1, 2, 3])):
            after = chance.choice([0.0, 0.001, 0.01, chance.uniform(0.0, heal)])
            every.append(msgspec.structs.replace(first, at=act.at + after, event=f"{act.event}~{number}"))
    return every


def keyed(chance: random.Random, made: list[Act], *, keys: int) -> list[Act]:
    """The same, nine in ten events with one of so many keys."""
    return [
        msgspec.structs.replace(act, partition=f"k{chance.randrange(keys)}")
        if isinstance(act, Post) and chance.random() < 0.9
        else act
        for act in made
    ]


def ends(chance: random.Random, heal: float, number: int, kinds: list[str]) -> list[Act]:
    """*number* ends of the process."""
    return [
        End(
            at=chance.uniform(0.0, heal),
            how=chance.choice(kinds),
            away=chance.choice([0.01, 0.5, 5.0]),
            patience=chance.choice([0.2, 13.0]),
            jump=chance.choice([0.0, 0.0, 0.0, 3600.0, -3600.0]),
        )
        for _ in range(number)
    ]


def troubles(chance: random.Random, heal: float, number: int) -> list[Act]:
    """Times in which commits fail or take long."""
    made: list[Act] = []
    for _ in range(number):
        at = chance.uniform(0.0, heal)
        made.append(Trouble(at=at, share=chance.choice([0.05, 0.3, 1.0])))
        made.append(Trouble(at=at + chance.uniform(0.1, 3.0), share=0.0))
        if chance.random() < 0.3:
            made.append(Latency(at=at, seconds=(0.01, 0.3)))
    return made


def edits(
    chance: random.Random, plans: tuple[Plan, ...], heal: float, number: int, edited: Edit = drawing.edited
) -> list[Act]:
    """*number* changes of plans; now and then a route is deleted, and mostly made again."""
    made: list[Act] = []
    now = {plan.key: plan for plan in plans}
    for generation, at in enumerate(sorted(chance.uniform(0.0, heal) for _ in range(number)), start=2):
        key = chance.choice(sorted(now))
        if chance.random() < 0.15:
            made.append(Retire(at=at, route=key))
            if chance.random() < 0.7:
                made.append(Adopt(at=at + chance.choice([0.2, 2.0, 40.0]), plan=now[key]))
            continue
        now[key] = edited(chance, now[key], generation)
        made.append(Adopt(at=at, plan=now[key]))
    return made


def letters(chance: random.Random, heal: float, number: int) -> list[Act]:
    """People at work on dead letters."""
    made: list[Act] = []
    for _ in range(number):
        at, limit = chance.uniform(0.3 * heal, heal), chance.choice([1, 5, 100])
        made.append(Remove(at=at, limit=limit) if chance.random() < 0.15 else Replay(at=at, limit=limit))
    return made


def decisions(chance: random.Random, heal: float, number: int) -> list[Act]:
    """People at work on sagas that are stuck."""
    return [
        Decide(
            at=chance.uniform(0.3 * heal, heal),
            deed=chance.choice(["resume", "abandon"]),
            limit=chance.choice([1, 100]),
        )
        for _ in range(number)
    ]


def jumps(chance: random.Random, heal: float, number: int) -> list[Act]:
    """The wall clock is set an hour ahead or back."""
    return [Jump(at=chance.uniform(0.0, heal), seconds=chance.choice([3600.0, -3600.0])) for _ in range(number)]
