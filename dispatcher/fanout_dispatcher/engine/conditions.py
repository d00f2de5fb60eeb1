"""The conditions (`when`) of one event's positions, each evaluated as the position's turn comes.

The text of a condition is frozen with the event, so a later plan changes nothing for it. It can read what earlier
targets have answered by then. One that reads nothing of that was evaluated at acceptance (filters.py); it is evaluated
again only where that result went down with the process. A condition that has no value for the event decides nothing:
the position is given up, and the reason is kept here for its dead letter.
"""

import functools
import typing

from fanout_crds import expressions
from fanout_crds.expressions import Expression, Failed
from fanout_dispatcher.engine.filters import Judged
from fanout_dispatcher.values.earlier import NOTHING_YET, Kept, earlier
from fanout_dispatcher.values.event import Event
from fanout_dispatcher.values.facts import Facts


class Conditions:
    """Made for one step of an event; *kept* has its targets' answers by position. Nothing is parsed before `holds`.

    *judged* is what filters said of the event at acceptance; None: they did not, or it is not known any more.
    """

    __slots__ = ("_event", "_facts", "_judged", "_kept", "failed")

    def __init__(self, event: Event, kept: typing.Mapping[int, Kept], judged: Judged | None) -> None:
        self._event = event
        self._facts: Facts | None = None
        self._kept = kept
        self._judged = judged
        self.failed: dict[int, str] = {}  # by position: why its condition has no value

    def holds(self, place: int, states: bytes | bytearray) -> bool | None:
        """Whether the condition of a position holds, given *states*; None: it has no value."""
        event = self._event
        condition = _compiled(event.frozen.graph[place].when or "true")
        reads = condition.reads
        if self._judged is not None and reads.targets == {}:
            return self._said(place, self._judged[place])
        try:
            known = earlier(event.frozen, states, self._kept) if reads.targets != {} else NOTHING_YET
            if self._facts is None:
                self._facts = Facts(event.head, event.body)
            return condition.value(self._facts.read(reads, known.read(reads.targets))) is True
        except Failed as why:
            self.failed[place] = f"when: {why}"
            return None

    def _said(self, place: int, said: bool | str) -> bool | None:
        """What the filter of a target said at acceptance."""
        if isinstance(said, str):
            self.failed[place] = said
            return None
        return said


@functools.lru_cache(maxsize=4096)
def _compiled(text: str) -> Expression:
    return expressions.compile(text, expressions.WHEN)
