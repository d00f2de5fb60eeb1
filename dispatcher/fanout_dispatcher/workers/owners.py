"""Who takes the events of a route whose events must all be taken by one: the *owner*, one worker of several.

Order and idempotency keys are kept by the journal, and each worker has one of its own. So a route that keeps either is
*keyed*: whoever reads a request for it hands it on to the owner (`handing`), whose engine takes it as if it were alone,
with the whole of the route's limits. Routes are dealt out among the workers by their names, so that each start deals
alike. Two things come before that: a journal that has keys or an order of the route already makes its worker the owner,
however many workers there were when it came to that; and a route with an outbox is the first worker's, who fetches.

For as long as the dispatcher runs an owner stays the owner, whatever becomes of the route's plan.
"""

import zlib

from fanout_crds.plan import Plan
from fanout_dispatcher.journal.protocol import Recovered
from fanout_dispatcher.values.keyed import door
from fanout_dispatcher.workers.shares import Share

NOBODY = -1  # owns what the board has not told of


def keyed(plan: Plan) -> bool:
    """Whether one worker has to take all events of the route."""
    return plan.idempotency is not None or any(one.policy.ordering is not None for one in plan.everybody)


def keyed_in(recovered: Recovered) -> tuple[int, ...]:
    """The doors (see `values.keyed`) of routes of which a journal has keys, or an order."""
    ranked = {door(recovered.lanes[lane][0]) for lane, backlog in recovered.backlog.items() if backlog.ranked}
    return tuple(sorted(ranked | recovered.keys.keys()))


class Owners:
    """The owners of a dispatcher's routes, as the supervisor deals them out among *workers*."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._found: dict[int, set[int]] = {}
        self._given: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Owners of {len(self._given)} routes>"

    def found(self, worker: int, doors: tuple[int, ...]) -> None:
        """The journal of *worker* has keys or an order of the routes behind *doors*. Said before anything is dealt."""
        for one in doors:
            self._found.setdefault(one, set()).add(worker)

    def of(self, plan: Plan) -> int | None:
        """The owner of the route of *plan*; None where everybody takes its events."""
        if not keyed(plan):
            return None
        if plan.key not in self._given:
            self._given[plan.key] = self._deal(plan)
        return self._given[plan.key]

    def why_not(self, plan: Plan) -> str | None:
        """Say why a keyed plan cannot be carried out; None when it can."""
        owner = self.of(plan)
        if plan.postgres_outbox is None or not owner:
            return None
        return (
            f"spec.sources.postgresOutbox: worker {owner} of this dispatcher has keys or an order of this route in its"
            " journal, and the first worker fetches: run one worker, or give the outbox a route of its own"
        )

    def _deal(self, plan: Plan) -> int:
        usual = 0 if plan.postgres_outbox is not None else zlib.crc32(plan.key.encode()) % self._workers
        found = self._found.get(door(plan.key), {usual})
        return usual if usual in found else min(found)


class Part:
    """What the *worker* with *share* carries out of each plan, and who takes the events of its route."""

    def __init__(self, share: Share, worker: int) -> None:
        self._share = share
        self._worker = worker
        self._owners: dict[str, int] = {}

    def told(self, route: str, owner: int | None) -> None:
        """The board says who owns *route*."""
        if owner is not None:
            self._owners[route] = owner

    def __call__(self, plan: Plan) -> Plan:
        """Give what is carried out of *plan*: all of it by an owner, else a share."""
        if not keyed(plan):
            return self._share(plan)
        return plan if self.owner(plan) is None else self._share.of_another(plan)

    def owner(self, plan: Plan) -> int | None:
        """The other worker that takes the events of *plan*; None: this one does."""
        owner = self._owners.get(plan.key, NOBODY) if keyed(plan) else self._worker
        return None if owner == self._worker else owner
