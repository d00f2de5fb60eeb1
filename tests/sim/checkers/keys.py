"""P17: what comes again under its idempotency key is accepted once, whoever crashes in between.

By the receipts that were given out and by what the targets saw: everything that came under one key is one event of one
journal. A journal in memory knows nothing of those before it.
"""

import collections

from tests.sim.checkers.reading import Reading
from tests.sim.history import Answered, Delivery, Posted, Repeated, Started


def check(reading: Reading) -> list[str]:
    """Every key, and which events there are of it."""
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
    return [
        f"the key {key} was accepted {len(events)} times, as {sorted(events)}"
        for (key, _), events in found.items()
        if len(events) > 1
    ]
