"""A target's bounds: how much may wait for it, and how much its dead letters may weigh, before events are turned away.

Every lane of a route is asked before anything of an event is written. What is over the bound of a queue that turns
nothing away (``onFull: DeadLetter``) is accepted and is a dead letter from the start; acceptance sees to that.

What waits takes room in the journal beyond its body. A queue that counted bodies alone would never be full of small
events: one dead target would fill the journal, and with it every other route's. So each delivery counts for some more,
and each dead letter.
"""

import typing

from fanout_crds import plan
from fanout_dispatcher.engine.dead import DeadLetters
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.values.answers import Turned

EACH: typing.Final = 512  # bytes that a delivery counts for besides its body: the usual head, and its rows
BUSY: typing.Final = 5  # seconds after which a producer that was turned away may try again
QUEUE_FULL: typing.Final = "what waits for it has reached queue.maxBytes"
DEAD_LETTERS_FULL: typing.Final = "its dead letters have reached deadLetter.maxBytes"


class Bounds:
    """The bounds of one lane. *journal_bytes* is what its journal may hold: a queue gets a quarter of it by default."""

    __slots__ = ("dead", "journal_bytes", "most", "rejects", "tally", "target")

    def __init__(self, target: plan.Target, *, tally: Tally, dead: DeadLetters, journal_bytes: int) -> None:
        self.tally = tally
        self.dead = dead
        self.journal_bytes = journal_bytes
        self.follow(target)

    def follow(self, target: plan.Target) -> None:
        """Take a new plan's bounds."""
        queue = target.policy.queue
        self.target = target
        self.most = self.journal_bytes // 4 if queue.max_bytes is None else queue.max_bytes
        self.rejects = queue.on_full == "Reject"

    def turns_away(self, size: int, events: int = 1) -> Turned | None:
        """Why *events* of *size* bytes in all cannot be owed to this target, if so: the route then answers 503."""
        if self.rejects and self.overfull(size, events):
            return self._turned("QueueFull", QUEUE_FULL)
        if self.tally.meter.dead_letters and self.dead.full(self.target.policy.dead_letter, size, events):
            return self._turned("DeadLettersFull", DEAD_LETTERS_FULL)
        return None

    def overfull(self, size: int, events: int = 1) -> bool:
        """*events* more of *size* bytes in all would be more than the target may keep waiting (one always may)."""
        meter = self.tally.meter
        return meter.pending > 0 and meter.pending_bytes + size + EACH * (meter.pending + events) > self.most

    def _turned(self, reason: str, why: str) -> Turned:
        detail = f"target {self.target.name} cannot take more: {why}; try again later"
        return Turned(status=503, reason=reason, detail=detail, retry_after=BUSY)
