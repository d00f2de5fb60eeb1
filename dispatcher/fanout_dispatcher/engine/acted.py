"""Whether a target may have acted although no answer says so: what decides if there is anything to undo.

Of a position with a compensation, two bits of its state tell it, and survive a crash. *Started* is set, and committed,
before an attempt is sent, and taken away when it lands. *Unknown* is set where an attempt ended without a clear no, and
stays. Pure: the conductor writes the states that are made here, and has them committed.
"""

import typing

from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Failed, Fault, Outcome, Refused

_NOT_SENT: typing.Final = frozenset(
    {Fault.NAME_FAILURE, Fault.CONNECT_FAILURE, Fault.TLS_FAILURE, Fault.ADDRESS_REFUSED}
)


def landed(state: int, outcome: Outcome) -> int:
    """The state after an attempt ended so, its settling left aside."""
    state &= ~State.STARTED
    return state | State.UNKNOWN if _unclear(outcome) else state


def unknown(state: int, *, flying: bool) -> bool:
    """Whether a target that settles from *state* may have acted.

    If it was started and is not *flying* here, it was in flight when an earlier process ended.
    """
    return bool(state & State.UNKNOWN) or (bool(state & State.STARTED) and not flying)


def _unclear(outcome: Outcome) -> bool:
    """Only a 3xx or 4xx says that it did not act: with a 5xx it may have begun, and a lost answer says nothing."""
    match outcome:
        case Failed(fault=None, status=status):
            return status >= 500
        case Failed(fault=fault):
            return fault not in _NOT_SENT
        case Refused():
            return False
        case _:
            return True
