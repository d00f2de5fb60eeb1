"""P18: an answer settles another delivery only where it may: the same key, in time, and of the target as it is now.

What a target says in these worlds tells whose question it was an answer to, so that every answer can be traced back.
"""

from fanout_crds.plan import Target
from tests.sim.checkers.reading import Reading, target_at
from tests.sim.history import Posted, Sent, Served

GRAIN = 1e-6


def check(reading: Reading) -> list[str]:
    """Every answer of a target with a cache that a caller heard, and that its event's own attempts did not bring."""
    wrong: list[str] = []
    for served in reading.history.of(Served):
        for hears in served.hears:
            if hears.state != "Delivered" or hears.fallback or hears.body is None:
                continue
            if _own(reading, served.event, hears.target):
                continue
            if not any(one.cache for one in _in_force(reading, reading.posted[served.event], hears.target, served.at)):
                continue
            lent = [one for one in lenders(reading, served.event, hears.target, served.at) if one.life == served.life]
            if not any(_body(one) == hears.body for one in lent):
                wrong.append(f"{served.event} → {hears.target}: told {hears.body!r}, which no answer of its key says")
    return wrong


def lenders(reading: Reading, event: str, target: str, until: float) -> list[Sent]:
    """The attempts whose answers may have settled *event* before *until*."""
    posted = reading.posted[event]
    route = posted.plan.key
    said = [one for one in _in_force(reading, posted, target, until) if one.cache is not None]
    return [
        one
        for (_, name), chain in reading.chains.items()
        if name == target
        for one in chain
        if one.yes
        and one.route == route
        and _key(one.event) == _key(event)
        and (one.ended or 0.0) <= until + GRAIN
        and any(
            asked.url == one.url and asked.cache is not None and posted.at <= one.at + asked.cache.ttl + GRAIN
            for asked in said
        )
    ]


def _in_force(reading: Reading, posted: Posted, target: str, until: float) -> list[Target]:
    """What plans said of the target while the event was there."""
    times = [posted.at, *(one.at for one in reading.plans[posted.plan.key] if posted.at <= one.at <= until)]
    return [one for at in times for one in target_at(reading, posted.plan.key, target, at)]


def _own(reading: Reading, event: str, target: str) -> bool:
    chains = (chain for (_, name), chain in reading.chains.items() if name == target)
    return any(one.event == event and one.yes for chain in chains for one in chain)


def _key(event: str) -> str:
    """What the families' expression makes of an event."""
    return event[:2]


def _body(sent: Sent) -> bytes | None:
    answer = getattr(sent.outcome, "answer", None)
    return None if answer is None else answer.body
