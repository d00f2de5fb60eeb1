"""Since when each manifest is as it is. A file may be between two writes: what it lacks then is no evidence.

Pure. A plan source looks at every file again and again; what a file no longer holds counts only when the file was the
same at two looks, `census.CONFIRM` seconds apart.
"""

import typing

from fanout_dispatcher.plans.census import CONFIRM

Mark = tuple[int, int, int]  # inode, size, time of change


class Settling:
    """Remembers the mark of each file and since when it has it."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[Mark, float]] = {}

    def look(self, marks: typing.Mapping[str, Mark], now: float) -> frozenset[str]:
        """Take notice of every file there is; gives those that changed since the last look."""
        changed = frozenset(file for file, mark in marks.items() if self._since.get(file, (None,))[0] != mark)
        self._since = {file: (mark, now) if file in changed else self._since[file] for file, mark in marks.items()}
        return changed

    def wait(self, file: str, now: float) -> float:
        """Give the seconds until what *file* lacks is believed; 0 when it is."""
        return max(0.0, self._since[file][1] + CONFIRM - now) if file in self._since else 0.0

    def __repr__(self) -> str:
        return f"Settling({len(self._since)} files)"
