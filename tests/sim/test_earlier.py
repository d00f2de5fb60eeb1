"""Answers of earlier targets in virtual time: who reads what, over retries, crashes and edits."""

import itertools

import msgspec
import pytest

from fanout_dispatcher.transport.memory import Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.earlier import unpacked
from fanout_dispatcher.values.outcome import Delivered
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.sim.graphs import NO, WELL, behaving, crash, final, one_event, states, step, to_the_end, undo
from tests.sim.senders import Lost
from tests.sim.world import Life, World
from tests.support.plans import a_plan

Saw = dict[str, tuple[str, bytes | None]]


def says(body: bytes, code: int = 200) -> Reply:
    """An answer with this body."""
    return Reply(Delivered(code, Captured(code, (), body)), 0.01)


def saw(world: World, target: str) -> list[Saw]:
    """What each request to *target* could be made of."""
    return [
        {name: (state, body) for name, state, body in one.saw} for one in world.history.sent if one.target == target
    ]


def test_each_step_reads_what_those_before_it_answered_and_a_callback_all_of_it() -> None:
    world = World(
        a_plan(
            step("a", keep=64), step("b", "a", keep=64), step("c", "b"), step("d", keep=64), behind=(final("audit"),)
        ),
        behaving(a=says(b"A"), b=says(b"B"), d=says(b"D")),
    )

    world.live(one_event)

    assert saw(world, "a") == [{}]
    assert saw(world, "b")[0]["a"] == ("Delivered", b"A")
    assert {name: saw(world, "c")[0][name] for name in ("a", "b")} == {
        "a": ("Delivered", b"A"),
        "b": ("Delivered", b"B"),
    }
    assert saw(world, "finally.audit") == [
        {"a": ("Delivered", b"A"), "b": ("Delivered", b"B"), "d": ("Delivered", b"D")}
    ]


def test_only_the_answer_that_counts_is_read_and_every_retry_reads_the_same() -> None:
    first = iter([status(503), says(b"second")])
    then = iter([status(503), status(503), WELL])
    world = World(
        a_plan(step("a", keep=64), step("b", "a")),
        lambda target, flight, now: next(first if target == "a" else then),
    )

    world.live(one_event)

    assert saw(world, "b") == [{"a": ("Delivered", b"second")}] * 3


@pytest.mark.parametrize("capture", [0, 2, 6, 64])
def test_what_is_longer_than_is_kept_is_not_kept_whatever_a_caller_is_shown_of_it(capture: int) -> None:
    made = a_plan(step("a", keep=4, capture=capture), step("b", "a", when="targets.a.truncated"))
    world = World(made, behaving(a=says(b"01234")))

    world.live(one_event)

    assert saw(world, "b") == [{"a": ("Delivered", b"")}]


def test_a_target_that_may_die_is_read_as_dead() -> None:
    world = World(a_plan(step("a", keep=64, on_dead="Continue"), step("b", "a")), behaving(a=NO))

    world.live(one_event)

    assert saw(world, "b") == [{"a": ("Dead", None)}]


@pytest.mark.parametrize(("body", "became"), [(b"yes", "Delivered"), (b"no", "Skipped")])
def test_a_condition_that_reads_an_answer_is_asked_when_its_turn_comes(body: bytes, became: str) -> None:
    world = World(
        a_plan(step("a", keep=64), step("b", "a", when="targets.a.body == 'yes'"), step("c", "b", keep=64)),
        behaving(a=says(body)),
    )

    world.live(one_event)

    assert states(world) == {"a": "Delivered", "b": became, "c": "Delivered"}


def test_a_condition_reads_of_a_target_that_was_given_up_why() -> None:
    world = World(
        a_plan(
            step("a", keep=64, on_dead="Continue"),
            step("b", "a", when="targets.a.state == 'Dead' && targets.a.reason == 'TargetRejected'"),
            step("c", keep=64, when="false"),
            step("d", "c", when="targets.c.state == 'Skipped' && !has(targets.c.body)"),
        ),
        behaving(a=NO),
    )

    world.live(one_event)

    assert states(world) == {"a": "Dead", "b": "Delivered", "c": "Skipped", "d": "Delivered"}


def test_a_condition_without_a_value_is_a_death_that_is_read_with_its_reason() -> None:
    world = World(
        a_plan(
            step("a", keep=64, when="data.missing > 1", on_dead="Continue"),
            step("b", "a", when="targets.a.reason == 'ExpressionFailed'"),
        ),
        behaving(),
    )

    world.live(one_event)

    assert states(world) == {"a": "Dead", "b": "Delivered"}


def test_a_compensation_reads_what_is_to_be_undone() -> None:
    world = World(a_plan(step("a", keep=64), step("b", "a"), behind=(undo("a"),)), behaving(a=says(b"booking 7"), b=NO))

    world.live(one_event)

    assert saw(world, "a.compensate") == [{"a": ("Delivered", b"booking 7")}]


def test_a_compensation_of_what_never_answered_reads_that_there_is_no_answer() -> None:
    world = World(a_plan(step("a", keep=64), behind=(undo("a"),)), behaving(a=status(503, 0.01)))

    world.live(one_event)

    assert saw(world, "a.compensate") == [{"a": ("Dead", None)}]


def test_an_event_that_came_in_before_anybody_read_an_answer_has_none_to_be_read() -> None:
    before = a_plan(step("a"), step("b", "a"))
    after = a_plan(step("a", keep=64), step("b", "a"), revision="r2", generation=2)
    world = World(before, behaving(a=status(200, 1.0)))

    async def story(life: Life) -> None:
        await life.post("e1")
        life.adopt(after)
        await to_the_end(life)

    world.live(story)

    assert saw(world, "b") == [{}]


@pytest.mark.parametrize("again", [False, True])
def test_a_dead_letter_takes_along_what_its_target_could_read_and_so_does_its_replay(again: bool) -> None:
    world = World(a_plan(step("a", keep=64), step("b", "a")), behaving(a=says(b"A"), b=NO))
    carried: list[bytes] = []

    def remembering(target: str, flight: Flight, now: float) -> Reply | Lost:
        carried.append(flight.event.head.earlier)
        return world_behave(target, flight, now)

    world_behave, world.behave = world.behave, remembering

    async def story(life: Life) -> None:
        await one_event(life)
        for _ in range(1 + again):  # a replay that dies is a dead letter, too
            await life.desk.replay(DeadLetterFilter())
            await life.settle()

    world.live(story)

    assert carried[:2] == [b"", b""]
    assert [[one.target for one in unpacked(text).heard] for text in carried[2:]] == [["a"]] * (1 + again)
    assert unpacked(carried[-1]).read(None)["a"] == {
        "state": "Delivered", "status": 200, "headers": {}, "truncated": False, "body": "A",
        "fallback": False, "cached": False,
    }  # fmt: skip


@pytest.mark.parametrize("broken", [None, "c"])
def test_a_crash_at_any_moment_takes_no_answer_away(broken: str | None) -> None:
    """Two crashes, at every instant of a life: each step reads the answer that was written down with its turn."""
    plan = a_plan(
        step("a", keep=64),
        step("b", "a", keep=64, when="targets.a.body.startsWith('a ')"),
        step("c", "b", when="targets.a.status + targets.b.status == 400"),
        behind=(undo("b"), final("audit")),
    )
    ways = {} if broken is None else {broken: NO}
    for first, second in itertools.product([0.09 * part / 24 for part in range(1, 25)], [0.011, 0.033]):
        world = World(plan, behaving(**ways), seed=int(first * 1e6))

        crash(world, first, second)

        if "e1" not in world.history.accepted:
            continue  # the crash came before its 202
        for target, read in (("b", "a"), ("c", "ab"), ("b.compensate", "ab"), ("finally.audit", "ab")):
            for seen in saw(world, target):
                assert {name: seen.get(name) for name in read} == {name: counted(world, name) for name in read}


def counted(world: World, target: str) -> tuple[str, bytes | None]:
    """The last answer of a target that was a success: of an earlier one the process died before it was written."""
    answers = [one.outcome for one in world.history.sent if one.target == target and one.yes]
    answer = answers[-1]
    assert isinstance(answer, Delivered)
    assert answer.answer is not None
    return "Delivered", msgspec.structs.astuple(answer.answer)[2]
