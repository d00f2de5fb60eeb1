"""Callers who wait for targets, in virtual time: when each is answered, with what, and what goes on after that."""

import asyncio
import functools
import typing

import pytest

from fanout_crds import plan
from fanout_dispatcher.engine import callers
from fanout_dispatcher.transport.memory import NEVER, Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Ending, Settled, Told, Turned
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Delivered, Failed
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target, a_wait

KEEP: typing.Final = 1 << 18
SOON: typing.Final = 0.1  # seconds that commits may add to an answer
PENDING, DELIVERED, DEAD, SKIPPED = State.PENDING, State.DELIVERED, State.DEAD, State.SKIPPED
Script = typing.Callable[[Flight, float], Reply]


def says(code: int, body: bytes = b"", latency: float = 0.0) -> Reply:
    """An answer whose body is kept."""
    kept = Captured(code, (), body)
    return Reply(Delivered(code, kept) if code < 300 else Failed(status=code, answer=kept), latency)


def a_world(wait: plan.Respond, durability: str = "Journal", **scripts: Script | Reply) -> World:
    """A route with a target per script; *wait* is what its callers wait for."""
    targets = [a_target(name, capture=KEEP if name in wait.wait_for else 0) for name in scripts]
    made = a_plan(*targets, respond=wait, durability=durability)

    def behave(target: str, flight: Flight, now: float) -> Reply:
        script = scripts[target]
        return script if isinstance(script, Reply) else script(flight, now)

    return World(made, behave)


def told(world: World, *, until: float = 30.0) -> tuple[Settled, float]:
    """Ask once; what the caller is told, and when."""
    found: list[tuple[Told, float]] = []

    async def story(life: Life) -> None:
        answer = life.ask("e")
        answer.add_done_callback(lambda done: found.append((done.result(), life.now())))
        await asyncio.sleep(until)

    world.live(story)
    ((said, at),) = found
    assert isinstance(said, Settled), said
    return said, at


def states(said: Settled) -> dict[str, int]:
    return {one.target: one.state for one in said.heard}


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
def test_a_caller_hears_what_every_target_said_once_the_last_has_settled(durability: str) -> None:
    world = a_world(a_wait("a", "b"), durability, a=says(200, b"A", 0.5), b=says(201, b"B", 2.0))

    said, at = told(world)

    assert said.ending is Ending.ANSWERED
    assert said.receipt is not None
    assert [(one.target, one.state, one.answer) for one in said.heard] == [
        ("a", DELIVERED, Captured(200, (), b"A")),
        ("b", DELIVERED, Captured(201, (), b"B")),
    ]
    assert 2.0 <= at < 2.0 + SOON


def test_a_caller_whose_time_is_up_hears_how_the_last_attempt_ended() -> None:
    said, _ = told(a_world(a_wait("a", "b", timeout=2.0), a=says(503, b"", 0.1), b=says(200, b"B", 5.0)))

    assert said.ending is Ending.TIMEOUT
    assert [(one.state, one.detail) for one in said.heard] == [(PENDING, "last attempt: 503"), (PENDING, "")]


def test_who_is_not_waited_for_is_served_and_not_waited_for() -> None:
    world = a_world(a_wait("payment"), payment=says(200, b"paid", 0.2), mail=status(204, 5.0))

    said, at = told(world)

    assert states(said) == {"payment": DELIVERED}
    assert at < 0.2 + SOON
    assert [one.target for one in world.history.sent if one.yes] == ["payment", "mail"]


def test_the_first_to_succeed_answers() -> None:
    wait = a_wait("a", "b", "c", quorum=1)
    world = a_world(wait, a=says(404), b=says(200, b"B", 1.0), c=says(200, b"C", 3.0))

    said, at = told(world)

    assert states(said) == {"a": DEAD, "b": DELIVERED, "c": PENDING}
    assert at < 1.0 + SOON


def test_a_caller_is_told_as_soon_as_too_many_have_failed_and_why() -> None:
    wait = a_wait("a", "b", "c", quorum=2)
    world = a_world(wait, a=says(404, b"who?", 0.1), b=says(422, b"no", 0.2), c=says(200, b"C", 5.0))

    said, at = told(world)

    assert said.ending is Ending.FAILED
    assert [(one.reason, one.detail) for one in said.heard if one.lost] == [
        ("TargetRejected", "the target answered 404"),
        ("TargetRejected", "the target answered 422"),
    ]
    assert said.heard[0].answer == Captured(404, (), b"who?")
    assert at < 0.2 + SOON


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
@pytest.mark.parametrize("waited", [("a", "b", "c"), ("b", "c"), ("c",)])
def test_a_step_that_fails_is_told_with_those_that_it_leaves_without_their_turn(
    durability: str, waited: tuple[str, ...]
) -> None:
    steps = (
        a_target("a", capture=KEEP),
        a_target("b", capture=KEEP, depends_on=("a",)),
        a_target("c", capture=KEEP, depends_on=("b",)),
    )
    made = a_plan(*steps, respond=a_wait(*waited), durability=durability)

    said, at = told(World(made, lambda target, flight, now: says(422, b"no", 0.1)))

    became = {"a": (DEAD, "TargetRejected"), "b": (SKIPPED, "NotReached"), "c": (SKIPPED, "NotReached")}
    assert said.ending is Ending.FAILED
    assert {one.target: (one.state, one.reason) for one in said.heard} == {name: became[name] for name in waited}
    assert said.lasting, "who asks again hears the same"
    assert at < 0.1 + SOON


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
def test_a_caller_hears_why_a_step_has_no_condition_when_that_is_known_at_acceptance(durability: str) -> None:
    first = a_target("a", when="event.type == 'never'", capture=KEEP, keep=KEEP)
    then = a_target("b", when="targets.a.body.total > 3", capture=KEEP, depends_on=("a",))
    made = a_plan(first, then, respond=a_wait("b"), durability=durability)

    said, at = told(World(made, lambda target, flight, now: says(200)))

    ((target, state, reason, detail),) = [(one.target, one.state, one.reason, one.detail) for one in said.heard]
    assert (target, state, reason) == ("b", DEAD, "ExpressionFailed")
    assert detail.startswith("when: ")
    assert at < SOON


def test_a_target_that_fails_at_first_is_waited_for() -> None:
    def flaky(flight: Flight, now: float) -> Reply:
        return status(503) if flight.number < 3 else says(200, b"at last")

    said, _ = told(a_world(a_wait("a"), a=flaky))

    assert (said.ending, said.heard[0].answer) == (Ending.ANSWERED, Captured(200, (), b"at last"))


@pytest.mark.parametrize(
    ("partial", "slow", "ending"),
    [
        (False, 3.0, Ending.TIMEOUT),
        (True, 3.0, Ending.PARTIAL),
        (True, None, Ending.TIMEOUT),  # nothing has arrived: an empty answer is none
    ],
)
def test_a_caller_is_told_what_has_arrived_when_its_time_is_up(
    partial: bool, slow: float | None, ending: Ending
) -> None:
    wait = a_wait("a", "b", timeout=5.0, partial=partial)
    world = a_world(wait, a=says(200, b"A", slow) if slow else NEVER, b=says(200, b"B", 6.0))

    said, at = told(world)

    assert said.ending is ending
    assert states(said) == {"a": DELIVERED if slow else PENDING, "b": PENDING}
    assert 5.0 <= at <= 5.005
    assert "b" in {one.target for one in world.history.sent if one.yes}, "its delivery goes on"


def test_what_comes_too_late_is_counted_and_told_to_nobody() -> None:
    world = a_world(a_wait("a", timeout=1.0), a=says(200, b"A", 2.0))
    meters: list[RouteMeter] = []

    async def story(life: Life) -> None:
        answer = life.ask("e")
        await life.settle()
        assert isinstance(said := answer.result(), Settled)
        assert said.ending is Ending.TIMEOUT
        meters.extend(life.desk.route_meters())

    world.live(story)

    (meter,) = meters
    assert (meter.late, meter.waiting, meter.answers, meter.accepted) == (1, 0, {"Timeout": 1}, 1)


def test_an_open_circuit_is_told_at_once_and_the_delivery_is_held() -> None:
    world = a_world(a_wait("a"), a=lambda flight, now: status(503 if now < 60 else 200))
    endings: list[tuple[Ending, str, float]] = []

    async def story(life: Life) -> None:
        first = [life.ask(f"e{number}") for number in range(8)]
        await asyncio.wait(first)
        assert life.target("a").circuit == "Open"
        assert life.now() < 5, "before anybody's time was up"
        began = life.now()
        said = await life.ask("late")
        assert isinstance(said, Settled)
        endings.append((said.ending, said.heard[0].reason, life.now() - began))
        results = [one.result() for one in first]
        assert {one.heard[0].reason for one in results if isinstance(one, Settled)} == {"CircuitOpen"}
        await life.settle()

    world.live(story)

    ((ending, reason, took),) = endings
    assert (ending, reason) == (Ending.FAILED, "CircuitOpen")
    assert took < SOON
    assert {one.event for one in world.history.sent if one.yes} == {*(f"e{number}" for number in range(8)), "late"}


def test_a_success_on_its_way_to_the_disk_is_not_undone_by_a_circuit_that_opens() -> None:
    def behave(target: str, flight: Flight, now: float) -> Reply:
        return says(200, b"A", 0.2) if flight.event.head.id == "good" else status(503, 0.4)

    breaker = {"consecutive_failures": 1}
    made = a_plan(a_target("a", capture=KEEP, policy={"circuit_breaker": breaker}), respond=a_wait("a"))
    world = World(made, behave)
    said: list[Told] = []

    async def story(life: Life) -> None:
        asked = [life.ask("good"), life.ask("bad")]
        await asyncio.sleep(0.1)
        life.disk.latency = (1.0, 1.0)
        said.extend([await one for one in asked])

    world.live(story)

    assert [one.ending for one in said if isinstance(one, Settled)] == [Ending.ANSWERED, Ending.FAILED]


def test_a_suspended_route_accepts_and_says_that_nobody_is_asked() -> None:
    made = a_plan(a_target("a"), respond=a_wait("a"), suspend=True)

    said, at = told(World(made, lambda target, flight, now: status(200)))

    assert (said.ending, said.heard[0].reason) == (Ending.FAILED, "Suspended")
    assert said.receipt is not None
    assert at < SOON


def test_a_caller_that_has_gone_frees_its_place_and_its_event_is_delivered() -> None:
    world = a_world(a_wait("a"), a=says(200, b"A", 1.0))

    async def story(life: Life) -> None:
        answer = life.ask("e")
        await asyncio.sleep(0.5)
        caller = life.callers["e"]
        assert caller is not None
        caller.leave()
        caller.leave()
        assert life.engine.works.callers.count == 0
        await life.settle()
        assert not answer.done()
        assert life.engine.durable.live == {}, "nothing is kept for a caller that has gone"

    world.live(story)

    assert [one.event for one in world.history.sent if one.yes] == ["e"]


def test_shutting_down_answers_everybody_within_a_moment() -> None:
    """One is in flight, one waits for its retry: both are told, and both are delivered by the next life."""
    world = a_world(
        a_wait("a"),
        a=lambda flight, now: (
            NEVER if flight.event.head.id == "hangs" and now < 50 else status(503 if now < 50 else 200)
        ),
    )
    said: list[tuple[Told, float]] = []

    async def story(life: Life) -> None:
        asked = [life.ask("hangs"), life.ask("fails")]
        await asyncio.sleep(0.2)
        began = life.now()
        for one in asked:
            one.add_done_callback(lambda done: said.append((done.result(), life.now() - began)))
        await life.drain(10.0)

    async def later(life: Life) -> None:
        await asyncio.sleep(60)
        await life.settle()

    world.live(story)
    world.live(later)

    assert len(said) == 2
    for told_them, after in said:
        assert isinstance(told_them, Settled)
        assert told_them.receipt is not None
        assert after <= callers.PARTING + SOON
    assert {one.event for one in world.history.sent if one.yes} == {"hangs", "fails"}


def test_who_is_told_of_a_shutdown_hears_why_and_what_lands_after_that_is_late() -> None:
    """One waits for another one's answer, too: it is as well off as the one that waits for its retry."""

    def script(flight: Flight, now: float) -> Reply:
        return says(503) if flight.event.head.id == "fails" else says(200, b"A", 3.0)

    cached = a_target("a", capture=KEEP, cache=plan.Cache(key_expression="data", ttl=60.0))
    world = World(a_plan(cached, respond=a_wait("a", timeout=60.0)), lambda target, flight, now: script(flight, now))
    said: dict[str, tuple[Ending, str, float]] = {}
    meters: list[RouteMeter] = []

    async def story(life: Life) -> None:
        asked = {"fails": life.ask("fails", b"1"), "flies": life.ask("flies", b"2")}
        await asyncio.sleep(0.1)
        asked["waits"] = life.ask("waits", b"2")
        await asyncio.sleep(0.1)
        began = life.now()
        for event, one in asked.items():
            one.add_done_callback(functools.partial(heard, event, lambda: life.now() - began))
        await life.drain(10.0)
        meters.extend(life.desk.route_meters())

    def heard(event: str, after: typing.Callable[[], float], answer: "asyncio.Future[Told]") -> None:
        one = answer.result()
        assert isinstance(one, Settled)
        said[event] = (one.ending, one.heard[0].reason, after())

    world.live(story)

    assert {event: one[:2] for event, one in said.items()} == {
        "fails": (Ending.FAILED, "Draining"),
        "waits": (Ending.FAILED, "Draining"),
        "flies": (Ending.DRAINING, ""),
    }
    assert max(said["fails"][2], said["waits"][2]) < SOON
    assert callers.PARTING <= said["flies"][2] < callers.PARTING + SOON
    assert [(one.late, one.waiting, one.answers) for one in meters] == [(1, 0, {"Failed": 2, "Draining": 1})]


def test_whoever_comes_beyond_the_bound_is_turned_away_before_anything_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callers, "MOST_OF_A_ROUTE", 2)
    world = a_world(a_wait("a", timeout=3.0), a=says(200, b"A", 1.0))

    async def story(life: Life) -> None:
        answers = [life.ask(f"e{number}") for number in range(3)]
        turned = answers[2].result()
        assert isinstance(turned, Turned)
        assert (turned.status, turned.reason) == (503, "TooManyWaiting")
        await asyncio.wait(answers)
        assert isinstance(await life.ask("e3"), Settled), "a place is free again"
        await life.settle()

    world.live(story)

    assert {one.event for one in world.history.sent} == {"e0", "e1", "e3"}


def test_answers_that_would_be_too_much_are_kept_without_their_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "MOST_BYTES", 150)
    world = a_world(a_wait("a", "b"), a=says(200, b"a" * 100), b=says(200, b"b" * 100, 0.5))

    said, _ = told(world)

    kept = [one.answer for one in said.heard]
    assert kept == [Captured(200, (), b"a" * 100), Captured(200, (), b"", truncated=True)]


def test_a_caller_is_told_nothing_that_the_journal_does_not_have() -> None:
    """The disk hangs once the target has answered: what it said is not on disk, so the caller's time runs out."""
    world = a_world(a_wait("a", timeout=2.0), a=says(200, b"A", 1.0))
    said: list[Told] = []

    async def story(life: Life) -> None:
        answer = life.ask("e")
        await asyncio.sleep(0.9)
        life.disk.latency = (30.0, 30.0)
        said.append(await answer)

    world.live(story)

    (one,) = said
    assert isinstance(one, Settled)
    assert (one.ending, states(one)) == (Ending.TIMEOUT, {"a": PENDING})


def test_a_caller_whose_event_is_not_on_disk_in_time_gets_no_receipt() -> None:
    world = a_world(a_wait("a", timeout=2.0), a=says(200))
    world.disk = (30.0, 30.0)

    said, at = told(world)

    assert (said.ending, said.receipt) == (Ending.TIMEOUT, None)
    assert 2.0 <= at <= 2.005


def test_a_caller_is_shown_as_much_as_its_route_says_although_more_is_kept_for_others() -> None:
    first, second = a_target("a", capture=2, keep=64), a_target("b", depends_on=("a",))
    world = World(a_plan(first, second, respond=a_wait("a")), lambda target, flight, now: says(200, b"01234"))

    said, _ = told(world)

    assert [one.answer for one in said.heard] == [Captured(200, (), b"01", truncated=True)]
    assert [one.saw for one in world.history.sent if one.target == "b"] == [(("a", "Delivered", b"01234"),)]
