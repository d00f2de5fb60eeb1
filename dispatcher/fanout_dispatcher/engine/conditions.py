"""The conditions of one event's positions, each asked as its turn comes.

What is asked is frozen with the event, so that a plan that changes meanwhile changes nothing for it. A condition that
has no value for the event decides nothing: why not is kept for the dead letter.
"""

import functools

from fanout_crds import expressions
from fanout_crds.expressions import Expression, Failed
from fanout_dispatcher.values.event import Event
from fanout_dispatcher.values.facts import facts


class Conditions:
    """Made for one step of one event; nothing is read of it until something is asked."""

    __slots__ = ("_event", "failed")

    def __init__(self, event: Event) -> None:
        self._event = event
        self.failed: dict[int, str] = {}  # by position: why its condition has no value

    def hold(self, place: int) -> bool | None:
        """Whether the condition of a position holds; None: it has no value."""
        event = self._event
        condition = _compiled(event.frozen.graph[place].when or "true")
        try:
            return condition.value(facts(condition.reads, event.head, event.body)) is True
        except Failed as why:
            self.failed[place] = f"when: {why}"
            return None


@functools.lru_cache(maxsize=4096)
def _compiled(text: str) -> Expression:
    return expressions.compile(text, expressions.WHEN)
