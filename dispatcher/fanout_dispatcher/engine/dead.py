"""A target's dead letters: how a delivery becomes one, and how long they are kept.

Nothing is ever dropped silently: every dead letter is counted, told, and kept with its reason, its attempts and the
original bytes until it is replayed, removed by hand, or older than ``deadLetter.keep``.
"""

import functools
import math
import typing

from fanout_crds import plan
from fanout_dispatcher.engine.book import PRUNE, PRUNE_PAUSE, Book
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.journal.protocol import LETTER, DeadRow, Journal, Pruned
from fanout_dispatcher.telemetry.seam import DeliveryDead
from fanout_dispatcher.values.earlier import earlier, packed
from fanout_dispatcher.values.outcome import Dead


class DeadLetters:
    """The dead letters of one lane. *freed* is called when one is gone that held up others of its key."""

    def __init__(
        self, number: int, *, book: Book, works: Works, tally: Tally, freed: typing.Callable[[], None]
    ) -> None:
        self.number = number
        self.book = book
        self.works = works
        self.tally = tally
        self.freed = freed
        self.in_hand = 0  # letters that people replay or remove: dropped meanwhile, they would be counted twice

    def row(self, delivery: Delivery, dead: Dead, now: float) -> DeadRow:
        """What the journal keeps of a delivery that is given up."""
        pending = delivery.pending
        event, course = pending.event, pending.course
        known = b"" if course is None else packed(earlier(event.frozen, pending.states, course.kept))
        return DeadRow(
            self.number,
            event.seq,
            now,
            dead.reason.value,
            dead.detail,
            delivery.attempts,
            delivery.history,
            len(event.body) + len(known),
            known,
        )

    def mourn(self, row: DeadRow, policy: plan.DeadLetters) -> None:
        """Count it, tell it, and make room where the plan says DropOldest."""
        meter = self.tally.meter
        self.tally.died(row)
        self.works.seam.tell(
            DeliveryDead(
                route=meter.route,
                target=meter.target,
                receipt=self.book.receipts.make(row.seq),
                reason=row.reason,
                detail=row.detail,
                attempts=row.attempts,
            )
        )
        self.works.changed(meter.route)
        self.make_room(policy)

    def make_room(self, policy: plan.DeadLetters) -> None:
        """Drop the oldest beyond the bound, where the plan says DropOldest."""
        if policy.on_full == "DropOldest" and self.tally.dead_weight > policy.max_bytes:
            self.book.committer.once_written(functools.partial(self._prune, -math.inf, policy.max_bytes))

    def full(self, policy: plan.DeadLetters, size: int, events: int) -> bool:
        """No room for *events* more of *size* bytes in all, and none may be made (one always may)."""
        weight = self.tally.dead_weight
        return policy.on_full == "Reject" and weight > 0 and weight + size + LETTER * events > policy.max_bytes

    def prune(self, policy: plan.DeadLetters, now: float) -> None:
        """Drop those that were kept long enough, and make room: the bound may be a new one."""
        self._prune(now - policy.keep, None)
        self.make_room(policy)

    def let_go(self, count: int, why: str) -> None:
        """So many that held up others of their key are gone, and with them their places."""
        passed = self.tally.meter.passed
        passed[why] = passed.get(why, 0) + count
        self.freed()

    def _prune(self, before: float, bound: int | None) -> None:
        """Drop those from before *before*, and the oldest beyond *bound* bytes.

        Some at a time, with pauses: commits go on. Not while people have some in hand: room is made when that is over.
        """
        if self.in_hand:
            return
        number = self.number

        def job(journal: Journal) -> Pruned:
            return journal.prune(number, before, bound, PRUNE)

        self.book.disk.run(job, functools.partial(self._pruned, before, bound))

    def _pruned(self, before: float, bound: int | None, answer: Pruned | Exception) -> None:
        if isinstance(answer, Exception) or not answer[0]:
            return
        count, size, holding = answer
        self.tally.dropped(count, size)
        counts, why = self.tally.meter.dropped, "Keep" if bound is None else "DropOldest"
        counts[why] = counts.get(why, 0) + count
        if holding:
            self.let_go(holding, why)
        self.works.changed(self.tally.meter.route)
        if count == PRUNE:
            self.works.loop.call_later(PRUNE_PAUSE, self._prune, before, bound)
