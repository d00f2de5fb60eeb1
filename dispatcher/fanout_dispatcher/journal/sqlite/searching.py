"""Which dead letters a filter means: by their ids, by their targets, or stretch by stretch through all there are.

A commit waits for a search. So one costs what it finds, or no more than a stretch: a limit alone bounds nothing where
little is found. By id the table's key leads to them; by target its index, which is read merged by number, lane by lane.
With a reason, for which there is no index, or where too many lanes have letters to look into each, the numbers of a
stretch are walked through.
"""

import typing

from fanout_dispatcher.journal.protocol import STRETCH, WHOLE, Stretch
from fanout_dispatcher.journal.sqlite.statements import Statements, numbers
from fanout_dispatcher.values.views import DeadLetterFilter

FEW: typing.Final = 256  # lanes to look into one by one: about a millisecond

Asked = dict[str, typing.Any]


def stretch_of(sql: Statements, wanted: DeadLetterFilter) -> Stretch | None:
    """The numbers to search for *wanted* at once; None when there is nothing left to find."""
    if wanted.ids:
        return WHOLE
    asked = _asked(wanted, WHOLE)
    lanes = _lanes(sql, asked)
    if not lanes:
        return None
    if len(lanes) > FEW:
        first = sql.value("dead_beyond", asked)
    elif wanted.reason is None:
        return WHOLE
    else:
        first = sql.value("dead_of_lanes", asked | {"lanes": numbers(lanes), "limit": 1})
    return None if first is None else (first, first + STRETCH - 1)


def found(sql: Statements, wanted: DeadLetterFilter, stretch: Stretch) -> list[int]:
    """The numbers of the first kept ones that *wanted* means, of *stretch*."""
    asked = _asked(wanted, stretch)
    if wanted.ids:
        rows = sql.rows("dead_named", asked | {"numbers": numbers(int(ident) for ident in wanted.ids)})
    elif wanted.reason is None and len(lanes := _lanes(sql, asked)) <= FEW:
        rows = sql.rows("dead_of_lanes", asked | {"lanes": numbers(lanes)})
    else:
        rows = sql.rows("dead_between", asked)
    return [number for (number,) in rows]


def _asked(wanted: DeadLetterFilter, stretch: Stretch) -> Asked:
    after = 0 if wanted.after is None else int(wanted.after)
    return {
        "after": max(stretch[0] - 1, after),
        "last": stretch[1],
        "route": wanted.route,
        "target": wanted.target,
        "reason": wanted.reason,
        "limit": wanted.limit,
    }


def _lanes(sql: Statements, asked: Asked) -> list[int]:
    """Lanes that are meant and have dead letters: all of them, or one more than a few."""
    return [lane for (lane,) in sql.rows("lanes_of_dead", asked | {"limit": FEW + 1})]
