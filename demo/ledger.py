"""The ledger: what was answered 202 against what the targets received. It believes neither the other.

A delivery is lost when its event was answered 202 and its target never accepted it. One that a target accepted twice
is explained when a kill of the dispatcher lies between the two: the first answer was on its way, or not yet on disk.
"""

import dataclasses
import typing

from demo.targets import OK, Arrival, Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class Balance:
    """How the two sides compare."""

    owed: int  # events answered 202, times targets
    received: int
    lost: tuple[tuple[int, str], ...]  # order, target
    explained: int  # accepted twice, a kill between
    unexplained: tuple[tuple[int, str], ...]


class Ledger:
    """Receipts by order, and when the dispatcher was started again after a kill (monotonic seconds)."""

    def __init__(self) -> None:
        self.receipts: dict[int, str] = {}
        self._restarts: list[float] = []

    def accepted(self, order: int, receipt: str) -> None:
        """Note an answer 202."""
        self.receipts[order] = receipt

    def restarted(self, at: float) -> None:
        """Note a start after a kill: what arrives from now on is of the new process."""
        self._restarts.append(at)

    def orders(self) -> dict[str, int]:
        """Name the order behind each receipt."""
        return {receipt: order for order, receipt in self.receipts.items()}

    def balance(self, targets: typing.Iterable[Target], orders: typing.Collection[int]) -> Balance:
        """Compare both sides for *orders*."""
        explained, lost, unexplained = 0, [], []
        each = list(targets)
        for target in each:
            by_order = _accepted(target)
            for order in orders:
                arrivals = by_order.get(order, [])
                if not arrivals:
                    lost.append((order, target.name))
                elif len(arrivals) > 1 and self._straddles_a_kill(arrivals):
                    explained += 1
                elif len(arrivals) > 1:
                    unexplained.append((order, target.name))
        owed = len(orders) * len(each)
        return Balance(
            owed=owed,
            received=owed - len(lost),
            lost=tuple(lost),
            explained=explained,
            unexplained=tuple(unexplained),
        )

    def _straddles_a_kill(self, arrivals: list[Arrival]) -> bool:
        one_key = len({each.key for each in arrivals}) == 1
        processes = [sum(restart < each.at for restart in self._restarts) for each in arrivals]
        return one_key and len(set(processes)) == len(processes)  # each was sent by another process


def _accepted(target: Target) -> dict[int, list[Arrival]]:
    found: dict[int, list[Arrival]] = {}
    for arrival in target.arrivals:
        if arrival.status == OK:
            found.setdefault(arrival.order, []).append(arrival)
    return found
