"""Idempotency keys of a journal in memory, by key and, in the order of their events, by door."""

from collections.abc import Collection

import msgspec

from fanout_dispatcher.journal.protocol import AnswerRow, KeyRow

KEY_BYTES = 512  # what a key takes, generously


class Keys:
    """The rows of `idem`, in dicts."""

    def __init__(self) -> None:
        self._rows: dict[bytes, KeyRow] = {}
        self._doors: dict[int, dict[int, bytes]] = {}  # seq -> key
        self.answer_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, row: KeyRow) -> None:
        """Keep *row* in the place of one with the same key."""
        self._drop(row.key)
        self._rows[row.key] = row
        self._doors.setdefault(row.door, {})[row.seq] = row.key

    def answer(self, told: AnswerRow) -> None:
        """Keep what the caller of an event was told, if its key is still there."""
        row = next((row for row in self._rows.values() if row.seq == told.seq), None)
        if row is not None:
            self._set_answer(row, told.answer)

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

    def forget_answers(self, most: int, limit: int) -> int:
        """Drop the oldest answers until all have *most* bytes together; how many went."""
        gone = 0
        for row in sorted((row for row in self._rows.values() if row.answer is not None), key=lambda row: row.seq):
            if self.answer_bytes <= most or gone == limit:
                break
            self._set_answer(row, None)
            gone += 1
        return gone

    def take_back(self, seqs: Collection[int]) -> None:
        """Drop those of the events *seqs*."""
        for key in [row.key for row in self._rows.values() if row.seq in seqs]:
            self._drop(key)

    def counts(self) -> dict[int, int]:
        """How many each door has."""
        return {door: len(keys) for door, keys in self._doors.items()}

    def _set_answer(self, row: KeyRow, answer: bytes | None) -> None:
        self.answer_bytes += len(answer or b"") - len(row.answer or b"")
        self._rows[row.key] = msgspec.structs.replace(row, answer=answer)

    def _drop(self, key: bytes) -> None:
        row = self._rows.pop(key, None)
        if row is not None:
            self.answer_bytes -= len(row.answer or b"")
            door = self._doors[row.door]
            del door[row.seq]
            if not door:
                del self._doors[row.door]
