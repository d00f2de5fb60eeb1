"""P17: what comes again under its idempotency key is accepted once, whoever crashes in between.

By the receipts that were given out and by what the targets saw: everything that came under one key is one event of one
journal. A journal in memory knows nothing of those before it.

Where callers wait, whoever comes again is told what the first was told, in the same bytes, unless that was of the
moment or a crash came before it was on disk; and a key is in use only while somebody waits under it.
"""

import collections

from tests.sim.checkers.reading import Reading
from tests.sim.history import DURABLE, Answered, Delivery, Posted, Repeated, Served, Started


def check(reading: Reading) -> list[str]:
    """Every key, and which events there are of it; what those who waited were told."""
    keys = {one.event: one.key for one in reading.history.of(Posted) if one.key is not None}
    found: dict[tuple[str, str], set[Delivery]] = collections.defaultdict(set)
    for one in reading.history.log:
        match one:
            case Answered(delivery=(str(), int()) as delivery) | Repeated(delivery=delivery) if one.event in keys:
                found[keys[one.event], delivery[0]].add(delivery)
            case Started():
                sent = reading.history.sent[one.n]
                if sent.event in keys:
                    found[keys[sent.event], sent.delivery[0]].add(sent.delivery)
            case _:
                pass
    wrong = [
        f"the key {key} was accepted {len(events)} times, as {sorted(events)}"
        for (key, _), events in found.items()
        if len(events) > 1
    ]
    served: dict[str, list[Served]] = collections.defaultdict(list)
    for told in reading.history.of(Served):
        if told.event in keys:
            served[keys[told.event]].append(told)
    return wrong + [why for key, some in served.items() for why in _waited(reading, key, some)]


def _waited(reading: Reading, key: str, served: list[Served]) -> list[str]:
    """All who waited under one key, in the order in which they were told."""
    wrong: list[str] = []
    first: Served | None = None
    for one in served:
        if one.reason == "IdempotencyKeyInUse" and not _in_use(reading, key, one, served):
            wrong.append(f"the key {key} was in use at {one.at:.4f}, and nobody was waiting")
        elif one.again and one.written and (first is None or first.written != one.written):
            wrong.append(f"{one.event}: told again at {one.at:.4f} what nobody was told")
        elif one.ended == "Known" and first is not None and _there(reading, first, one):
            wrong.append(
                f"{one.event}: only a receipt at {one.at:.4f}, though {first.event} was told at {first.at:.4f}"
            )
        if one.written and not one.again:
            first = one
    return wrong


def _in_use(reading: Reading, key: str, refused: Served, served: list[Served]) -> bool:
    """Whether somebody of that life had come before and had no answer yet, or none that says what became of the key."""
    over = {one.event for one in served if one.at < refused.at and (one.receipt or one.reason)}
    over |= {one.event for one in reading.history.of(Answered) if one.at < refused.at}
    over |= {one.event for one in reading.history.of(Repeated) if one.at < refused.at}
    return any(
        posted.key == key and posted.life == refused.life and posted.event not in over and posted.event != refused.event
        for posted in reading.history.of(Posted)
        if posted.at <= refused.at
    )


def _there(reading: Reading, told: Served, later: Served) -> bool:
    """Whether what somebody was *told* has to be known still: in the same process, or since it was on disk."""
    if told.life == later.life:
        return True
    answered = reading.answered.get(told.event)
    durable = answered is not None and answered.delivery is not None and answered.delivery[0] == DURABLE
    return durable and any(begun > told.at for begun in reading.commits.get(told.life, ()))
