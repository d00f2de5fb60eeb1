"""Journals of workers beyond the number that is asked for: what an earlier start with more of them left behind.

Whoever starts a dispatcher with fewer workers must not have to know what the others still owed. A journal that has
anything in it that somebody could ask for (an event, its history, a dead letter) gets a worker of its own; one that has
nothing is removed, so that the dispatcher ends up with as many processes as it was told. A worker that has nothing but
history will never send anything, since nothing new comes to it: so it has no share in the limits. One that has keys is
sent what comes to their routes, which it owns (see `owners`).
"""

import pathlib
import re
import typing

from fanout_dispatcher import parts
from fanout_dispatcher.journal.sqlite.removing import remove

NAME: typing.Final = re.compile(r"journal-([1-9][0-9]{0,3})\.db")


def left_behind(data: pathlib.Path, workers: int) -> dict[int, bool]:
    """The numbers of workers beyond *workers* whose journals in *data* are not empty, and whether each may send.

    Empty ones go. Raises JournalFault.
    """
    found = (NAME.fullmatch(file.name) for file in data.glob("journal-*.db"))
    beyond = sorted(number for one in found if one is not None and (number := int(one[1])) >= workers)
    left = {number: _look(data, number, workers + len(beyond)) for number in beyond}
    return {number: sends for number, sends in left.items() if sends is not None}


def _look(data: pathlib.Path, worker: int, journals: int) -> bool | None:
    """Whether the journal of *worker* has anything to send; None, and it is removed, when it has nothing at all."""
    journal = parts.journal_of(data, worker, journals)
    recovered = journal.open()
    try:
        sends = any(lane.pending or lane.dead for lane in recovered.backlog.values()) or bool(recovered.keys)
        empty = not sends and not journal.events(None, None, 1)
    finally:
        journal.close()
    if empty:
        remove(journal.path)
    return None if empty else sends
