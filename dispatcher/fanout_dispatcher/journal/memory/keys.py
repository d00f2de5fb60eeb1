"""Idempotency keys of a journal in memory, by key and, in the order of their events, by door."""

from collections.abc import Collection

from fanout_dispatcher.journal.protocol import KeyRow

KEY_BYTES = 512  # what a key takes, generously


class Keys:
    """The rows of `idem`, in dicts."""

    def __init__(self) -> None:
        self._rows: dict[bytes, KeyRow] = {}
        self._doors: dict[int, dict[int, bytes]] = {}  # seq -> key

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, row: KeyRow) -> None:
        """Keep *row* in the place of one with the same key."""
        self._drop(row.key)
        self._rows[row.key] = row
        self._doors.setdefault(row.door, {})[row.seq] = row.key

    def find(self, wanted: Collection[bytes]) -> list[KeyRow]:
        """Those of *wanted* that are kept."""
        return [self._rows[key] for key in wanted if key in self._rows]

    def forget(self, door: int, before: float, limit: int) -> int:
        """Drop the first *limit* of a door as far as they are from before *before*; how many went."""
        first = [key for _, key in zip(range(limit), self._doors.get(door, {}).values(), strict=False)]
        old = [key for key in first if self._rows[key].at < before]
        for key in old:
            self._drop(key)
        return len(old)

    def take_back(self, seqs: Collection[int]) -> None:
        """Drop those of the events *seqs*."""
        for key in [row.key for row in self._rows.values() if row.seq in seqs]:
            self._drop(key)

    def counts(self) -> dict[int, int]:
        """How many each door has."""
        return {door: len(keys) for door, keys in self._doors.items()}

    def _drop(self, key: bytes) -> None:
        row = self._rows.pop(key, None)
        if row is not None:
            door = self._doors[row.door]
            del door[row.seq]
            if not door:
                del self._doors[row.door]
