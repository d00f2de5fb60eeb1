"""When a caller that waits for targets may be answered: one pure decision.

So many of them have to succeed. As soon as they have, or as soon as that many cannot any more, there is nothing left
to wait for. A target that is held (its circuit open, its route suspended) is lost to the caller at once, though its
delivery is not: it may still come to succeed while others are waited for, and then counts as a success. One that was
skipped because it is not for it is not waited for: as many of the others have to succeed, or all of them.
"""

import collections.abc

from fanout_dispatcher.values.answers import Ending, Heard
from fanout_dispatcher.values.event import State


def judge(heard: collections.abc.Sequence[Heard], quorum: int) -> Ending | None:
    """How the wait ends by what was heard so far; None while it goes on."""
    asked = sum(one.state != State.SKIPPED or one.lost for one in heard)
    needed = min(quorum, asked)
    if sum(one.state == State.DELIVERED for one in heard) >= needed:
        return Ending.ANSWERED
    lost = sum(one.lost for one in heard)
    return Ending.FAILED if asked - lost < needed else None


def too_late(heard: collections.abc.Sequence[Heard], *, partial: bool) -> Ending:
    """How it ends when its time is up; what has arrived is an answer only if there is a success in it."""
    some = any(one.state == State.DELIVERED for one in heard)
    return Ending.PARTIAL if partial and some else Ending.TIMEOUT
