"""P9, too: nobody is asked before their delay is over, through crashes and edits.

It runs from when the event was accepted, and by the plan that was in force then: what an edit makes of it later is for
events to come. Of a target that depends on others it runs from when the last of them was through. Whoever replays a
dead letter has said that it is time, so that is not judged, nor what lies across a reboot, where only the wall clock
runs.
"""

from tests.sim.checkers.reading import Chain, Reading, name, target_at, target_of
from tests.sim.history import Answered, Sent

EARLY = 0.0015  # seconds: the grain of timers


def check(reading: Reading) -> list[str]:
    """The first attempt at every delivery of every event whose producer was told that it is accepted."""
    wrong: list[str] = []
    some = delayed(reading)
    for event, answer in reading.answered.items():
        plan = reading.posted[event].plan
        if answer.delivery is None:
            continue
        for target in [one for one in plan.targets if (plan.key, one.name) in some]:
            chain = reading.chains.get((answer.delivery, target.name), [])
            if chain and (early := _early(reading, answer, chain[0])) is not None:
                wrong.append(early)
    return wrong


def _early(reading: Reading, answer: Answered, first: Sent) -> str | None:
    """Why the *first* attempt came too early, if it did."""
    since = reading.posted[first.event].at
    through = _through(reading, (first.delivery, first.target), first)
    begins = max([since, *through])
    if any(since <= at <= first.at for at in reading.reboots):
        return None
    least = min(delays(reading, first.route, first.target, since, first.at if through else answer.at), default=0.0)
    if first.at >= begins + least - EARLY:
        return None
    return f"{name(first)}: {first.at - begins:.4f} s after it could begin, and its delay is {least} s"


def delayed(reading: Reading) -> set[tuple[str, str]]:
    """Route and name of the targets that ever had a delay."""
    plans = [adopted.plan for some in reading.plans.values() for adopted in some]
    return {(plan.key, target.name) for plan in plans for target in plan.targets if target.delay}


def delays(reading: Reading, route: str, target: str, since: float, until: float) -> list[float]:
    """What the delay of a target was meanwhile."""
    said = [one.delay for one in target_at(reading, route, target, since)]
    for adopted in reading.plans.get(route, ()):
        named = target_of(adopted.plan, target)
        if named is not None and since <= adopted.at <= until:
            said.append(named.delay)
    return said


def _through(reading: Reading, chain: Chain, first: Sent) -> list[float]:
    """When those on which its target depends said yes for the last time before, as far as they did."""
    delivery, name = chain
    target = target_of(reading.posted[first.event].plan, name)
    before = () if target is None else target.depends_on
    yes = [one for of in before for one in reading.chains.get((delivery, of), []) if one.yes]
    return [one.ended for one in yes if one.ended is not None and one.ended <= first.at]
