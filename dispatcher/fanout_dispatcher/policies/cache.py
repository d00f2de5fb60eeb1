"""The cache of a process: answers that may be reused, of all routes, in bounded memory. Least recently used goes first.

Each target has a *shelf*. The bytes of one route are bounded, so that it cannot evict what others keep, and so are all
bytes together. An answer is never given out after its time. Nothing is written to disk. A shelf is cleared when its
target becomes another one, and takes nothing from then on.

An entry without an answer says that a key is not worth waiting for: the target's answer to it may not be kept, so
deliveries that waited for each other's answers would go one after the other for nothing.
"""

import typing

import msgspec

from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.desk import LaneMeter

MOST_BYTES: typing.Final = 64 << 20  # of everything
MOST_OF_A_ROUTE: typing.Final = 16 << 20  # of these
OVERHEAD: typing.Final = 512  # bytes that an entry takes besides its key and its answer
_STALE: typing.Final = 2  # old entries looked at for each new one: two, so that stale ones leave faster than new come


class Room(msgspec.Struct, eq=False):
    """What one route keeps, the least recently used first."""

    route: str
    order: "dict[Entry, None]" = msgspec.field(default_factory=dict)
    bytes: int = 0
    shelves: int = 0


class Shelf(msgspec.Struct, eq=False):
    """What one target's answers are, by key."""

    room: Room
    meter: LaneMeter
    entries: "dict[bytes, Entry]" = msgspec.field(default_factory=dict)
    cleared: bool = False


class Entry(msgspec.Struct, eq=False, frozen=True):
    """One answer, good until *until* (engine time, s). ``answer`` None: the key is not worth waiting for."""

    shelf: Shelf
    key: bytes
    answer: Captured | None
    until: float
    size: int


class Cache:
    """All shelves of a process."""

    def __init__(self, most: int = MOST_BYTES, most_of_a_route: int = MOST_OF_A_ROUTE) -> None:
        self.most = most
        self.most_of_a_route = most_of_a_route
        self.bytes = 0
        self.order: dict[Entry, None] = {}  # the least recently used first
        self.rooms: dict[str, Room] = {}

    def __repr__(self) -> str:
        return f"<Cache {len(self.order)} answers, {self.bytes}/{self.most} bytes>"

    def shelf(self, route: str, meter: LaneMeter) -> Shelf:
        """Make an empty shelf for a target of *route*."""
        room = self.rooms.setdefault(route, Room(route))
        room.shelves += 1
        return Shelf(room, meter)

    def get(self, shelf: Shelf, key: bytes, now: float) -> Entry | None:
        """Give the entry of *key*, and note that it was used; None when there is none, or its time has passed."""
        entry = shelf.entries.get(key)
        if entry is None:
            return None
        if entry.until <= now:
            self._remove(entry)
            return None
        for order in (self.order, shelf.room.order):
            del order[entry]
            order[entry] = None
        return entry

    def put(self, shelf: Shelf, key: bytes, answer: Captured | None, until: float, now: float) -> None:
        """Keep *answer* in place of an earlier one, until *until*. One larger than a route's share is not kept."""
        if (before := shelf.entries.get(key)) is not None:
            self._remove(before)
        size = OVERHEAD + len(key) + (0 if answer is None else answer.size)
        if shelf.cleared or until <= now or size > min(self.most, self.most_of_a_route):
            return
        for _ in range(_STALE):
            if (oldest := next(iter(self.order), None)) is not None and oldest.until <= now:
                self._remove(oldest)
        room = shelf.room
        while room.bytes + size > self.most_of_a_route:
            self._evict(next(iter(room.order)))
        while self.bytes + size > self.most:
            self._evict(next(iter(self.order)))
        entry = Entry(shelf, key, answer, until, size)
        shelf.entries[key] = entry
        self.order[entry] = room.order[entry] = None
        self._count(entry, size)

    def clear(self, shelf: Shelf) -> None:
        """Forget what is on a shelf, and let nothing more come there."""
        if shelf.cleared:
            return
        shelf.cleared = True
        for entry in list(shelf.entries.values()):
            self._remove(entry)
        shelf.room.shelves -= 1
        if not shelf.room.shelves:
            del self.rooms[shelf.room.route]

    def expire(self, now: float) -> None:
        """Let go of everything whose time has passed."""
        for entry in [one for one in self.order if one.until <= now]:
            self._remove(entry)

    def _evict(self, entry: Entry) -> None:
        entry.shelf.meter.cache_evictions += 1
        self._remove(entry)

    def _remove(self, entry: Entry) -> None:
        shelf = entry.shelf
        del shelf.entries[entry.key], self.order[entry], shelf.room.order[entry]
        self._count(entry, -entry.size)

    def _count(self, entry: Entry, size: int) -> None:
        self.bytes += size
        entry.shelf.room.bytes += size
        entry.shelf.meter.cache_bytes += size
