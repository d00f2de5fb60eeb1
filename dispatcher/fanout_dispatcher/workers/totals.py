"""The counters of all workers together, summed up again whenever one of them tells.

Only what a worker told is summed anew, so a scrape finds sums instead of making them: with thousands of routes that
would hold up the loop. Nothing is stored here that the pictures of the workers do not hold.
"""

import collections.abc
import typing

from fanout_crds.route import Durability
from fanout_dispatcher.values.desk import JournalMeter, LaneMeter, PortMeter, RouteMeter
from fanout_dispatcher.workers import sums
from fanout_dispatcher.workers.messages import LaneKey
from fanout_dispatcher.workers.picture import Changed, Picture

Key = typing.TypeVar("Key")
Meter = typing.TypeVar("Meter", LaneMeter, RouteMeter, JournalMeter)


class Totals:
    """The sums of *pictures*, one per worker."""

    def __init__(self, pictures: collections.abc.Sequence[Picture]) -> None:
        self._pictures = pictures
        self.port = PortMeter()
        self.lanes: dict[LaneKey, LaneMeter] = {}
        self.doors: dict[str, RouteMeter] = {}

    def count(self, changed: Changed) -> None:
        """Sum up what *changed* in one of the pictures."""
        for lane in changed.lanes:
            _sum_up(self.lanes, lane, (picture.lane(lane) for picture in self._pictures))
        for door in changed.doors:
            _sum_up(self.doors, door, (picture.door(door) for picture in self._pictures))
        port = sums.total([picture.port() for picture in self._pictures])
        for name in port.__struct_fields__:  # the same meter stays: whoever exports it has it
            setattr(self.port, name, getattr(port, name))

    def journals(self) -> dict[str, JournalMeter]:
        """By the durability whose events each keeps."""
        summed: dict[str, JournalMeter] = {}
        for durability in typing.get_args(Durability):
            _sum_up(summed, durability, (picture.journal(durability) for picture in self._pictures))
        return summed


def _sum_up(totals: dict[Key, Meter], key: Key, meters: typing.Iterable[Meter | None]) -> None:
    there = [one for one in meters if one is not None]
    if there:
        totals[key] = sums.total(there)
    else:
        totals.pop(key, None)
