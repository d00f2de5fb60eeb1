"""The filters of a route: which of its targets an event is for, by their `when`.

Asked once, at acceptance, before anything of the event is written: what a later plan says changes nothing for it. A
filter that has no value for an event must not decide by that who gets it: the delivery becomes a dead letter with the
reason, to be replayed once the manifest or the producer is mended. A route without any filter has no Filters. One that
reads what other targets answered is not asked here: its turn comes later (conditions.py).
"""

import typing

from fanout_crds import expressions
from fanout_crds.expressions import Expression, Failed
from fanout_crds.plan import Plan
from fanout_dispatcher.values.facts import Facts

Judged = typing.Sequence[bool | str]  # for each target: it gets the event, it is skipped, or why its filter failed


class Filters:
    """The filters of one plan, compiled; None for a target that gets every event. What several share is asked once."""

    def __init__(self, filters: tuple[Expression | None, ...]) -> None:
        self._distinct = tuple(dict.fromkeys(one for one in filters if one is not None))
        self._places = tuple(None if one is None else self._distinct.index(one) for one in filters)
        self.reads = expressions.together(one.reads for one in self._distinct)

    def judge(self, known: Facts) -> Judged:
        """Say for each target whether the event is for it."""
        said = [_ask(one, known) for one in self._distinct]
        return [place is None or said[place] for place in self._places]


def filters(plan: Plan) -> Filters | None:
    """Compile the filters of *plan*; None when it has none. Raises Unusable, for its other expressions too."""
    for path, text, scope in plan.expressions():
        try:
            expressions.compile(text, scope)
        except expressions.Unusable as wrong:
            raise expressions.Unusable(f"{path}: {wrong}") from None
    found = tuple(_at_once(target.when) for target in plan.targets)
    return None if found.count(None) == len(found) else Filters(found)


def _at_once(when: str | None) -> Expression | None:
    """Compile a filter that can be asked as the event is accepted."""
    made = None if when is None else expressions.compile(when, expressions.WHEN)
    return made if made is not None and made.reads.targets == {} else None


def _ask(one: Expression, known: Facts) -> bool | str:
    try:
        return known.value(one) is True
    except Failed as why:
        return f"when: {why}"
