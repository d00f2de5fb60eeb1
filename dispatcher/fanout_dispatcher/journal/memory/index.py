"""One lane's due rows in memory: by seq, and kind by kind in the order in which they are due."""

import bisect
import heapq
import operator
from collections.abc import Collection, Iterator

from fanout_dispatcher.journal.protocol import DueRow


class LaneIndex:
    """The twin of the tables `due` and `due_at`."""

    def __init__(self) -> None:
        self._rows: dict[int, DueRow] = {}
        self._fresh: list[tuple[float, int]] = []  # (at, seq), sorted
        self._tried: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[DueRow]:
        return iter(self._rows.values())

    def get(self, seq: int) -> DueRow | None:
        """The row of an event."""
        return self._rows.get(seq)

    def put(self, row: DueRow) -> None:
        """Put a row in, or move the one that is there."""
        self.drop(row.seq)
        self._rows[row.seq] = row
        bisect.insort(self._order(row.tried), (row.at, row.seq))

    def drop(self, seq: int) -> None:
        """Take a row out, if there is one."""
        row = self._rows.pop(seq, None)
        if row is not None:
            order = self._order(row.tried)
            del order[bisect.bisect_left(order, (row.at, seq))]

    def by_time(self, tried: bool, skip: Collection[int]) -> Iterator[DueRow]:
        """All rows of a kind but those in *skip*, the first due first."""
        return (self._rows[seq] for _, seq in self._order(tried) if seq not in skip)

    def by_seq(self, skip: Collection[int], limit: int) -> list[DueRow]:
        """The first *limit* rows by seq but for those in *skip*."""
        rows = (row for seq, row in self._rows.items() if seq not in skip)
        return heapq.nsmallest(limit, rows, key=operator.attrgetter("seq"))

    def _order(self, tried: bool) -> list[tuple[float, int]]:
        return self._tried if tried else self._fresh
