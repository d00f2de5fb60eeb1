"""What a lane has at hand: a bounded window of ready deliveries, and what it knows of its index in the journal.

A lane has two, for the two kinds of delivery: the *fresh*, on which no attempt has been spent yet, and the *tried*.
Each has its own room and its own part of the index, so that neither kind stands in the other's way.

``next_due`` is all that has to be known of the index: the time of its earliest row that is not claimed, NEVER when
there is none. It may be early but never late. So what a pull says is due next is not the whole story: a row that came
back after the pull was asked for was still claimed at that time, and the pull knows nothing of it.
"""

import collections
import math
import typing

from fanout_dispatcher.engine.pending import Delivery, Pending, weight
from fanout_dispatcher.engine.stock import Stock
from fanout_dispatcher.policies.gate import NEVER

SIZE: typing.Final = 256  # deliveries; at most this many bodies per lane wait in memory …
BYTES: typing.Final = 8 << 20  # … and at most so many bytes, of them and of what is kept with them, beyond the first
LOW: typing.Final = 64  # below this the next rows are pulled
LEAST: typing.Final = 8  # deliveries that a window may hold though all windows together hold too much …
LEAST_BYTES: typing.Final = 256 << 10  # … and so many bytes of them, beyond the first
PAGE: typing.Final = 128  # rows that are pulled at a time


class Window:
    """Ready deliveries, the room that is promised to events being committed, and the state of the index."""

    __slots__ = (
        "bytes",
        "claimed",
        "low",
        "meanwhile",
        "next_due",
        "promised",
        "pulling",
        "ready",
        "size",
        "stock",
        "tried",
    )

    def __init__(self, stock: Stock, *, tried: bool = False, indexed: bool) -> None:
        self.stock = stock
        self.tried = tried
        self.ready: collections.deque[Delivery] = collections.deque()
        self.size = SIZE
        self.low = LOW
        self.bytes = 0
        self.promised = 0
        self.claimed: set[int] = set()  # seqs whose due row is in the window or in flight
        self.next_due = -math.inf if indexed else NEVER
        self.pulling = False
        self.meanwhile = NEVER  # the earliest row that was added since the pull was asked for

    def __repr__(self) -> str:
        kind = "tried" if self.tried else "fresh"
        return f"<Window {kind} ready={len(self.ready)} claimed={len(self.claimed)} next_due={self.next_due:.3f}>"

    def room(self, now: float) -> bool:
        """A new delivery may come in here; not while older ones wait in the index (they would be overtaken)."""
        most = self.size if self.stock.roomy else LEAST
        return self.next_due > now and len(self.ready) + self.promised < most and not self._full()

    def fits(self, now: float) -> bool:
        """The same for one that is here already: those to whom room is promised will ask for themselves."""
        most = self.size if self.stock.roomy else LEAST
        return self.next_due > now and len(self.ready) < most and not self._full()

    def widen(self, together: int) -> None:
        """Have room for so many deliveries that go together, and pull rows while there are fewer."""
        self.size, self.low = max(SIZE, together), max(LOW, together)

    def push(self, delivery: Delivery) -> None:
        """Add at the end."""
        pending = delivery.pending
        size = len(pending.event.body) if pending.course is None else weight(pending)
        delivery.weight = size  # until it leaves: more may be kept of its event meanwhile
        self.bytes += size
        self.stock.came(size)
        self.ready.append(delivery)

    def give_back(self, delivery: Delivery) -> None:
        """Put what was just taken back to the front."""
        self.push(delivery)
        self.ready.rotate(1)

    def take_back(self, delivery: Delivery) -> None:
        """Put one that had its slot and was not sent ahead of all that belong to younger events."""
        seq = delivery.pending.event.seq
        before = next((n for n, one in enumerate(self.ready) if one.pending.event.seq > seq), len(self.ready))
        self.push(delivery)
        self.ready.insert(before, self.ready.pop())

    def take(self) -> Delivery:
        """The oldest one."""
        delivery = self.ready.popleft()
        self.bytes -= delivery.weight
        self.stock.went(delivery.weight)
        return delivery

    def pick(self, pending: Pending) -> Delivery | None:
        """Take out the one of that event, if it is here."""
        found = next((one for one in self.ready if one.pending is pending), None)
        if found is not None:
            self.ready.remove(found)
            self.bytes -= found.weight
            self.stock.went(found.weight)
        return found

    def surplus(self) -> Delivery | None:
        """Take out the youngest one, if there are more than a lane needs that may not send."""
        if len(self.ready) <= LEAST:
            return None
        self.ready.rotate(1)
        return self.take()

    def wants(self, now: float) -> bool:
        """Time to pull more rows out of the index."""
        low = self.low if self.stock.roomy else LEAST
        return self.next_due <= now and not self.pulling and len(self.ready) < low and not self._full()

    def _full(self) -> bool:
        return self.bytes >= (BYTES if self.stock.roomy else LEAST_BYTES)

    def page(self) -> int:
        """How many rows to pull at a time."""
        return PAGE if self.stock.roomy else LEAST

    def waits_since(self) -> float:
        """Since when the oldest delivery of its kind that may go has waited; a time that has not come if none does.

        The window's first came out of the index before all that are still there. What `next_due` knows of these only
        as "early" says nothing: the pull that follows does.
        """
        if self.ready:
            first = self.ready[0]
            return first.since or first.pending.event.accepted
        return self.next_due if self.next_due > 0 else NEVER

    def comes_at(self) -> float:
        """When to look again while nothing is ready; never, while rows are being pulled: their arrival tells."""
        return NEVER if self.pulling else self.next_due

    def row_added(self, at: float) -> None:
        """A row that is in the index now, not claimed."""
        self.next_due = min(self.next_due, at)
        self.meanwhile = min(self.meanwhile, at)

    def pull_begins(self) -> None:
        """Rows are asked for, without those that are claimed at this moment."""
        self.pulling = True
        self.meanwhile = NEVER

    def pull_ends(self, next_due: float | None) -> None:
        """They are here; *next_due* is the earliest row that stayed behind, as the pull saw it."""
        self.pulling = False
        self.next_due = min(NEVER if next_due is None else next_due, self.meanwhile)
