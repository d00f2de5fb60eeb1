"""The conditions of one event's positions, each asked as its turn comes.

What is asked is frozen with the event, so that a plan that changes meanwhile changes nothing for it. A condition that
has no value for the event decides nothing: why not is kept for the dead letter. What earlier targets answered is at
hand as far as it stands at that moment.
"""

import functools
import typing

from fanout_crds import expressions
from fanout_crds.expressions import Expression, Failed
from fanout_dispatcher.values.earlier import NOTHING_YET, Kept, earlier
from fanout_dispatcher.values.event import Event
from fanout_dispatcher.values.facts import facts


class Conditions:
    """Made for one step of one event, of whose targets *kept* knows; nothing is read until something is asked."""

    __slots__ = ("_event", "_kept", "failed")

    def __init__(self, event: Event, kept: typing.Mapping[int, Kept]) -> None:
        self._event = event
        self._kept = kept
        self.failed: dict[int, str] = {}  # by position: why its condition has no value

    def hold(self, place: int, states: bytes | bytearray) -> bool | None:
        """Whether the condition of a position holds, as the event stands; None: it has no value."""
        event = self._event
        condition = _compiled(event.frozen.graph[place].when or "true")
        try:
            reads = condition.reads
            known = earlier(event.frozen, states, self._kept) if reads.targets != {} else NOTHING_YET
            return condition.value(facts(reads, event.head, event.body, known.read(reads.targets))) is True
        except Failed as why:
            self.failed[place] = f"when: {why}"
            return None


@functools.lru_cache(maxsize=4096)
def _compiled(text: str) -> Expression:
    return expressions.compile(text, expressions.WHEN)
