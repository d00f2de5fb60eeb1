"""Dead letters in memory: the twin of the table `dead`, with its two states, kept and replayed."""

import itertools
from collections.abc import Collection, Iterator

import msgspec

from fanout_dispatcher.journal.protocol import STRETCH, WHOLE, DeadLetter, DeadRow, Stretch
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

    def stretch(self, wanted: DeadLetterFilter, lanes: Collection[int]) -> Stretch | None:
        """The numbers to search at once for what is meant, of *lanes*."""
        if wanted.ids:
            return WHOLE
        rows = self._between(_after(wanted), WHOLE[1])
        first = next((one.number for one in rows if one.row.lane in lanes), None)
        if first is None or wanted.reason is None:
            return None if first is None else WHOLE
        return first, first + STRETCH - 1

    def find(self, wanted: DeadLetterFilter, lanes: Collection[int], stretch: Stretch) -> list[DeadLetter]:
        """Those meant, of *lanes* and of *stretch*, without bodies."""
        after, last = max(_after(wanted), stretch[0] - 1), stretch[1]
        found = (
            DeadLetter(number=one.number, row=one.row, event=msgspec.structs.replace(one.event, body=b""))
            for one in (self._named(wanted.ids, after, last) if wanted.ids else self._between(after, last))
            if one.row.lane in lanes and wanted.reason in {None, one.row.reason}
        )
        return list(itertools.islice(found, wanted.limit))

    def _named(self, ids: Collection[str], after: int, last: int) -> Iterator[Letter]:
        letters = (self.kept(number) for number in sorted({int(ident) for ident in ids}) if after < number <= last)
        return (letter for letter in letters if letter is not None)

    def _between(self, after: int, last: int) -> Iterator[Letter]:
        """The kept ones after a number up to another, whichever way there is less to look at."""
        if last - after > len(self._by_number):
            letters = (letter for letter in self._by_number.values() if after < letter.number <= last)
        else:
            numbers = range(after + 1, min(last, self._last) + 1)
            letters = (letter for number in numbers if (letter := self._by_number.get(number)) is not None)
        return (letter for letter in letters if letter.replayed is None)


def _after(wanted: DeadLetterFilter) -> int:
    return 0 if wanted.after is None else int(wanted.after)
