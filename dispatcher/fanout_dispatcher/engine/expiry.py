"""What has passed ``timeouts.total`` while it waited is given up, though nothing was sent.

A lane that may send looks at the clock before each attempt. One that may not (held, circuit open, a time far away)
would keep what has expired for ever: so the engine's sweep comes by, looks at the windows, and at the oldest rows of
the index once the first of them must have expired. A window is in the order in which its deliveries may go, and what is
tried again is not in the order in which it was accepted: so all of it is looked at.
"""

import math
import typing

from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.journal.protocol import Pulled
from fanout_dispatcher.policies.decide import Rules


class Expiry:
    """Looks after the windows and the index of one lane; *give_up* is told each delivery that has expired."""

    __slots__ = ("due", "give_up", "index", "rules", "works")

    def __init__(
        self, rules: Rules, index: Index, works: Works, give_up: typing.Callable[[Delivery, float], None]
    ) -> None:
        self.index = index
        self.works = works
        self.give_up = give_up
        self.follow(rules)

    def follow(self, rules: Rules) -> None:
        """Go by new rules: what did not expire by the old ones may have."""
        self.rules = rules
        self.due = -math.inf  # nothing in the index expires before this

    def sweep(self, now: float) -> None:
        """Once a second."""
        total = self.rules.total
        if not total:
            return
        for window in self.index.windows:
            for one in [one for one in window.ready if one.pending.event.accepted + total <= now]:
                if (delivery := window.pick(one.pending)) is not None:
                    self.give_up(delivery, now)
        if now >= min(self.due, self.index.returned + total) and self.index.searchable():
            self.index.oldest(self._looked)

    def _looked(self, rows: list[Pulled]) -> None:
        now = self.works.clock.now()
        if rows and now >= self.rules.expires(rows[-1].event.accepted):
            self.works.loop.call_soon(self.sweep, now)  # a page of nothing else: there may be more
        for row in rows:
            expires = self.rules.expires(row.event.accepted)
            if now < expires:
                self.due = expires
                return
            self.give_up(self.index.claim(row), now)
