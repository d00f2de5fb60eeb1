"""One worker takes all events of a route with keys or an order, and it is the one that has them in its journal."""

import pytest

from fanout_crds.plan import Idempotency, Ordering, Plan, PostgresOutbox
from fanout_crds.sources import Columns
from fanout_dispatcher.journal.protocol import Backlog, Recovered
from fanout_dispatcher.values.keyed import door
from fanout_dispatcher.workers.owners import NOBODY, Owners, Part, keyed, keyed_in
from fanout_dispatcher.workers.shares import Share
from tests.support.plans import a_plan, a_target

KEYS = Idempotency(ttl=1.0, max_keys=1)
ORDER = {"ordering": Ordering(key_attribute="subject", after_death="Block")}
OUTBOX = PostgresOutbox(
    url="url",
    ca=None,
    address=None,
    private=True,
    held=None,
    held_message=None,
    table="outbox",
    columns=Columns(),
    after_taking="Delete",
    batch_size=100,
    poll_interval=1.0,
    channel=None,
)


def with_keys(name: str = "order-placed", **changes: object) -> Plan:
    return a_plan(name=name, idempotency=KEYS, **changes)


def test_a_route_is_keyed_that_has_idempotency_or_keeps_order_at_any_target() -> None:
    assert keyed(with_keys())
    assert keyed(a_plan("a", a_target("b", policy=ORDER)))
    assert not keyed(a_plan("a", a_target("b")))


def test_each_start_deals_alike_and_every_worker_has_its_part() -> None:
    plans = [with_keys(f"r{number}") for number in range(400)]

    first, again = ([owners.of(plan) for plan in plans] for owners in (Owners(4), Owners(4)))

    assert first == again
    assert {owner: first.count(owner) > 50 for owner in first} == dict.fromkeys(range(4), True)
    assert Owners(4).of(a_plan()) is None


@pytest.mark.parametrize("worker", [0, 1, 7])
def test_whoever_has_keys_of_a_route_in_its_journal_owns_it_however_many_workers_there_are(worker: int) -> None:
    owners = Owners(2)
    owners.found(worker, (door("shop/order-placed"),))

    assert owners.of(with_keys()) == worker


def test_of_two_that_have_some_the_one_whom_the_name_gives_it_to_stays_the_owner() -> None:
    owners = Owners(2)
    usual = owners.of(with_keys())
    for worker in (0, 1):
        owners.found(worker, (door("shop/order-placed"), door("shop/other")))
    late = Owners(1)
    late.found(3, (door("shop/order-placed"),))
    late.found(2, (door("shop/order-placed"),))

    assert owners.of(with_keys()) == usual
    assert late.of(with_keys()) == 2


def test_a_route_with_an_outbox_is_the_first_workers_and_refused_where_it_cannot_be() -> None:
    fresh, late = Owners(2), Owners(2)
    late.found(1, (door("shop/order-placed"),))
    plan = with_keys(postgres_outbox=OUTBOX)

    assert (fresh.of(plan), fresh.why_not(plan)) == (0, None)
    assert (late.of(plan), late.why_not(with_keys())) == (1, None)
    assert (late.why_not(plan) or "").startswith("spec.sources.postgresOutbox: worker 1 of this dispatcher has keys")


def test_an_owner_stays_whatever_becomes_of_its_plan() -> None:
    owners = Owners(2)
    before = owners.of(with_keys(postgres_outbox=OUTBOX))
    unkeyed = owners.of(a_plan())

    assert (before, unkeyed, owners.of(with_keys())) == (0, None, 0)


def test_what_a_journal_says_of_keys_and_order_is_by_route() -> None:
    found = Recovered(
        key=b"",
        last_seq=1,
        now=0.0,
        lanes={1: ("shop/a", "x"), 2: ("shop/b", "x")},
        frozen={},
        plans={},
        backlog={1: Backlog(pending=1, ranked=True), 2: Backlog(pending=1)},
        keys={door("shop/c"): 3},
    )

    assert set(keyed_in(found)) == {door("shop/a"), door("shop/c")}


def test_an_owner_runs_all_of_its_plan_and_the_others_their_part_of_what_is_left() -> None:
    plan = with_keys()
    plain = a_plan(a_target(policy={"bulkhead": {"max_concurrent": 8}}))
    owner, other = Part(Share(0, 2), 0), Part(Share(1, 2), 1)
    for part in (owner, other):
        part.told(plan.key, 0)

    assert (owner.owner(plan), owner(plan) is plan) == (None, True)
    assert (other.owner(plan), other(plan)) == (0, Share(1, 2).of_another(plan))
    assert (other.owner(plain), other(plain)) == (None, Share(1, 2)(plain))


def test_nobody_takes_the_events_of_a_keyed_route_whose_owner_was_not_told() -> None:
    part = Part(Share(0, 2), 0)

    assert part.owner(with_keys()) == NOBODY
