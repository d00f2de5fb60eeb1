"""P9, too: what is due and free to go goes; no delay is counted twice, and nothing is held that nothing has to hold.

Judged by the first attempt at each delivery, while its target is free for sure: its route and the process are there,
fewer are in flight than its bulkhead allows (than an adaptive limit does by what it has learnt), and its circuit does
not hold: it is closed, or was told to hold nothing, whatever state it shows. Where something else may hold (a rate,
an order, a batch, a cache, a graph, a disk that fails or is slow), nothing is judged.
"""

import typing

import msgspec

from fanout_crds.plan import Plan, Target
from fanout_dispatcher.telemetry.seam import CircuitChanged, DeliveryDead
from tests.sim.checkers.adaptive import Limits, Where
from tests.sim.checkers.breaker import mode_of
from tests.sim.checkers.delay import delayed, delays
from tests.sim.checkers.reading import Reading, is_graph
from tests.sim.history import (
    DURABLE,
    Adopted,
    Answered,
    Began,
    Committed,
    Delivery,
    Ended,
    Landed,
    Record,
    Retired,
    Started,
    Stopping,
    Told,
)

LATE = 0.4  # seconds: commits and reads of the index that may come between …
QUICK = 0.05  # … each of which takes no longer


def check(reading: Reading) -> list[str]:
    """Every delivery that was accepted, while it waits for its first attempt."""
    queues = Queues(reading)
    for one in reading.history.log:
        queues.see(one)
    return queues.wrong


class Queue(msgspec.Struct):
    """Deliveries that wait for one target, and since when nothing is in their way."""

    target: Target
    plain: bool  # nothing holds but what is known here
    there: bool = True  # its route, by the newest plan
    hedged: bool = False  # by some plan of this process: a try that failed holds its slot while another is out
    circuit: str = "Closed"
    free: float | None = None
    waiting: dict[Delivery, float] = {}  # when each is due
    cached: float = -1.0  # when it last had a cache: what had come by then may have been told another's answer

    @property
    def holds(self) -> bool:
        """Whether its circuit does."""
        mode = mode_of(self.target.policy.circuit_breaker)
        return mode == "ForcedOpen" or (mode == "Auto" and self.circuit != "Closed")


class Queues:
    """All of them, through everything that happened."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.limits = Limits(reading)
        self.queues: dict[Where, Queue] = {}
        self.over: set[tuple[Delivery, str]] = set()  # asked, or dead
        self.receipts = {one.receipt: one.delivery for one in reading.answered.values() if one.delivery is not None}
        self.delayed = delayed(reading)
        self.slow = {
            one.life for one in reading.history.of(Committed) if one.fault is not None or one.at - one.begun > QUICK
        }
        self.runs = False  # with a disk that is quick
        self.wrong: list[str] = []

    def see(self, one: Record) -> None:
        """What happened next."""
        self.limits.see(one)
        match one:
            case Began():
                self.runs = one.life not in self.slow
                for queue in self.queues.values():
                    queue.circuit, queue.there, queue.hedged = "Closed", False, False
                    queue.waiting = {which: due for which, due in queue.waiting.items() if which[0] == DURABLE}
            case Ended() | Stopping():
                self.runs = False
                self._look(one.at, self.queues)
            case Adopted(plan=plan):
                self._adopt(plan, one.at)
                self._look(one.at, [where for where in self.queues if where[0] == plan.key])
            case Retired(route=route):
                gone = [where for where in self.queues if where[0] == route]
                for where in gone:
                    self.queues[where].there = False
                self._look(one.at, gone)
            case Answered(delivery=(str(), int())):
                self._accept(one)
            case Started() | Landed():
                sent = self.reading.history.sent[one.n]
                self._look(one.at, [(sent.route, sent.target)], gone=sent.delivery)
            case Told():
                self._told(one)
            case _:
                pass

    def _told(self, one: Told) -> None:
        match one.change:
            case CircuitChanged() as change:
                self.queues[change.route, change.target].circuit = change.after
                self._look(one.at, [(change.route, change.target)])
            case DeliveryDead() as dead if (delivery := self.receipts.get(dead.receipt)) is not None:
                self._over((dead.route, dead.target), delivery)
            case _:
                pass

    def _adopt(self, plan: Plan, now: float) -> None:
        for target in plan.everybody:
            policy = target.policy
            special = (policy.rate_limit, policy.ordering, policy.batch, target.cache, target.when)
            plain = not plan.suspend and not is_graph(plan) and not any(special)
            queue = self.queues.setdefault((plan.key, target.name), Queue(target=target, plain=plain))
            if target.cache is not None or queue.target.cache is not None:
                queue.cached = now
                queue.waiting.clear()  # nobody has to be asked for what another was told
            queue.target, queue.plain, queue.there = target, plain, True
            queue.hedged |= policy.hedge is not None
        there = {target.name for target in plan.everybody}
        for (route, name), queue in self.queues.items():
            queue.there = queue.there and (route != plan.key or name in there)

    def _accept(self, answer: Answered) -> None:
        posted, delivery = self.reading.posted[answer.event], typing.cast(Delivery, answer.delivery)
        for target in posted.plan.targets:
            where = posted.plan.key, target.name
            queue = self.queues.get(where)
            told = queue is not None and (queue.target.cache is not None or posted.at <= queue.cached)
            if queue is not None and not told and (delivery, target.name) not in self.over:
                said = delays(self.reading, *where, posted.at, answer.at) if where in self.delayed else []
                queue.waiting[delivery] = answer.at + max(said, default=0.0)

    def _over(self, where: Where, delivery: Delivery) -> None:
        self.over.add((delivery, where[1]))
        self.queues[where].waiting.pop(delivery, None)

    def _look(self, now: float, places: typing.Iterable[Where], gone: Delivery | None = None) -> None:
        """Judge who waits where the target ceases to be free, and *gone*, who waits no more."""
        for where in places:
            queue = self.queues[where]
            free = self._free(where, queue)
            if queue.free is not None:
                judged = [gone] if free else list(queue.waiting)
                self.wrong += [why for one in judged if (why := self._late(where, queue, one, now)) is not None]
            if gone is not None:
                self._over(where, gone)
            queue.free = (now if queue.free is None else queue.free) if free else None

    def _late(self, where: Where, queue: Queue, delivery: Delivery | None, now: float) -> str | None:
        due = None if delivery is None else queue.waiting.get(delivery)
        if delivery is None or due is None or queue.free is None or now <= max(due, queue.free) + LATE:
            return None
        self._over(where, delivery)
        since = f"due since {due:.4f}, with its target free from {queue.free:.4f} on"
        return f"{delivery[1]} → {where[0]} {where[1]}: {since}, and not asked before {now:.4f}"

    def _free(self, where: Where, queue: Queue) -> bool:
        usable = self.runs and queue.there and queue.plain and not queue.hedged and not queue.holds
        return usable and self.limits.flying[where] < self.limits.room(where)
