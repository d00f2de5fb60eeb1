"""Dead letters in memory: the twin of the table `dead`, with its two states, kept and replayed."""

from collections.abc import Collection, Iterator

import msgspec

from fanout_dispatcher.journal.protocol import DeadLetter, DeadRow
from fanout_dispatcher.values.event import Event
from fanout_dispatcher.values.views import DeadLetterFilter


class Letter(msgspec.Struct):
    """One dead letter; *replayed* is the event that took its place, and its bytes."""

    number: int
    row: DeadRow
    event: Event
    replayed: int | None = None


class Letters:
    """All of them, by number and by event."""

    def __init__(self) -> None:
        self._last = 0
        self._by_number: dict[int, Letter] = {}
        self._by_seq: dict[int, dict[int, Letter]] = {}  # seq -> lane -> letter

    def __len__(self) -> int:
        return len(self._by_number)

    def bury(self, row: DeadRow, event: Event) -> bool:
        """Keep a new one; False when it is there already, from a commit that is repeated after a failure."""
        lanes = self._by_seq.setdefault(row.seq, {})
        if row.lane in lanes:
            return False
        self._last += 1
        lanes[row.lane] = self._by_number[self._last] = Letter(self._last, row, event)
        return True

    def kept(self, number: int) -> Letter | None:
        """The one of that number, unless it was replayed or removed."""
        letter = self._by_number.get(number)
        return None if letter is None or letter.replayed is not None else letter

    def all_kept(self) -> list[Letter]:
        """Those that can be replayed, by number."""
        return [letter for letter in self._by_number.values() if letter.replayed is None]

    def all_replayed(self) -> list[Letter]:
        """Those that were, by number."""
        return [letter for letter in self._by_number.values() if letter.replayed is not None]

    def after(self, number: int) -> Iterator[Letter]:
        """Those of a higher number, in any state."""
        return (letter for letter in self._by_number.values() if letter.number > number)

    def of(self, seq: int) -> list[Letter]:
        """Those of one event, by lane."""
        return [letter for _, letter in sorted(self._by_seq.get(seq, {}).items())]

    def remove(self, letter: Letter) -> None:
        """It goes for good."""
        del self._by_number[letter.number]
        lanes = self._by_seq[letter.row.seq]
        del lanes[letter.row.lane]
        if not lanes:
            del self._by_seq[letter.row.seq]

    def find(self, wanted: DeadLetterFilter, lanes: Collection[int]) -> list[DeadLetter]:
        """Those meant, of *lanes*, without bodies."""
        after = 0 if wanted.after is None else int(wanted.after)
        ids = {int(ident) for ident in wanted.ids}
        found = [
            DeadLetter(number=one.number, row=one.row, event=msgspec.structs.replace(one.event, body=b""))
            for one in self.all_kept()
            if one.number > after
            and one.row.lane in lanes
            and (not ids or one.number in ids)
            and wanted.reason in {None, one.row.reason}
        ]
        return found[: wanted.limit]
