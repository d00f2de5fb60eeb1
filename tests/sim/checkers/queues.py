"""P7 and P8: what a target may keep waiting is bounded, and the event that would be too much is refused beforehand.

What waits is counted from outside: accepted, and neither answered with a yes nor told to be dead. That is never more
than what the engine counts, so an event that is accepted beyond it is one too many. Only bounds that reject are judged,
and only producers that do not wait: a caller hears that its event is accepted when some of it may be over.
"""

import collections

from fanout_crds.plan import Plan
from fanout_dispatcher.telemetry.seam import DeliveryDead
from tests.sim.checkers.reading import Reading, fallback_of
from tests.sim.history import Adopted, Answered, Began, Landed, Posted, Told

Where = tuple[str, str]  # route and target
BOUNDLESS = 1 << 60
EACH = 512  # bytes that whatever waits counts for, besides its body


def check(reading: Reading) -> list[str]:
    """Bytes up and down, target by target."""
    wrong: list[str] = []
    queues = Queues()
    for one in reading.history.log:
        match one:
            case Began():
                queues.waiting.clear()  # what a crash leaves is for the next process to find; it may know of less
            case Adopted(plan=plan):
                queues.adopt(plan)
            case Posted():
                queues.post(one)
            case Answered(receipt=str() as receipt) if not reading.posted[one.event].waits:
                wrong += queues.accept(reading.posted[one.event], receipt)
            case Landed():
                sent = reading.history.sent[one.n]
                if sent.yes:
                    queues.waiting[sent.route, sent.target].pop(sent.event, None)
            case Told(change=DeliveryDead() as dead):
                queues.waiting[dead.route, dead.target].pop(queues.receipts.get(dead.receipt, ""), None)
            case _:
                pass
    return wrong


class Queues:
    """What waits for each target, as far as the outside can know."""

    def __init__(self) -> None:
        self.bounds: dict[Where, int] = {}
        self.waiting: dict[Where, dict[str, int]] = collections.defaultdict(dict)  # event -> bytes
        self.receipts: dict[str, str] = {}
        self.over: dict[str, list[str]] = {}  # event -> why it should be refused

    def adopt(self, plan: Plan) -> None:
        """Take the bounds of a new plan."""
        for target in plan.targets:
            queue = target.policy.queue
            bounded = queue.on_full == "Reject" and queue.max_bytes is not None
            bounded = bounded and not target.static and fallback_of(plan, target.name) is None  # no death is told of it
            self.bounds[plan.key, target.name] = queue.max_bytes or 0 if bounded else BOUNDLESS

    def post(self, posted: Posted) -> None:
        """Note what waits as an event comes in: one event always may."""
        self.over[posted.event] = []
        if posted.key is not None:
            return  # it is judged when its key has been looked up: what waits then, nobody outside can tell
        for target in posted.plan.targets:
            where = posted.plan.key, target.name
            size = sum(self.waiting[where].values())
            if size and size + len(posted.body) + EACH > self.bounds[where]:
                self.over[posted.event].append(f"{size} bytes were waiting for {where[0]} {where[1]}")

    def accept(self, posted: Posted, receipt: str) -> list[str]:
        """It waits too, from now on."""
        self.receipts[receipt] = posted.event
        for target in posted.plan.targets:
            self.waiting[posted.plan.key, target.name][posted.event] = len(posted.body) + EACH
        return [f"{posted.event}: accepted although {why}" for why in self.over[posted.event]]
