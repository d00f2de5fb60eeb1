"""Journals of workers beyond the number that is asked for: what an earlier start with more of them left behind.

Whoever starts a dispatcher with fewer workers must not have to know what the others still owed. A journal that has
anything in it that somebody could ask for (an event, its history, a dead letter) gets a worker of its own; one that has
nothing is removed, so that the dispatcher ends up with as many processes as it was told.
"""

import pathlib
import re
import typing

from fanout_dispatcher import parts
from fanout_dispatcher.journal.protocol import Journal
from fanout_dispatcher.values.views import DeadLetterFilter

NAME: typing.Final = re.compile(r"journal-([1-9][0-9]{0,3})\.db")


def left_behind(data: pathlib.Path, workers: int) -> list[int]:
    """The numbers of workers beyond *workers* whose journals in *data* are not empty. Raises JournalFault.

    Empty ones go. Their lock files stay: without them two processes could lock two files of the same name.
    """
    found = (NAME.fullmatch(file.name) for file in data.glob("journal-*.db"))
    beyond = sorted(number for one in found if one is not None and (number := int(one[1])) >= workers)
    return [number for number in beyond if not _removed(data, number)]


def _removed(data: pathlib.Path, worker: int) -> bool:
    journal = parts.journal_of(data, worker)
    journal.open()
    try:
        empty = _empty(journal)
    finally:
        journal.close()
    if empty:
        for file in data.glob(f"{parts.journal_name(worker)}*"):
            if not file.name.endswith(".lock"):
                file.unlink()
    return empty


def _empty(journal: Journal) -> bool:
    return not journal.events(None, None, 1) and not journal.dead_letters(DeadLetterFilter(limit=1))
