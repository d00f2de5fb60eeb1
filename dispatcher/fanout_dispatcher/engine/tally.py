"""A lane's counts: plain integers on the hot path, exported at scrape."""

import bisect
import typing

from fanout_dispatcher.journal.protocol import LETTER, Backlog, DeadRow
from fanout_dispatcher.values.desk import BUCKETS, LaneMeter
from fanout_dispatcher.values.outcome import Dead, Delivered, Failed, Outcome, Refused

NOT_ASKED: typing.Final = ""  # as the last error: none is known, since nobody was asked since the start


class Tally:
    """Counts for one target, beginning with what a restart found in the journal."""

    def __init__(self, route: str, target: str, found: Backlog) -> None:
        self.meter = LaneMeter(
            route=route,
            target=target,
            pending=found.pending,
            pending_bytes=found.pending_bytes,
            stuck=found.stuck,
            dead_letters=found.dead,
        )
        self.dead_bytes = found.dead_bytes
        self.last_error: str | None = NOT_ASKED
        self.reported = -1  # the pending count that the outside was last told of

    def came(self, size: int) -> None:
        """A delivery is owed."""
        self.meter.pending += 1
        self.meter.pending_bytes += size

    def left(self, size: int) -> None:
        """A delivery is settled, or its event was refused after all."""
        self.meter.pending -= 1
        self.meter.pending_bytes -= size

    def landed(self, outcome: Outcome, seconds: float) -> bool:
        """Count an attempt; true when ``last_error`` has come or gone, or is known for the first time."""
        meter = self.meter
        meter.in_flight -= 1
        if type(outcome) is Refused:
            return False  # not an attempt: nobody was asked
        meter.seconds[bisect.bisect_left(BUCKETS, seconds)] += 1
        meter.seconds_sum += seconds
        before = self.last_error
        if type(outcome) is Delivered:
            meter.delivered += 1
            self.last_error = None
        elif type(outcome) is Failed:
            why = str(outcome)
            meter.failed[why] = meter.failed.get(why, 0) + 1
            self.last_error = f"{why}: {outcome.detail}" if outcome.detail else why
        return self.last_error != before

    def took(self, deliveries: int) -> None:
        """So many were delivered by the attempt that has just been counted."""
        self.meter.along += deliveries - 1

    def stuck(self, dead: Dead) -> None:
        """A compensation was given up, and waits for people: the error is why, where no attempt has led to it."""
        self.meter.stuck += 1
        if not self.last_error or not dead.spent:
            self.last_error = f"{dead.reason}: {dead.detail}" if dead.detail else str(dead.reason)

    def died(self, row: DeadRow) -> None:
        """A delivery was given up."""
        self.meter.dead[row.reason] = self.meter.dead.get(row.reason, 0) + 1
        self.meter.dead_letters += 1
        self.dead_bytes += row.size

    def dropped(self, count: int, size: int) -> None:
        """Dead letters that are no longer kept: pruned, removed or replayed."""
        self.meter.dead_letters -= count
        self.dead_bytes -= size

    @property
    def dead_weight(self) -> int:
        """Bytes that its dead letters count for: those of their bodies, and some more for each."""
        return self.dead_bytes + LETTER * self.meter.dead_letters

    def left_behind(self, ranked: bool) -> Backlog:
        """What stays when the lane is forgotten: its dead letters, some of which may be *ranked*."""
        return Backlog(dead=self.meter.dead_letters, dead_bytes=self.dead_bytes, ranked=ranked)
