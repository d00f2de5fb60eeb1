"""When a caller that waits for targets may be answered: one pure decision.

So many of them have to succeed. As soon as they have, or as soon as that many cannot any more, there is nothing left
to wait for. A target that is held (its circuit open, its route suspended) is lost to the caller at once, though its
delivery is not: it may still come to succeed while others are waited for, and then counts as a success. One that was
skipped because it is not for it is not waited for: as many of the others have to succeed, or all of them.
"""

from fanout_dispatcher.values.answers import Ending


def judge(*, succeeded: int, lost: int, asked: int, quorum: int) -> Ending | None:
    """How the wait for those *asked* ends by what was heard so far; None while it goes on."""
    needed = min(quorum, asked)
    if succeeded >= needed:
        return Ending.ANSWERED
    return Ending.FAILED if asked - lost < needed else None


def too_late(*, succeeded: int, partial: bool) -> Ending:
    """How it ends when its time is up; what has arrived is an answer only if there is a success in it."""
    return Ending.PARTIAL if partial and succeeded else Ending.TIMEOUT
