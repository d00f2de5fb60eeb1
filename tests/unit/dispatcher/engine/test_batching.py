"""When a batch goes, and of what: pure, deliveries in and batches out."""

import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds.plan import Batch
from fanout_dispatcher.engine.batching import Gathering, Member
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.stock import Stock
from fanout_dispatcher.engine.window import LOW, SIZE, Window
from fanout_dispatcher.policies.gate import NEVER
from tests.unit.dispatcher.engine.scripted import pending

RULE = Batch(max_events=4, max_bytes=1 << 20, max_wait=1.0)


def delivery(seq: int, *, accepted: float = 0.0, attempts: int = 0, size: int = 2) -> Delivery:
    one = pending(seq, body=bytes(size))
    one.event = msgspec.structs.replace(one.event, accepted=accepted)
    return Delivery(one, 0, attempts)


def gathering(*deliveries: Delivery, rule: Batch = RULE, indexed: bool = False) -> Gathering:
    window = Window(Stock(), indexed=indexed)
    for one in deliveries:
        window.push(one)
    return Gathering(rule, window)


def body(one: Delivery) -> bytes:
    return one.pending.event.body


def seqs(batch: list[Member]) -> list[int]:
    return [one.delivery.pending.event.seq for one in batch]


def test_the_first_event_of_a_batch_waits_for_others_as_long_as_it_may() -> None:
    gathered = gathering(delivery(1, accepted=10.0))

    assert gathered.goes_at(10.0) == 11.0
    gathered.window.push(delivery(2, accepted=10.9))
    assert gathered.goes_at(10.9) == 11.0, "a second one changes nothing for the first"
    assert gathered.goes_at(11.5) == 11.5


def test_a_full_batch_goes_at_once_and_what_is_left_waits_since_it_came() -> None:
    gathered = gathering()
    for seq in range(6):
        gathered.window.push(delivery(seq, accepted=seq / 10))
        gathered.goes_at(seq / 10)

    assert gathered.goes_at(0.5) == 0.5
    assert seqs(gathered.take(body)) == [0, 1, 2, 3]
    assert gathered.goes_at(0.5) == pytest.approx(1.4)


def test_enough_bytes_go_at_once() -> None:
    gathered = gathering(delivery(1, size=60), delivery(2, size=60), rule=msgspec.structs.replace(RULE, max_bytes=100))

    assert gathered.goes_at(0.0) == 0.0
    assert seqs(gathered.take(body)) == [1]
    assert seqs(gathered.take(body)) == [2]


def test_one_event_always_goes_however_large_it_is() -> None:
    gathered = gathering(delivery(1, size=500), delivery(2), rule=msgspec.structs.replace(RULE, max_bytes=100))

    assert [seqs(gathered.take(body)), seqs(gathered.take(body))] == [[1], [2]]


def test_what_is_on_its_way_out_of_the_index_is_waited_for() -> None:
    gathered = gathering(delivery(1, accepted=-50.0), indexed=True)
    gathered.window.pull_begins()

    assert gathered.goes_at(0.0) == NEVER
    gathered.window.pull_ends(None)
    assert gathered.goes_at(5.0) == 5.0


def test_what_has_waited_in_the_index_waits_for_company_since_it_is_at_hand() -> None:
    gathered = gathering(delivery(1, accepted=-50.0))

    assert gathered.goes_at(5.0) == 6.0
    assert gathered.goes_at(5.5) == 6.0


def test_where_more_is_due_than_there_is_room_for_nobody_waits() -> None:
    gathered = gathering(delivery(1))
    gathered.window.row_added(0.0)

    assert gathered.goes_at(0.0) == 0.0


def test_a_window_holds_a_whole_batch() -> None:
    window = Window(Stock(), indexed=False)

    window.widen(1000)
    assert (window.size, window.low) == (1000, 1000)
    window.widen(0)
    assert (window.size, window.low) == (SIZE, LOW)


def test_what_is_not_to_go_is_left_out_and_the_batch_is_filled_up() -> None:
    gathered = gathering(*(delivery(seq) for seq in range(6)))

    batch = gathered.take(lambda one: None if one.pending.event.seq == 1 else body(one))

    assert seqs(batch) == [0, 2, 3, 4]


def test_a_rejected_batch_goes_by_halves_ahead_of_all_others_and_in_its_order() -> None:
    gathered = gathering(*(delivery(seq) for seq in range(9)))

    gathered.split(gathered.take(body))

    assert gathered.goes_at(0.0) == 0.0
    assert [seqs(gathered.take(body)) for _ in range(3)] == [[0, 1], [2, 3], [4, 5, 6, 7]]


def test_the_more_attempts_were_spent_the_fewer_go_together() -> None:
    many = [delivery(seq, attempts=1) for seq in range(3)] + [delivery(seq, attempts=9) for seq in (3, 4)]
    gathered = gathering(*many)

    assert [seqs(gathered.take(body)) for _ in range(4)] == [[0, 1], [2], [3], [4]]


@given(
    sizes=st.lists(st.integers(0, 90), min_size=1, max_size=60),
    poison=st.sets(st.integers(0, 59)),
    most=st.integers(1, 20),
    limit=st.integers(1, 300),
)
def test_a_target_that_rejects_poison_gets_all_others_and_each_poisoned_event_dies_alone(
    sizes: list[int], poison: set[int], most: int, limit: int
) -> None:
    """The same for any numbers: who is accepted, who dies, the bounds of each request, and how many there are."""
    rule = Batch(max_events=most, max_bytes=limit, max_wait=0.0)
    gathered = gathering(*(delivery(seq, size=size) for seq, size in enumerate(sizes)), rule=rule)
    accepted: list[int] = []
    dead: list[int] = []
    requests = 0

    while gathered.window.ready:
        assert gathered.goes_at(0.0) == 0.0
        batch = gathered.take(body)
        requests += 1
        assert len(batch) <= most
        assert len(batch) == 1 or 1 + sum(len(one.written) + 1 for one in batch) <= limit
        found = seqs(batch)
        if poison.isdisjoint(found):
            accepted += found
        elif len(batch) > 1:
            gathered.split(batch)
        else:
            dead += found

    everybody = set(range(len(sizes)))
    assert accepted == sorted(everybody - poison), "each once, and in order"
    assert dead == sorted(everybody & poison)
    assert requests <= 2 * len(sizes)


@given(
    steps=st.lists(st.one_of(st.floats(0.001, 2.0), st.none()), max_size=40),
    most=st.integers(1, 6),
    wait=st.floats(0.0, 1.5),
)
def test_nobody_waits_longer_than_a_batch_may(steps: list[float | None], most: int, wait: float) -> None:
    """A number: so much later something may go; None: an event comes in. All that may go goes when it may."""
    gathered = gathering(rule=Batch(max_events=most, max_bytes=1 << 20, max_wait=wait))
    now, came = 0.0, 0
    waited: list[float] = []

    def pump() -> None:
        while gathered.goes_at(now) <= now:
            batch = gathered.take(body)
            waited.extend(now - one.delivery.pending.event.accepted for one in batch)

    for step in [*steps, 2.0]:
        if step is None:
            came += 1
            gathered.window.push(delivery(came, accepted=now))
            pump()
            continue
        until = now + step
        while (at := gathered.goes_at(now)) <= until:
            now = at
            pump()
        now = until

    assert len(waited) == came
    assert max(waited, default=0.0) <= wait + 1e-9


def test_it_says_what_it_is_in_a_line() -> None:
    said: typing.Final = repr(gathering(delivery(1)))

    assert said == "<Gathering 4 of <Window fresh ready=1 claimed=0 next_due=inf>>"
