"""Ranks in memory: the twin of the table `rank`. Who is first of a key, and who is after that one has gone."""

import bisect

import msgspec

from fanout_dispatcher.journal.protocol import Rank

Delivery = tuple[int, int]  # lane, seq


class Held(msgspec.Struct):
    """A place in the order of a key; *seq* is of the event that has it now."""

    key: bytes
    place: int
    seq: int
    ready: float


class Ranks:
    """The ranks of all lanes."""

    def __init__(self) -> None:
        self._of: dict[Delivery, Held] = {}
        self._order: dict[tuple[int, bytes], list[Held]] = {}

    def of(self, lane: int, seq: int) -> Held | None:
        """The rank of a delivery or a dead letter."""
        return self._of.get((lane, seq))

    def lanes(self) -> set[int]:
        """Those that have any."""
        return {lane for lane, _ in self._of}

    def add(self, rank: Rank) -> None:
        """One more, behind all others of its key."""
        if (rank.lane, rank.seq) not in self._of:
            held = self._of[rank.lane, rank.seq] = Held(rank.key, rank.seq, rank.seq, rank.ready)
            bisect.insort(self._order.setdefault((rank.lane, rank.key), []), held, key=_place)

    def is_first(self, lane: int, held: Held) -> bool:
        """Nothing of its key is before it."""
        return self._order[lane, held.key][0] is held

    def drop(self, lane: int, seq: int) -> Held | None:
        """It goes; who is first of its key now, if anybody is left."""
        held = self._of.pop((lane, seq), None)
        if held is None:
            return None
        order = self._order[lane, held.key]
        order.remove(held)
        if not order:
            del self._order[lane, held.key]
        return order[0] if order else None

    def move(self, lane: int, seq: int, to: int) -> None:
        """Event *to* takes over the place of event *seq*, if that has one, instead of one of its own."""
        held = self._of.pop((lane, seq), None)
        if held is not None:
            self.drop(lane, to)
            held.seq = to
            self._of[lane, to] = held


def _place(held: Held) -> int:
    return held.place
