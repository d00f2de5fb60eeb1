"""When a batch goes, and of what: pure, for one window of a lane whose target takes many events in one request.

The deliveries at the head of the window go together as soon as they fill a batch, or as soon as more are due than the
window has room for, or when the first of them has waited long enough. Those that are on their way out of the index are
waited for: a backlog leaves in full batches.

What is suspected goes in smaller company. A batch that was rejected is halved until each of its events stands alone, so
that one poisoned event is all that dies. And each attempt that was spent halves the most that go together: where an
event makes the whole request fail in a way that is tried again, its neighbours are rid of it after a few attempts.
"""

import typing

from fanout_crds import plan
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.window import Window
from fanout_dispatcher.policies.gate import NEVER

Write = typing.Callable[[Delivery], bytes | None]  # the event as it goes into the batch; None: it does not go


class Member(typing.NamedTuple):
    """A delivery in a batch, and its event as written there."""

    delivery: Delivery
    written: bytes


class Gathering:
    """One window, gathered into batches by *rule*."""

    __slots__ = ("rule", "since", "window")

    def __init__(self, rule: plan.Batch, window: Window) -> None:
        self.rule = rule
        self.window = window
        self.since: float | None = None  # when what is in the window now began to come in; None: it was empty

    def __repr__(self) -> str:
        return f"<Gathering {self.rule.max_events} of {self.window}>"

    def goes_at(self, now: float) -> float:
        """When the next batch may go; NEVER while only an arrival can tell. Asked when the index has been looked at."""
        window, rule = self.window, self.rule
        if not window.ready:
            self.since = None
            return NEVER
        if self.since is None:
            self.since = now
        first = window.ready[0]
        if first.together or len(window.ready) >= self._most(first) or window.bytes >= rule.max_bytes:
            return now
        if window.pulling:
            return NEVER
        if window.next_due <= now:  # and not being pulled: there is no room for it
            return now
        return max(now, max(first.pending.event.accepted, self.since) + rule.max_wait)

    def take(self, write: Write) -> list[Member]:
        """The next batch, in the order of the window; at least one member, unless *write* keeps all of them back."""
        window, taken = self.window, list[Member]()
        most, size = self.rule.max_events, 1
        while window.ready:
            delivery = window.ready[0]
            most = min(most, self._most(delivery))
            if taken and (len(taken) >= most or delivery.together != taken[0].delivery.together):
                break
            window.take()
            written = write(delivery)
            if written is None:
                continue
            if taken and size + len(written) >= self.rule.max_bytes:
                window.give_back(delivery)
                break
            size += len(written) + 1  # brackets, and a comma after each but the last
            taken.append(Member(delivery, written))
        return taken

    def split(self, batch: list[Member]) -> None:
        """Put back what was rejected together: next it goes by halves, ahead of all others."""
        half = (len(batch) + 1) // 2
        for delivery, _ in reversed(batch):
            delivery.together = half
            self.window.give_back(delivery)

    def _most(self, delivery: Delivery) -> int:
        """How many may go together with this one, itself included."""
        if delivery.pending.course is not None:
            return 1  # accepted when its route still had a graph: what becomes of it is nobody else's affair
        return delivery.together or max(1, self.rule.max_events >> delivery.attempts)
