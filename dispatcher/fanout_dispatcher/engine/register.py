"""The register of a book: which number each lane and each frozen target list has in its journal.

A number is given out when its name first comes up and is kept for as long as anything refers to it. What nothing
refers to any more is found and dropped by tidy.py. A name that comes up again meanwhile keeps its number: it is written
once more, which brings it back if the journal has just dropped it and changes nothing otherwise.
"""

import heapq

from fanout_dispatcher.engine.committer import Committer
from fanout_dispatcher.journal.protocol import Recovered
from fanout_dispatcher.values.event import Frozen
from fanout_dispatcher.values.graph import Graph

What = tuple[str, int, tuple[str, ...], Graph]  # route, generation, targets and their graph


class Register:
    """Lanes and frozen values by name and by number."""

    def __init__(self, recovered: Recovered, committer: Committer) -> None:
        self.committer = committer
        self.lanes: dict[tuple[str, str], int] = {names: number for number, names in recovered.lanes.items()}
        self.frozen: dict[int, Frozen] = dict(recovered.frozen)
        self.resting: dict[int, float] = dict(recovered.resting)  # only history can refer to these: since when
        self.asked: set[int] = set()  # frozen values that were asked for since tidy.py last began to look
        self.leaving: set[int] = set()  # lanes that the journal is about to drop
        self._by_what: dict[What, int] = {_what(one): number for number, one in recovered.frozen.items()}
        self._last_lane = max(recovered.lanes, default=0)
        self._last_frozen = max(recovered.frozen, default=0)
        self._free = [number for number in range(1, self._last_lane) if number not in recovered.lanes]  # a heap

    def lane(self, route: str, target: str) -> int:
        """The number of a lane; the journal has room for a million, so one that was dropped is given out again."""
        number = self.lanes.get((route, target))
        if number is not None and number not in self.leaving:
            return number
        self.leaving.discard(number or 0)
        if number is None:
            number = self.lanes[route, target] = self._next_lane()
        self.committer.name_lane(number, route, target)
        return number

    def freeze(self, route: str, generation: int, targets: tuple[str, ...], graph: Graph = ()) -> Frozen:
        """The frozen target list for a generation; the same one again while nothing changes."""
        number = self._by_what.get((route, generation, targets, graph))
        if number is not None and number not in self.resting:
            self.asked.add(number)
            return self.frozen[number]
        if number is None:
            number = self._last_frozen = self._last_frozen + 1
            lanes = tuple(self.lanes[route, target] for target in targets)
            frozen = Frozen(
                number=number, route=route, generation=generation, targets=targets, lanes=lanes, graph=graph
            )
            self.frozen[number] = frozen
            self._by_what[_what(frozen)] = number
        self.resting.pop(number, None)
        self.asked.add(number)
        self.committer.freeze(self.frozen[number])
        return self.frozen[number]

    def dropped(self, number: int) -> None:
        """The journal has dropped a frozen value; unless it was asked for meanwhile, it is no more."""
        if self.resting.pop(number, None) is not None:
            del self._by_what[_what(self.frozen.pop(number))]

    def lane_dropped(self, names: tuple[str, str]) -> bool:
        """The journal has dropped a lane; False: it was asked for meanwhile."""
        number = self.lanes[names]
        if number not in self.leaving:
            return False
        self.leaving.discard(number)
        del self.lanes[names]
        heapq.heappush(self._free, number)
        return True

    def _next_lane(self) -> int:
        if self._free:
            return heapq.heappop(self._free)
        self._last_lane += 1
        return self._last_lane


def _what(frozen: Frozen) -> What:
    return frozen.route, frozen.generation, frozen.targets, frozen.graph
