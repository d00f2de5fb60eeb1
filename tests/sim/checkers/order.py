"""P5: deliveries of one key to one target go one at a time, in the order in which their events were accepted.

Whatever happens: retries, lost answers, crashes, dead letters. Seen from the target, the places of what it is asked for
never go back, and nothing is asked for while another one of the key is still in flight. A delivery's place is its
event's; where dead letters hold up their key, a replay has the place of the event that died, and where they are passed
over, that of its own.

Judged where the target kept order all the time, and for events whose producer was told that they are accepted: of
others the outside cannot know the place.
"""

import collections
import itertools

from tests.sim.checkers.reading import Reading, name, target_of
from tests.sim.history import Sent

Where = tuple[str, str]  # route, target


def check(reading: Reading) -> list[str]:
    """Every key of every target that keeps order."""
    kept = {where: holds for where, holds in _ordered(reading).items() if holds is not None}
    keys: dict[tuple[str, str, str, str], list[tuple[int, Sent]]] = collections.defaultdict(list)
    for sent in reading.history.sent:
        holds, posted = kept.get((sent.route, sent.target)), reading.posted.get(sent.event)
        answer = reading.answered.get(sent.event)
        if holds is None or posted is None or not posted.partition or answer is None or answer.delivery is None:
            continue
        journal, seq = sent.delivery
        place = answer.delivery[1] if holds else seq
        keys[journal, sent.route, sent.target, posted.partition].append((place, sent))
    return [why for attempts in keys.values() for why in _judged(attempts)]


def _ordered(reading: Reading) -> dict[Where, bool | None]:
    """Whether dead letters hold, for each target that kept order the same way all the time; None for others."""
    found: dict[Where, set[str | None]] = collections.defaultdict(set)
    for route, plans in reading.plans.items():
        for adopted in plans:
            for target in adopted.plan.targets:
                ordering = target.policy.ordering
                found[route, target.name].add(None if ordering is None else ordering.after_death)
            for before in plans[0].plan.targets:
                if target_of(adopted.plan, before.name) is None:
                    found[route, before.name].add(None)
    return {where: None if None in said or len(said) > 1 else said == {"Block"} for where, said in found.items()}


def _judged(attempts: list[tuple[int, Sent]]) -> list[str]:
    wrong: list[str] = []
    for (place, before), (then, after) in itertools.pairwise(attempts):
        if then < place:
            wrong.append(f"{name(after)}: asked for after {name(before)}, which was accepted later")
        in_flight = before.ended is None or before.ended > after.at
        if then != place and before.life == after.life and in_flight:
            wrong.append(f"{name(after)}: asked for while {name(before)} was in flight")
    return wrong
