"""A cache together with what else a target may have, in virtual time: a line, a fallback, an end to its patience, edits
of its plan. Whoever waits for another one's answer is as well off as if there were no cache."""

import asyncio
import typing

import msgspec
import pytest

from fanout_crds import plan
from fanout_dispatcher.transport.memory import NEVER, Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Ending, Settled, Told, Turned
from fanout_dispatcher.values.outcome import Delivered
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target, a_wait

KEEP: typing.Final = 1 << 18
SOON: typing.Final = 0.1  # seconds that commits may add to an answer
CACHE: typing.Final = plan.Cache(key_expression="data", ttl=60.0)
STATIC: typing.Final = plan.Static(status=200, headers=(), body="[]")
FRAGILE: typing.Final = {"circuit_breaker": {"consecutive_failures": 1, "open_duration": 600.0}}
Durability = typing.Literal["Journal", "Memory"]
Script = typing.Callable[[Flight, float], Reply]


def yes(latency: float = 0.0, body: bytes = b"yes") -> Reply:
    return Reply(Delivered(200, Captured(200, (), body)), latency)


def a_world(script: Script, *, durability: Durability = "Journal", **changes: object) -> World:
    target = a_target("prices", capture=KEEP, **({"cache": CACHE} | changes))
    made = a_plan(target, respond=a_wait("prices", timeout=60.0), durability=durability)
    return World(made, lambda _, flight, now: script(flight, now))


def edited(made: plan.Plan, revision: str, **changes: object) -> plan.Plan:
    """The same route with another target of that name."""
    (target,) = made.targets
    return msgspec.structs.replace(
        made, revision=revision, generation=made.generation + 1, targets=(msgspec.structs.replace(target, **changes),)
    )


def answers(told: Told) -> tuple[bytes, bool, bool]:
    """What the one target is said to have said, whether to another one, and whether something stood in for it."""
    assert isinstance(told, Settled), told
    (one,) = told.heard
    assert one.answer is not None, told
    return one.answer.body, one.answer.cached, one.fallback


def held(told: Told) -> str:
    assert isinstance(told, Settled), told
    assert told.ending is Ending.FAILED
    return told.heard[0].reason


def asked(world: World) -> list[str]:
    return [one.event for one in world.history.sent]


# --- the line for a slot ----------------------------------------------------------------------------------------------


def test_who_waited_for_an_answer_that_failed_stands_in_line_from_then_on() -> None:
    """One slot and one place: three are let by since an answer to them is under way, and once it fails nobody more."""
    policy = {"bulkhead": {"max_concurrent": 1, "max_queue": 1}}
    world = a_world(lambda flight, now: status(404, 1.0), policy=policy)
    turned: list[Told] = []

    async def story(life: Life) -> None:
        callers = [life.ask("e0", b"sku-1")]
        await asyncio.sleep(0.1)
        callers += [life.ask(f"e{number}", b"sku-1") for number in range(1, 4)]
        await asyncio.sleep(1.5)
        assert asked(world) == ["e0", "e1"], "the second has the slot, two are in line"
        turned.append(life.ask("new", b"sku-2").result())
        await asyncio.sleep(2.0)
        assert asked(world) == ["e0", "e1", "e2", "e3"]
        callers.append(life.ask("newer", b"sku-2"))
        await asyncio.wait(callers)

    world.live(story)

    assert [one.reason for one in turned if isinstance(one, Turned)] == ["BulkheadFull"]


def test_who_was_let_by_for_an_answer_that_is_gone_when_its_event_is_on_disk_stands_in_line() -> None:
    policy = {"bulkhead": {"max_concurrent": 1, "max_queue": 1}}
    world = a_world(lambda flight, now: status(404, 1.0), policy=policy)
    turned: list[Told] = []

    async def story(life: Life) -> None:
        life.ask("e0", b"sku-1")
        await asyncio.sleep(0.5)
        life.ask("next", b"sku-2")
        await asyncio.sleep(0.4)
        life.disk.latency = (0.5, 0.5)
        late = life.ask("late", b"sku-1")
        await asyncio.sleep(0.7)
        turned.append(life.ask("new", b"sku-3").result())
        assert asked(world) == ["e0", "next"]
        await late

    world.live(story)

    assert [one.reason for one in turned if isinstance(one, Turned)] == ["BulkheadFull"]


# --- an end to patience -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
def test_what_has_expired_while_it_waited_for_a_slot_is_given_up_and_not_answered_from_memory(
    durability: Durability,
) -> None:
    """Its key has an answer when a slot is free, and no sweep has been by: what was promised is a dead letter."""
    policy = {"bulkhead": {"max_concurrent": 1}, "timeouts": {"total": 3.1, "attempt": 10.0}}

    def script(flight: Flight, now: float) -> Reply:
        return status(404, 1.0) if flight.event.head.id == "e0" else yes(2.5)

    world = a_world(script, durability=durability, policy=policy)

    async def story(life: Life) -> None:
        for number in range(3):
            await life.post(f"e{number}", b'"sku-1"')
        await life.settle()
        assert 3.1 < life.now() < 4.0
        assert await life.reasons("prices") == ["TargetRejected", "Expired"]

    world.live(story)

    assert asked(world) == ["e0", "e1"]


def test_who_waits_for_an_answer_waits_no_longer_than_its_own_patience() -> None:
    policy = {"timeouts": {"total": 1.0, "attempt": 10.0}}
    world = a_world(lambda flight, now: NEVER, policy=policy, static=STATIC)
    told: list[tuple[bytes, bool, bool]] = []

    async def story(life: Life) -> None:
        life.ask("e0", b"sku-1")
        told.append(answers(await life.ask("e1", b"sku-1")))
        assert life.now() < 2.0 + SOON, "a sweep comes by once a second"

    world.live(story)

    assert told == [(b"[]", False, True)]


# --- circuits, fallbacks, and what holds a target ---------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
def test_an_open_circuit_hides_nothing_that_was_answered_before_though_something_could_stand_in(
    durability: Durability,
) -> None:
    script: Script = lambda flight, now: yes() if now < 1.0 else status(503)  # noqa: E731  one line says it
    world = a_world(script, durability=durability, policy=FRAGILE, static=STATIC)
    told: list[tuple[bytes, bool, bool]] = []

    async def story(life: Life) -> None:
        await life.ask("e0", b"sku-1")
        await asyncio.sleep(1.0)
        await life.ask("e1", b"sku-2")
        assert life.target("prices").circuit == "Open"
        told.append(answers(await life.ask("e2", b"sku-1")))
        told.append(answers(await life.ask("e3", b"sku-2")))
        await life.settle()

    world.live(story)

    assert told == [(b"yes", True, False), (b"[]", False, True)]


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
@pytest.mark.parametrize("others", [False, True])
def test_who_waits_for_an_answer_when_the_circuit_opens_has_the_fallback_at_once(
    durability: Durability, *, others: bool
) -> None:
    """Whether it opens because the one that leads has failed, or another one while that still hangs."""

    def script(flight: Flight, now: float) -> Reply:
        return NEVER if others and flight.event.head.id == "e0" else status(503, 0.5)

    world = a_world(script, durability=durability, policy=FRAGILE, static=STATIC)
    told: list[tuple[bytes, bool, bool]] = []

    async def story(life: Life) -> None:
        life.ask("e0", b"sku-1")
        waits = [life.ask("e1", b"sku-1"), life.ask("e2", b"sku-1")]
        if others:
            life.ask("other", b"sku-2")
        told.extend([answers(await one) for one in waits])
        assert life.now() < 0.5 + SOON

    world.live(story)

    assert told == [(b"[]", False, True)] * 2
    assert {one.event for one in world.history.sent} <= {"e0", "other"}


@pytest.mark.parametrize("how", ["suspended", "circuit"])
def test_who_waits_for_an_answer_of_a_target_that_is_held_now_hears_so_at_once(how: str) -> None:
    world = a_world(
        lambda flight, now: status(503, 0.5) if flight.event.head.id == "other" else NEVER,
        policy=FRAGILE | {"bulkhead": {"max_concurrent": 2}},
    )

    async def story(life: Life) -> None:
        life.ask("e0", b"sku-1")
        waits = life.ask("e1", b"sku-1")
        if how == "circuit":
            life.ask("other", b"sku-2")
        await asyncio.sleep(0.4)
        if how == "suspended":
            life.adopt(msgspec.structs.replace(world.plan, suspend=True))
        assert held(await waits) == {"suspended": "Suspended", "circuit": "CircuitOpen"}[how]
        assert life.now() < 0.5 + SOON

    world.live(story)


def test_what_waits_for_a_step_that_is_called_off_asks_for_itself_at_once() -> None:
    """The one that leads waits for a slot when its saga fails: nobody waits for what will not be asked."""
    policy = {"bulkhead": {"max_concurrent": 1}}
    prices = a_target("prices", capture=KEEP, cache=CACHE, policy=policy)
    undo = plan.Behind(role="Compensation", of="pay", target=a_target("pay.compensate"))
    made = a_plan(prices, a_target("pay", capture=KEEP), behind=(undo,), respond=a_wait("prices", timeout=60.0))

    def behave(target: str, flight: Flight, now: float) -> Reply:
        if target == "pay":
            return status(422, 0.5) if flight.event.head.id == "leads" else NEVER
        return yes(1.0)

    world = World(made, behave)

    async def story(life: Life) -> None:
        life.ask("first", b"sku-0")
        life.ask("leads", b"sku-1")
        told = answers(await life.ask("waits", b"sku-1"))
        assert told == (b"yes", False, False)
        assert life.now() < 2.0 + SOON, "the slot is free after a second, and it takes another"

    world.live(story)

    assert [one.event for one in world.history.sent if one.target == "prices"] == ["first", "waits"]


# --- edits of the plan ------------------------------------------------------------------------------------------------


def test_a_target_that_gets_a_cache_answers_what_waits_already_and_one_that_loses_it_asks_for_everybody() -> None:
    policy = {"bulkhead": {"max_concurrent": 1}}
    world = a_world(lambda flight, now: yes(1.0), policy=policy, cache=None)
    plain = world.plan
    cached = edited(plain, "fedcba9876543210", cache=CACHE)
    plain_again = edited(cached, "fedcba9876543211", cache=None)
    told: list[bool] = []

    async def story(life: Life) -> None:
        callers = [life.ask(f"e{number}", b"sku-1") for number in range(4)]
        await asyncio.sleep(0.5)
        life.adopt(cached)  # e0 is in flight, and was not asked for others
        told.extend([answers(await one)[1] for one in callers])
        assert life.now() < 2.0 + SOON
        leads = [life.ask("f0", b"sku-2"), life.ask("f1", b"sku-2")]
        await asyncio.sleep(0.5)
        life.adopt(plain_again)
        told.extend([answers(await one)[1] for one in leads])
        await life.settle()
        assert life.engine.works.stock.deliveries == 0

    world.live(story)

    assert told == [False, False, True, True, False, False]
    assert asked(world) == ["e0", "e1", "f0", "f1"]


@pytest.mark.parametrize("with_cache", [True, False])
def test_an_event_keeps_the_fallback_that_it_was_accepted_with(*, with_cache: bool) -> None:
    """Its plan loses it while one delivery is in flight, one waits for that, one for a retry; a new event has none."""
    backoff = {"type": "Constant", "base_delay": 1.0, "jitter": "None"}
    policy = {"retry": {"max_attempts": 2, "backoff": backoff}, "circuit_breaker": {"consecutive_failures": 100}}
    cache = CACHE if with_cache else None
    world = a_world(lambda flight, now: status(503, 0.5), policy=policy, cache=cache, static=STATIC)
    without = edited(world.plan, "fedcba9876543210", static=None)
    told: list[tuple[bytes, bool, bool]] = []

    async def story(life: Life) -> None:
        retries = life.ask("e0", b"sku-1")
        await asyncio.sleep(0.6)
        flies, waits = life.ask("e1", b"sku-2"), life.ask("e2", b"sku-2")
        await asyncio.sleep(0.2)
        life.adopt(without)
        late = life.ask("late", b"sku-3")
        told.extend([answers(await one) for one in (retries, flies, waits)])
        said = await late
        assert isinstance(said, Settled)
        assert (said.ending, said.heard[0].reason) == (Ending.FAILED, "AttemptsExhausted")
        await life.settle()
        letters = await life.desk.dead_letters(DeadLetterFilter())
        assert [one.reason for one in letters] == ["AttemptsExhausted"]

    world.live(story)

    assert told == [(b"[]", False, True)] * 3


# --- what is left of it -----------------------------------------------------------------------------------------------


def test_after_a_crash_history_says_what_a_target_became_and_not_who_answered_in_its_place() -> None:
    """A hit is Delivered after no attempt, a fallback Dead and FellBack; `cached` and the answers were the caller's."""
    policy = {"circuit_breaker": {"consecutive_failures": 100}}
    script: Script = lambda flight, now: yes() if now < 1.0 else status(404)  # noqa: E731  one line says it
    world = a_world(script, policy=policy, static=STATIC)
    told: list[tuple[bytes, bool, bool]] = []

    async def story(life: Life) -> None:
        told.append(answers(await life.ask("asked", b"sku-1")))
        told.append(answers(await life.ask("hit", b"sku-1")))
        await asyncio.sleep(1.0)
        told.append(answers(await life.ask("stood-in", b"sku-2")))

    async def later(life: Life) -> None:
        await life.look()

    world.live(story)
    world.live(later)

    assert told == [(b"yes", False, False), (b"yes", True, False), (b"[]", False, True)]
    views = {event: world.history.events[receipt] for event, receipt in world.history.accepted.items()}
    left = {event: view.deliveries[0] for event, view in views.items() if view is not None and view.settled}
    assert {event: (one.state, one.attempts, one.reason) for event, one in left.items()} == {
        "asked": ("Delivered", 1, None),
        "hit": ("Delivered", 0, None),
        "stood-in": ("Dead", 1, "FellBack"),
    }
    assert world.history.left == set(), "and no dead letters"
