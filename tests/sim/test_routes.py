"""What becomes of what is owed when a route, a target or a bound says otherwise. One sentence for each reason."""

import asyncio
import random

import msgspec
import pytest

from fanout_crds.plan import Plan
from fanout_dispatcher.telemetry.seam import DeliveryDead, TargetHeld
from fanout_dispatcher.transport.memory import NEVER, Reply, fault, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Accepted, Turned
from fanout_dispatcher.values.outcome import Fault
from fanout_dispatcher.values.sink import PlanRefused
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.sim.world import Behave, Life, World
from tests.support.plans import a_plan, a_target

BODY = b"x" * 100


def down(*names: str) -> Behave:
    """These targets cannot be reached; all others answer at once."""

    def behave(target: str, flight: Flight, now: float) -> Reply:
        return fault(Fault.CONNECT_FAILURE) if target in names else status(200)

    return behave


def sent(world: World, target: str) -> list[str]:
    return [one.event for one in world.history.sent if one.target == target]


def test_a_suspended_route_accepts_and_keeps_and_sends_nothing_until_it_goes_on() -> None:
    world = World(a_plan("a", suspend=True), down())

    async def story(life: Life) -> None:
        answer = await life.post("e1")
        await asyncio.sleep(60)
        held = life.target("a")
        assert isinstance(answer, Accepted)
        assert (held.held, held.pending, sent(world, "a")) == ("Suspended", 1, [])
        life.engine.adopt(a_plan("a", revision="2"), {})
        await life.settle()

    world.live(story)

    assert [(one.event, one.number) for one in world.history.sent] == [("e1", 1)]


def test_what_a_removed_target_is_owed_becomes_dead_letters_and_its_siblings_go_on() -> None:
    world = World(a_plan("a", "b"), down("b"))

    async def story(life: Life) -> None:
        for number in range(600):  # more than a window holds: the rest is in the index
            life.post(f"e{number}")
        await asyncio.sleep(5)
        life.engine.adopt(a_plan("a", revision="2", generation=2), {})
        life.post("e600")
        await asyncio.sleep(20)
        assert await life.reasons("b") == [], "for a while it may come back"
        await life.settle()
        dead = await life.desk.dead_letters(DeadLetterFilter(limit=1000))
        assert {(one.target, one.reason) for one in dead} == {("b", "TargetRemoved")}
        assert len(dead) == 600

    world.live(story)

    assert len(sent(world, "a")) == 601


def test_a_target_that_was_left_out_for_a_moment_keeps_its_backlog() -> None:
    world = World(a_plan("a", "b"), down("b"))

    async def story(life: Life) -> None:
        life.post("e1")
        await asyncio.sleep(5)
        life.engine.adopt(a_plan("a", revision="2"), {})  # a half-written file, say
        await asyncio.sleep(5)
        life.engine.adopt(a_plan("a", "b", revision="3"), {})
        await asyncio.sleep(60)
        world.behave = down()
        await life.settle()
        await life.look()

    world.live(story)

    assert world.history.states == {"e1": {"a": "Delivered", "b": "Delivered"}}


def test_a_crash_between_the_removal_of_a_target_and_its_end_is_made_good_by_the_next_life() -> None:
    world = World(a_plan("a", "b"), down("b"))

    async def removed(life: Life) -> None:
        for number in range(600):
            life.post(f"e{number}")
        await asyncio.sleep(5)
        life.engine.adopt(a_plan("a", revision="2", generation=2), {})
        await asyncio.sleep(0.006)  # the new plan is committed, the backlog of b is not dead yet

    async def after(life: Life) -> None:
        await life.settle()
        assert len(await life.desk.dead_letters(DeadLetterFilter(reason="TargetRemoved", limit=1000))) == 600

    world.live(removed)
    world.plan = a_plan("a", revision="2", generation=2)
    world.live(after)


def test_a_siblings_bound_never_drops_the_dead_letters_of_a_target_that_was_removed_before_a_crash() -> None:
    small = a_target("a", policy={"dead_letter": {"max_bytes": 700, "on_full": "DropOldest"}})
    world = World(a_plan(small, "b"), down("b"))

    async def before(life: Life) -> None:
        for number in range(5):
            life.post(f"e{number}", BODY)
        await asyncio.sleep(5)
        life.engine.adopt(a_plan(small, revision="2", generation=2), {})
        await asyncio.sleep(1)

    async def after(life: Life) -> None:
        await life.settle()
        assert await life.reasons("b") == ["TargetRemoved"] * 5

    world.live(before)
    world.plan = a_plan(small, revision="2", generation=2)
    world.live(after)


def test_a_target_that_is_back_finds_its_dead_letters_counted() -> None:
    world = World(a_plan("a", "b"), down("b"))

    async def story(life: Life) -> None:
        await life.post("e1", BODY)
        await asyncio.sleep(1)
        life.engine.adopt(a_plan("a", revision="2"), {})
        await asyncio.sleep(60)
        life.engine.adopt(a_plan("a", "b", revision="3"), {})
        assert life.target("b").dead_letters == 1
        world.behave = down()
        [receipt] = await life.desk.replay(DeadLetterFilter(target="b"))
        await life.settle()
        view = await life.desk.event(receipt)
        assert view is not None
        assert [(one.target, one.state) for one in view.deliveries] == [("b", "Delivered")]
        assert life.target("b").dead_letters == 0

    world.live(story)


def test_a_deleted_route_takes_nothing_more_delivers_for_a_while_and_keeps_the_rest_as_dead_letters() -> None:
    world = World(a_plan("a", "b"), down("b"))

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(5)
        life.engine.retire(world.plan.key)
        assert life.engine.route_at(world.plan.path) is None
        await asyncio.sleep(20)
        assert await life.reasons("b") == []
        await asyncio.sleep(60)
        assert await life.reasons("b") == ["RouteDeleted"]

    async def after(life: Life) -> None:
        assert list(life.engine.routes()) == []

    world.live(story)
    world.has_source = False
    world.live(after)


def test_a_deleted_route_stays_deleted_through_a_restart() -> None:
    world = World(a_plan("a"), down("a"))

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(5)
        life.engine.retire(world.plan.key)
        await asyncio.sleep(1)

    async def after(life: Life) -> None:
        assert list(life.engine.routes()) == []
        assert await life.reasons("a") == []
        await asyncio.sleep(60)
        assert await life.reasons("a") == ["RouteDeleted"]

    async def later(life: Life) -> None:
        assert list(life.desk.lane_meters()) == []

    world.live(story)
    world.has_source = False
    world.live(after)
    world.live(later)


@pytest.mark.parametrize("name", ["another", "zzz"])  # the journal gives plans in the order of their names
def test_a_path_that_a_deleted_route_had_is_its_heirs_after_a_restart_too(name: str) -> None:
    world = World(a_plan("a"), down("a"))
    heir = msgspec.structs.replace(a_plan("b"), name=name)

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(5)
        life.engine.retire(world.plan.key)
        life.engine.adopt(heir, {})
        await asyncio.sleep(1)

    async def after(life: Life) -> None:
        assert list(life.engine.routes()) == [heir.key]
        assert life.engine.route_at(heir.path) is not None
        assert life.desk.refused() == 0
        await asyncio.sleep(60)
        assert await life.reasons("a") == ["RouteDeleted"]

    world.live(story)
    world.has_source = False
    world.live(after)


def test_a_route_made_again_in_time_takes_its_backlog_over() -> None:
    world = World(a_plan("a"), down("a"))

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(5)
        life.engine.retire(world.plan.key)
        await asyncio.sleep(20)
        world.behave = down()
        life.engine.adopt(a_plan("a", revision="2", uid="another"), {})
        await life.settle()
        await asyncio.sleep(60)
        await life.look()

    world.live(story)

    assert world.history.states == {"e1": {"a": "Delivered"}}


def test_a_full_queue_turns_the_event_away_and_names_the_target() -> None:
    queue = {"queue": {"max_bytes": 1_300, "on_full": "Reject"}}
    world = World(a_plan("a", a_target("b", policy=queue)), down("b"))

    async def story(life: Life) -> None:
        answers = [await life.post(f"e{number}", BODY) for number in range(3)]
        last = answers[-1]
        assert [type(one) for one in answers] == [Accepted, Accepted, Turned]
        assert isinstance(last, Turned)
        assert (last.status, last.reason) == (503, "QueueFull")
        assert "target b" in last.detail
        [meter] = life.desk.route_meters()
        assert (meter.accepted, meter.turned) == (2, {"QueueFull": 1})

    world.live(story)

    assert sent(world, "a") == ["e0", "e1"]


def test_a_full_queue_that_says_so_dead_letters_that_delivery_alone_even_through_a_crash() -> None:
    queue = {"queue": {"max_bytes": 1_300, "on_full": "DeadLetter"}}
    world = World(a_plan("a", a_target("b", policy=queue)), down("b"))

    async def full(life: Life) -> None:
        for number in range(4):
            assert isinstance(await life.post(f"e{number}", BODY), Accepted)
        assert await life.reasons("b") == ["QueueFull", "QueueFull"]

    async def after(life: Life) -> None:
        world.behave = down()
        await life.settle()
        await life.look()

    world.live(full)
    world.live(after)

    assert {event for event, states in world.history.states.items() if states["b"] == "Dead"} == {"e2", "e3"}
    assert all(states["a"] == "Delivered" for states in world.history.states.values())


def test_full_dead_letters_turn_events_away_or_make_room_as_the_plan_says() -> None:
    def plan(on_full: str) -> Plan:
        return a_plan(a_target("a", policy={"dead_letter": {"max_bytes": 1300, "on_full": on_full}}), revision=on_full)

    world = World(plan("Reject"), lambda target, flight, now: status(422))

    async def story(life: Life) -> None:
        for number in range(2):
            await life.post(f"e{number}", BODY)
            await asyncio.sleep(1)
        full = await life.post("e2", BODY)
        assert isinstance(full, Turned)
        assert full.reason == "DeadLettersFull"
        life.engine.adopt(plan("DropOldest"), {})
        assert isinstance(await life.post("e3", BODY), Accepted)
        await asyncio.sleep(1)
        left = [one.event_id for one in await life.desk.dead_letters(DeadLetterFilter())]
        assert left == ["e1", "e3"]
        assert life.target("a").dead_letters == 2
        (meter,) = life.desk.lane_meters()
        assert (meter.dead, meter.dropped) == ({"TargetRejected": 3}, {"DropOldest": 1})
        await asyncio.sleep(15 * 24 * 3600)
        assert (life.target("a").dead_letters, meter.dropped) == (0, {"DropOldest": 1, "Keep": 2})

    world.live(story)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("act", ["replay", "remove"])
def test_a_dead_letter_that_people_have_in_hand_as_newer_ones_push_it_out_is_counted_once(seed: int, act: str) -> None:
    chance = random.Random(f"pushed out/{seed}")
    policy = {"dead_letter": {"max_bytes": 700, "on_full": "DropOldest"}}
    world = World(a_plan(a_target("a", policy=policy)), lambda target, flight, now: status(422), seed=seed)

    async def story(life: Life) -> None:
        for number in range(20):
            life.post(f"e{number}", BODY)
            await asyncio.sleep(chance.uniform(0.0, 0.01))
            people = asyncio.create_task(getattr(life.desk, act)(DeadLetterFilter()))
            await asyncio.sleep(chance.uniform(0.0, 0.01))
            life.post(f"f{number}", BODY)
            await people
        await asyncio.sleep(1)
        assert life.target("a").dead_letters == len(await life.reasons("a")) <= 1

    world.live(story)


def test_a_replay_that_finds_the_queue_full_stays_the_dead_letter_that_it_is() -> None:
    queue = {"queue": {"max_bytes": 700, "on_full": "Reject"}}
    answers = iter([status(422)])
    world = World(a_plan(a_target("a", policy=queue)), lambda target, flight, now: next(answers, NEVER))

    async def story(life: Life) -> None:
        await life.post("e1", BODY)
        await asyncio.sleep(1)
        await life.post("e2", BODY)
        receipts = await life.desk.replay(DeadLetterFilter())
        assert receipts == ()
        assert await life.reasons("a") == ["TargetRejected"]

    world.live(story)


def test_what_cannot_be_replayed_never_stands_in_the_way_of_what_can() -> None:
    world = World(a_plan("a", "b"), lambda target, flight, now: status(422))

    async def story(life: Life) -> None:
        for number in range(5):
            await life.post(f"e{number}")
        await asyncio.sleep(1)
        life.engine.adopt(a_plan("b", revision="2"), {})
        world.behave = down()
        receipts = await life.desk.replay(DeadLetterFilter(limit=5))
        assert len(receipts) == 5
        await life.settle()
        assert await life.reasons("b") == []

    world.live(story)


def test_a_replay_that_dies_again_is_not_replayed_in_the_same_breath() -> None:
    world = World(a_plan("a"), lambda target, flight, now: status(422))

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(1)
        assert len(await life.desk.replay(DeadLetterFilter(limit=100))) == 1

    world.live(story)

    assert len(sent(world, "a")) <= 2


def test_one_poisoned_event_does_not_keep_a_healthy_targets_circuit_open() -> None:
    policy = {"circuit_breaker": {"consecutive_failures": 3}}
    world = World(
        a_plan(a_target("a", policy=policy)),
        lambda target, flight, now: status(500 if flight.event.head.id == "poison" else 200),
    )

    async def story(life: Life) -> None:
        life.post("poison")
        await asyncio.sleep(30)
        assert life.target("a").circuit == "Open"
        for number in range(12):
            life.post(f"e{number}")
        await asyncio.sleep(1200)

    world.live(story)

    assert {one.event for one in world.history.sent if one.yes} == {f"e{number}" for number in range(12)}


def test_a_replay_asked_for_twice_at_once_is_one_replay() -> None:
    answers = iter([status(422)])
    world = World(a_plan("a"), lambda target, flight, now: next(answers, status(200)))

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(1)
        both = await asyncio.gather(life.desk.replay(DeadLetterFilter()), life.desk.replay(DeadLetterFilter()))
        assert sorted(len(receipts) for receipts in both) == [0, 1]
        await life.settle()

    world.live(story)

    assert sent(world, "a") == ["e1", "e1"]


def test_a_plan_from_the_journal_holds_the_targets_whose_credentials_only_the_source_has() -> None:
    plan = a_plan(a_target("a", bearer="a.bearer"), "b")
    world = World(plan, down())
    world.has_source = False

    async def before(life: Life) -> None:
        life.engine.adopt(plan, {"a.bearer": b"secret"})
        await asyncio.sleep(1)

    async def restarted(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(5)
        assert (life.target("a").held, sent(world, "a"), sent(world, "b")) == ("CredentialsMissing", [], ["e1"])
        life.engine.adopt(plan, {"a.bearer": b"secret"})
        await life.settle()

    world.live(before)
    world.live(restarted)

    assert sent(world, "a") == ["e1"]


def told(world: World) -> list[tuple[str, str]]:
    """What was said of targets that are held."""
    return [(one.reason, one.why) for one in world.seam.changes if isinstance(one, TargetHeld)]


@pytest.mark.parametrize(("after", "says"), [(1.0, []), (60.0, ["CredentialsMissing"])])
def test_that_credentials_are_missing_after_a_start_is_told_only_where_it_stays_so(
    after: float, says: list[str]
) -> None:
    plan = a_plan(a_target("a", bearer="a.bearer"))
    world = World(plan, down())
    world.has_source = False

    async def before(life: Life) -> None:
        life.engine.adopt(plan, {"a.bearer": b"secret"})
        await asyncio.sleep(1)

    async def restarted(life: Life) -> None:
        await asyncio.sleep(after)
        life.engine.adopt(plan, {"a.bearer": b"secret"})
        await asyncio.sleep(60)
        assert life.target("a").held is None

    world.live(before)
    world.live(restarted)

    assert [reason for reason, _ in told(world)] == says
    assert all("has not brought them yet" in why for _, why in told(world))


def test_that_a_target_is_held_is_told_once_for_each_sentence() -> None:
    def held(message: str, revision: str, *, suspend: bool = False) -> Plan:
        target = a_target("a", held="SecretKeyNotFound", held_message=message)
        return a_plan(target, revision=revision, suspend=suspend)

    world = World(held("no key x", "1"), down())

    async def story(life: Life) -> None:
        for number, message in enumerate(("no key x", "no key y", "no key y", "no key x"), 2):
            life.engine.adopt(held(message, f"{number}"), {})
        life.engine.adopt(held("no key x", "6", suspend=True), {})
        life.engine.adopt(a_plan("a", revision="7"), {})
        life.engine.adopt(held("no key x", "8"), {})

    world.live(story)

    assert told(world) == [("SecretKeyNotFound", f"no key {key}") for key in "xyxx"]


@pytest.mark.parametrize("after", ["Memory", "Journal"])
def test_what_came_in_under_the_other_durability_is_still_delivered(after: str) -> None:
    before = "Journal" if after == "Memory" else "Memory"
    policy = {"timeouts": {"total": 3600.0}}
    world = World(a_plan(a_target("a", policy=policy), durability=before), down("a"))

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(5)
        life.engine.adopt(a_plan(a_target("a", policy=policy), durability=after, revision="2"), {})
        await life.post("e2")
        await asyncio.sleep(5)
        world.behave = down()
        await life.settle()
        await asyncio.sleep(5)
        assert len(list(life.desk.lane_meters())) == len(life.engine.table.lanes) == 1

    world.live(story)

    assert {one.event for one in world.history.sent if one.yes} == {"e1", "e2"}


def test_a_path_belongs_to_the_route_that_has_it() -> None:
    world = World(a_plan("a"), down())

    async def story(life: Life) -> None:
        other = msgspec.structs.replace(a_plan("b"), name="other")
        with pytest.raises(PlanRefused, match=r"belongs to the route shop/order-placed"):
            life.engine.adopt(other, {})
        route = life.engine.route_at(world.plan.path)
        assert route is not None
        assert route.plan.key == "shop/order-placed"
        view = life.desk.route("shop/other")
        assert view is not None
        assert "belongs to" in (view.refused or "")

    world.live(story)


@pytest.mark.parametrize("backlog", [1, 600])
def test_what_waits_longer_than_total_is_dead_although_nothing_was_ever_tried(backlog: int) -> None:
    policy = {"timeouts": {"total": 60.0}}
    world = World(a_plan(a_target("a", policy=policy), suspend=True), down())

    async def story(life: Life) -> None:
        for number in range(backlog):
            life.post(f"e{number}")
        await asyncio.sleep(58)
        assert await life.reasons("a") == []
        await asyncio.sleep(60)
        assert life.target("a").pending == 0

    world.live(story)

    told = [one for one in world.seam.changes if isinstance(one, DeliveryDead)]
    assert {(one.reason, one.attempts) for one in told} == {("Expired", 0)}
    assert len(told) == backlog


def test_draining_starts_nothing_more_and_commits_what_lands() -> None:
    world = World(a_plan("a"), lambda target, flight, now: status(200, 1.0))

    async def stopping(life: Life) -> None:
        life.post("e1")
        await asyncio.sleep(0.5)
        stopped = asyncio.create_task(life.engine.drain(patience=10))
        await asyncio.sleep(0.1)
        turned = await life.post("e2")
        assert isinstance(turned, Turned)
        assert turned.status == 503
        await stopped

    async def after(life: Life) -> None:
        await life.look()

    world.live(stopping)
    world.live(after)

    assert world.history.states == {"e1": {"a": "Delivered"}}
    assert sent(world, "a") == ["e1"]


def test_a_breaker_that_is_switched_off_is_shown_as_disabled_everywhere() -> None:
    world = World(a_plan(a_target("a", policy={"circuit_breaker": {"enabled": False}})), down("a"))

    async def story(life: Life) -> None:
        for number in range(10):
            life.post(f"e{number}")
        await asyncio.sleep(10)
        [meter] = life.desk.lane_meters()
        assert (meter.circuit, life.target("a").circuit) == ("Disabled", "Disabled")

    world.live(story)
