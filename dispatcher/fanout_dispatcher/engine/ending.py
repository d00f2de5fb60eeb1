"""Empties a lane whose target or route is gone: every delivery that it still owes is given up, due or not.

A delivery that waits for an earlier one of its key, or for people, is not pulled into a window first. It is read and
given up in one step, so that a target that comes back meanwhile finds the order of the rest as it was.
"""

import functools
import math
import typing

from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.settling import Settling
from fanout_dispatcher.engine.window import Window
from fanout_dispatcher.journal.protocol import BLOCKED, Pulled
from fanout_dispatcher.policies.gate import NEVER
from fanout_dispatcher.values.outcome import Dead, Reason

DUE: typing.Final = math.nextafter(BLOCKED, 0.0)  # later than any time at which a row can be due


class Lane(typing.Protocol):
    """What this asks of a lane; *ending* is why it is to be emptied, None once it is not any more."""

    clock: Clock
    ending: Reason | None
    index: Index
    settling: Settling


def empty(lane: Lane) -> None:
    """Give up what is in the windows, and pull more from the index; the lane is pumped when that has come."""
    for window in lane.index.windows:
        while window.ready:
            _give_up(lane, window.take())
        if window.next_due < BLOCKED and not window.pulling:
            lane.index.pull(window, DUE)
    if _waiting(lane) and lane.index.searchable():
        lane.index.oldest(functools.partial(_looked, lane))


def _waiting(lane: Lane) -> list[Window]:
    """Give the windows whose remaining rows all wait for something other than a time."""
    return [window for window in lane.index.windows if BLOCKED <= window.next_due < NEVER]


def _looked(lane: Lane, rows: list[Pulled]) -> None:
    """Give up the *rows* that were found; where there are none, nothing waits any more."""
    if lane.ending is None:
        return
    for window in () if rows else _waiting(lane):
        window.next_due = NEVER
    for row in rows:
        _give_up(lane, lane.index.claim(row))


def _give_up(lane: Lane, delivery: Delivery) -> None:
    assert lane.ending is not None, f"{lane!r} does not end"
    lane.settling.give_up(delivery, Dead(lane.ending), lane.clock.now())
