"""Frozen values and lanes that nothing refers to any more: who refers to one, since when it rests, how it goes.

Events and dead letters are looked through in the order of their keys, some rows at a time. There is no index for it: it
would be written twice for every event, and this is asked a few times an hour.
"""

from collections.abc import Collection, Mapping

import msgspec

from fanout_dispatcher.journal.protocol import Place
from fanout_dispatcher.journal.sqlite import coding
from fanout_dispatcher.journal.sqlite.statements import Statements, numbers
from fanout_dispatcher.values.event import Frozen


def referred(sql: Statements, after: Place, limit: int) -> tuple[frozenset[int], Place | None]:
    """Which frozen values the next rows refer to, and where to go on; dead letters come when the events are through."""
    seq, number = after
    last, count, found = sql.rows("frozen_of_events", (seq, limit))[0]
    if count:
        return _numbers(found), (last, number)
    last, count, found = sql.rows("frozen_of_letters", (number, limit))[0]
    return _numbers(found), (seq, last) if count else None


def rest(sql: Statements, known: Mapping[int, Frozen], since: Mapping[int, float | None]) -> None:
    """Write since when some of the *known* values rest; the caller has begun a transaction."""
    values = [
        value
        for number, at in since.items()
        if number in known
        for value in (number, coding.frozen_bytes(known[number], at))
    ]
    sql.put("put_frozen", values, 2)


def drop(sql: Statements, frozen: Collection[int], lanes: Collection[int]) -> list[int]:
    """Drop values and lanes; the lanes that went. The caller has begun a transaction."""
    if frozen:
        sql.among("drop_frozen", frozen)
        sql.among("drop_owed", frozen)
    return sorted(number for (number,) in sql.rows("drop_lanes", (numbers(lanes),)))


def _numbers(found: str) -> frozenset[int]:
    return frozenset(msgspec.json.decode(found, type=list[int]))
