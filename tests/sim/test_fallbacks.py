"""Fallbacks in virtual time: who is asked in whose place and when, what is kept of that, and what a caller hears."""

import asyncio

import pytest

from fanout_crds import plan
from fanout_dispatcher.telemetry.seam import DeliveryFellBack
from fanout_dispatcher.transport.memory import NEVER, Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Ending, Settled
from fanout_dispatcher.values.outcome import Delivered, Failed
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.sim.graphs import NO, QUICK, WELL, asked, behaving, crash, one_event
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target, a_wait, changed

STATIC = plan.Static(status=200, headers=(("content-type", "application/json"),), body="[]")
NOTHING = Captured(200, (("content-type", "application/json"),), b"[]")
KEEP = 1 << 10


def target(name: str, **changes: object) -> plan.Target:
    return a_target(name, policy=QUICK, capture=KEEP, **changes)


def instead(of: str, **policy: object) -> plan.Behind:
    """Who stands in for a target."""
    patient = {**QUICK, "timeouts": {"total": 0.0}, **policy}
    return plan.Behind(role="Fallback", of=of, target=a_target(f"{of}.fallback", policy=patient, capture=KEEP))


def became(world: World, event: str = "e1") -> dict[str, tuple[str, str | None]]:
    view = world.history.events[world.history.accepted[event]]
    assert view is not None
    assert view.settled
    return {one.target: (one.state, one.reason) for one in view.deliveries}


def fell_back(life: Life) -> dict[str, dict[str, int]]:
    """What metrics count, by target and reason."""
    return {meter.target: meter.fell_back for meter in life.desk.lane_meters() if meter.fell_back}


# --- who is asked, and what is kept -----------------------------------------------------------------------------------


def test_another_is_asked_when_its_target_is_given_up_and_there_is_no_dead_letter() -> None:
    world = World(a_plan(target("sms"), behind=(instead("sms"),)), behaving(sms=status(503, 0.01)))

    async def story(life: Life) -> None:
        await one_event(life)
        assert await life.desk.dead_letters(DeadLetterFilter()) == []
        assert fell_back(life) == {"sms": {"AttemptsExhausted": 1}}

    world.live(story)

    assert asked(world) == ["sms", "sms", "sms", "sms.fallback"]
    assert became(world) == {"sms": ("Dead", "FellBack"), "sms.fallback": ("Delivered", None)}
    (told,) = [one for one in world.seam.changes if isinstance(one, DeliveryFellBack)]
    assert (told.target, told.reason, told.attempts) == ("sms", "AttemptsExhausted", 3)
    assert told.detail == "3 attempts, the last: the target answered 503"


def test_nobody_else_is_asked_when_the_target_is_well() -> None:
    world = World(a_plan(target("sms"), behind=(instead("sms"),)), behaving())

    world.live(one_event)

    assert asked(world) == ["sms"]
    assert became(world) == {"sms": ("Delivered", None), "sms.fallback": ("Skipped", "NotNeeded")}


def test_one_that_is_given_up_too_is_the_dead_letter_and_is_replayed_to_alone() -> None:
    mended: list[bool] = []

    def behave(name: str, flight: Flight, now: float) -> Reply:
        return WELL if mended else NO

    world = World(a_plan(target("sms"), behind=(instead("sms"),)), behave)

    async def story(life: Life) -> None:
        await one_event(life)
        (letter,) = await life.desk.dead_letters(DeadLetterFilter())
        assert (letter.target, letter.reason) == ("sms.fallback", "TargetRejected")
        mended.append(True)
        await life.replay(DeadLetterFilter())
        await life.settle()

    world.live(story)

    assert asked(world) == ["sms", "sms.fallback", "sms.fallback"]


def test_what_depends_on_a_target_goes_once_its_fallback_is_through() -> None:
    paid = target("ship", depends_on=("pay",))
    world = World(a_plan(target("pay"), paid, behind=(instead("pay"),)), behaving(pay=NO))

    world.live(one_event)

    assert asked(world) == ["pay", "pay.fallback", "ship"]


@pytest.mark.parametrize("static", [True, False])
def test_a_later_step_reads_what_stood_in_for_an_earlier_one(static: bool) -> None:
    reads = "targets.more.fallback && targets.more.state == 'Delivered' && targets.more.status == 200"
    first = target("more", keep=KEEP, static=STATIC if static else None)
    made = a_plan(first, target("page", depends_on=("more",), when=reads), behind=() if static else (instead("more"),))
    world = World(made, behaving(more=NO))

    world.live(one_event)

    assert became(world)["page"] == ("Delivered", None)


def test_a_saga_goes_on_with_a_fallback_and_fails_without_one() -> None:
    undo = plan.Behind(role="Compensation", of="pay", target=a_target("pay.compensate", policy=QUICK))
    made = a_plan(target("pay"), target("stock", depends_on=("pay",)), behind=(instead("stock"), undo))
    stood_in = World(made, behaving(stock=NO))
    failed = World(made, behaving(stock=NO, stock__fallback=NO))

    stood_in.live(one_event)
    failed.live(one_event)

    assert asked(stood_in) == ["pay", "stock", "stock.fallback"]
    assert asked(failed) == ["pay", "stock", "stock.fallback", "pay.compensate"]


def test_what_is_given_up_once_its_saga_has_failed_is_a_dead_letter_as_ever() -> None:
    undo = plan.Behind(role="Compensation", of="bad", target=a_target("bad.compensate", policy=QUICK))
    made = a_plan(target("bad"), target("late"), behind=(instead("late"), undo))
    world = World(made, behaving(bad=NO, late=status(422, 0.5)))

    world.live(one_event)

    assert became(world)["late"] == ("Dead", "TargetRejected")
    assert became(world)["late.fallback"] == ("Skipped", "NotReached")


def test_a_target_whose_condition_has_no_value_is_a_dead_letter_and_nobody_is_asked_in_its_place() -> None:
    made = a_plan(target("sms", when="data.urgent"), behind=(instead("sms"),))
    world = World(made, behaving())

    world.live(one_event)

    assert asked(world) == []
    assert became(world) == {"sms": ("Dead", "ExpressionFailed"), "sms.fallback": ("Skipped", "NotNeeded")}


def test_a_crash_at_any_moment_leaves_one_of_the_two_done_and_none_forgotten() -> None:
    for instant in range(1, 40):
        world = World(a_plan(target("sms"), behind=(instead("sms"),)), behaving(sms=status(503, 0.01)), seed=instant)

        crash(world, instant * 0.012)

        if "e1" in world.history.accepted:
            assert became(world) == {"sms": ("Dead", "FellBack"), "sms.fallback": ("Delivered", None)}
            assert world.history.left == set()


# --- callers ----------------------------------------------------------------------------------------------------------


def says(body: bytes, latency: float = 0.01) -> Reply:
    return Reply(Delivered(200, Captured(200, (), body)), latency)


def a_route(*, durability: str = "Journal", static: bool = False, timeout: float = 10.0) -> plan.Plan:
    """Payment has to answer; recommendations may be stood in for."""
    return a_plan(
        target("payment"),
        target("more", static=STATIC if static else None),
        behind=() if static else (instead("more"),),
        respond=a_wait("payment", "more", timeout=timeout),
        durability=durability,
    )


async def told(life: Life, event: str = "e1") -> Settled:
    said = await life.ask(event)
    assert isinstance(said, Settled), said
    return said


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
def test_a_caller_hears_the_static_answer_in_place_of_a_target_that_is_given_up(durability: str) -> None:
    world = World(a_route(durability=durability, static=True), behaving(payment=says(b"paid"), more=NO))

    async def story(life: Life) -> None:
        said = await told(life)
        assert said.ending is Ending.ANSWERED
        assert [(one.state, one.fallback, one.reason) for one in said.heard] == [(1, False, ""), (1, True, "")]
        assert said.heard[1].answer == NOTHING
        await life.settle()
        await life.look()

    world.live(story)

    assert became(world)["more"] == ("Dead", "FellBack")
    assert world.history.left == set()


def test_a_caller_hears_what_another_said_in_its_place() -> None:
    world = World(a_route(), behaving(payment=says(b"paid"), more=NO, more__fallback=says(b"bestsellers", 0.3)))

    async def story(life: Life) -> None:
        said = await told(life)
        assert said.ending is Ending.ANSWERED
        assert said.heard[1].fallback
        assert said.heard[1].answer == Captured(200, (), b"bestsellers")

    world.live(story)


def test_a_caller_hears_of_a_fallback_that_is_given_up_too() -> None:
    no = Reply(Failed(status=404, answer=Captured(404, (), b"who?")), 0.01)
    world = World(a_route(), behaving(more=NO, more__fallback=no))

    async def story(life: Life) -> None:
        said = await told(life)
        assert said.ending is Ending.FAILED
        assert (said.heard[1].reason, said.heard[1].detail) == ("TargetRejected", "the target answered 404")
        assert (said.heard[1].fallback, said.heard[1].answer) == (True, Captured(404, (), b"who?"))

    world.live(story)


async def broken(life: Life, target: str = "more") -> None:
    """Its circuit is open: five events that nobody waits for have failed."""
    for number in range(5):
        life.post(f"before-{number}")
        await asyncio.sleep(0.05)
    assert life.target(target).circuit == "Open"


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
@pytest.mark.parametrize("static", [True, False])
def test_with_an_open_circuit_a_caller_has_the_fallback_at_once_and_the_target_is_not_asked_later(
    durability: str, static: bool
) -> None:
    made = a_route(durability=durability, static=static)
    world = World(made, lambda name, flight, now: status(503) if name == "more" and now < 20 else WELL)

    async def story(life: Life) -> None:
        await broken(life)
        began = life.now()
        said = await told(life)
        assert said.ending is Ending.ANSWERED
        assert said.heard[1].fallback
        assert life.now() - began < 0.2
        assert fell_back(life)["more"]["CircuitOpen"] == 1
        await life.settle(patience=1000)
        await life.look()

    world.live(story)

    assert became(world)["more"] == ("Dead", "FellBack")
    assert not [one for one in world.history.sent if one.event == "e1" and one.target == "more"]
    assert [one.reason for one in world.seam.changes if isinstance(one, DeliveryFellBack)].count("CircuitOpen") == 0


def test_a_circuit_that_opens_while_callers_wait_gives_all_of_them_the_fallback() -> None:
    """One has an attempt in flight, the others wait for their second: none is asked again."""
    world = World(
        a_route(static=True),
        lambda name, flight, now: (
            WELL if name == "payment" else status(503, 0.15 if flight.event.head.id == "e9" else 0.001)
        ),
    )

    async def story(life: Life) -> None:
        answers = [life.ask(f"e{number}") for number in range(5, 10)]
        for said in await asyncio.gather(*answers):
            assert isinstance(said, Settled)
            assert said.ending is Ending.ANSWERED
            assert said.heard[1].fallback
        await life.settle()
        await life.look()
        assert life.now() < 1.0

    world.live(story)

    assert asked(world).count("more") == 5
    assert all(became(world, f"e{number}")["more"] == ("Dead", "FellBack") for number in range(5, 10))


def test_a_callers_delivery_is_the_probe_once_the_circuit_lets_one_through() -> None:
    world = World(
        a_route(static=True),
        lambda name, flight, now: status(503) if name == "more" and now < 20 else says(name.encode()),
    )

    async def story(life: Life) -> None:
        for number in range(5):
            await told(life, f"before-{number}")
        assert life.target("more").circuit == "Open"
        await asyncio.sleep(60)
        assert life.target("more").circuit == "Open", "nothing is owed, so that nothing has probed it"
        said = await told(life)
        assert said.heard[1].answer == Captured(200, (), b"more")

    world.live(story)


def test_where_nobody_waits_a_delivery_is_held_though_it_has_a_fallback() -> None:
    world = World(a_route(static=True), lambda name, flight, now: status(503) if now < 20 else WELL)

    async def story(life: Life) -> None:
        await broken(life)
        await life.post("e1")
        await life.settle(patience=1000)
        await life.look()

    world.live(story)

    assert became(world)["more"] == ("Delivered", None)


def test_a_caller_is_told_at_once_when_the_circuit_of_the_fallback_is_open_too() -> None:
    world = World(a_route(), lambda name, flight, now: WELL if name == "payment" else status(503))

    async def story(life: Life) -> None:
        for number in range(3):
            await told(life, f"before-{number}")
        assert (life.target("more").circuit, life.target("more.fallback").circuit) == ("Open", "Open")
        began = life.now()
        said = await told(life)
        assert (said.ending, said.heard[1].reason) == (Ending.FAILED, "CircuitOpen")
        assert life.now() - began < 0.2

    world.live(story)


def test_a_delivery_that_expires_as_its_circuit_opens_is_told_once() -> None:
    """The journal is being asked what has expired when its caller is given the fallback: one success is not two."""
    fragile = {**QUICK, "timeouts": {"total": 1.5}, "circuit_breaker": {"consecutive_failures": 1}}
    more = a_target("more", policy=fragile, capture=KEEP, static=STATIC, delay=60.0)
    made = a_plan(target("payment"), more, respond=a_wait("payment", "more", timeout=10.0))
    at_once = changed(
        made, {"revision": "r2", "generation": 2, "targets": (made.targets[0], changed(more, {"delay": 0}))}
    )
    world = World(made, behaving(payment=says(b"paid", 6.0), more=status(503, 0.5)))

    async def story(life: Life) -> None:
        answer = life.ask("e1")  # in the index, and due in a minute
        await asyncio.sleep(1.8)
        life.adopt(at_once)
        life.post("e2")
        await asyncio.sleep(0.1)
        life.disk.latency = (0.5, 0.5)  # a sweep asks at 2 s, and hears at 2.5 s; e2 fails in between
        said = await answer
        assert isinstance(said, Settled)
        assert said.ending is Ending.ANSWERED
        assert [(one.state, one.fallback) for one in said.heard] == [(1, False), (1, True)]

    world.live(story)


def test_a_suspended_route_answers_nobody_by_its_fallback() -> None:
    made = a_plan(target("more", static=STATIC), respond=a_wait("more"), suspend=True)
    world = World(made, behaving(more=NEVER))

    async def story(life: Life) -> None:
        said = await told(life)
        assert (said.ending, said.heard[0].reason) == (Ending.FAILED, "Suspended")

    world.live(story)


def test_a_delivery_that_finds_its_circuit_open_only_by_asking_it_is_given_up_once() -> None:
    """A probe hangs, and nobody has looked at the circuit since: who comes then is the one who opens it again."""
    breaker = {"half_open": {"max_calls": 1, "success_threshold": 1, "max_wait": 1.0}}
    patient = a_target(
        "more", static=STATIC, capture=KEEP, policy={"circuit_breaker": breaker, "timeouts": {"attempt": 600.0}}
    )
    made = a_plan(patient, respond=a_wait("more", timeout=2.0))
    world = World(made, lambda name, flight, now: status(503) if now < 20 else NEVER)

    async def story(life: Life) -> None:
        for number in range(5):
            life.ask(f"before-{number}")
        await asyncio.sleep(60)
        assert (await told(life, "probe")).ending is Ending.TIMEOUT
        assert life.target("more").circuit == "HalfOpen"
        said = await told(life)
        assert said.heard[0].answer == NOTHING
        assert life.target("more").pending == 1, "the probe"

    world.live(story)
