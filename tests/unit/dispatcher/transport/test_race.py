"""The race between a target's addresses, in virtual time (RFC 8305)."""

import asyncio
import collections.abc
import typing

import pytest

from fanout_dispatcher.transport.answer import Usual
from fanout_dispatcher.transport.connection import Connection
from fanout_dispatcher.transport.race import Dial, Dialled, first
from fanout_dispatcher.values.outcome import Failed, Fault, Refused
from tests.sim.loop import run

NO = Failed(fault=Fault.CONNECT_FAILURE)
LATER_NO = Failed(fault=Fault.TLS_FAILURE)
SHORT = Refused("short")
NEVER = 1e6


class Home:
    usual = Usual()

    def free(self, connection: Connection) -> None:
        raise AssertionError("nobody has settled")

    def gone(self, connection: Connection) -> None:
        raise AssertionError("nobody has settled")


class Course:
    """Runs races; remembers when each dial began and which were cancelled."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.cancelled: list[int] = []
        self.connections: dict[int, Connection] = {}

    def dial(self, number: int, after: float, outcome: Failed | Refused | None) -> Dial:
        """One that takes *after* seconds, and connects where *outcome* is None."""

        async def dial() -> Dialled:
            self.began.append(asyncio.get_running_loop().time())
            try:
                await asyncio.sleep(after)
            except asyncio.CancelledError:
                self.cancelled.append(number)
                raise
            if outcome is not None:
                return outcome
            self.connections[number] = Connection(Home())
            return self.connections[number]

        return dial

    def run(self, *dials: tuple[float, Failed | Refused | None]) -> tuple[Dialled, float]:
        """Race; what came of it and how long it took."""

        async def race() -> tuple[Dialled, float]:
            started = [self.dial(number, *one) for number, one in enumerate(dials)]
            outcome = await first(started, head_start=0.25)
            took = asyncio.get_running_loop().time()
            await settled()
            return outcome, took

        found: tuple[Dialled, float] = run(race())
        return found


async def settled() -> None:
    """Let what was cancelled end, and see that nothing goes on."""
    await asyncio.sleep(1e-6)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_the_first_to_connect_wins_and_the_others_are_called_off() -> None:
    course = Course()

    outcome, took = course.run((1.0, None), (0.3, None), (NEVER, None))

    assert outcome is course.connections[1]
    assert took == pytest.approx(0.55)
    assert course.began == pytest.approx([0.0, 0.25, 0.5])
    assert sorted(course.cancelled) == [0, 2]


def test_one_that_connects_within_its_head_start_has_no_rival() -> None:
    course = Course()

    outcome, _ = course.run((0.2, None), (0.0, None))

    assert outcome is course.connections[0]
    assert len(course.began) == 1


def test_a_slow_first_is_not_cut_off_by_the_next() -> None:
    course = Course()

    outcome, took = course.run((0.9, None), (NEVER, None), (NEVER, None))

    assert outcome is course.connections[0]
    assert took == pytest.approx(0.9)


def test_a_failure_starts_the_next_at_once() -> None:
    course = Course()

    outcome, took = course.run((0.01, NO), (0.01, NO), (0.01, None))

    assert outcome is course.connections[2]
    assert took == pytest.approx(0.03)


def test_when_all_fail_the_last_failure_is_what_is_said() -> None:
    outcome, took = Course().run((0.5, LATER_NO), (0.01, NO), (0.01, NO))

    assert outcome == LATER_NO
    assert took == pytest.approx(0.5)


def test_a_shortage_of_our_own_ends_the_race() -> None:
    course = Course()

    outcome, _ = course.run((0.01, SHORT), (0.0, None))

    assert outcome == SHORT
    assert len(course.began) == 1


@pytest.mark.parametrize("at", [0.0, 0.1, 0.25, 0.3, 0.6])
def test_a_race_called_off_leaves_no_attempt_behind(at: float) -> None:
    course = Course()

    async def called_off() -> None:
        race = asyncio.ensure_future(_race(course))
        await asyncio.sleep(at)
        race.cancel()
        await settled_but(race)

    run(called_off())

    assert len(course.cancelled) == len(course.began)


async def _race(course: Course) -> Dialled:
    return await first([course.dial(number, NEVER, None) for number in range(3)], head_start=0.25)


async def settled_but(race: asyncio.Task[Dialled]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await race
    await settled()


def test_of_two_that_connect_in_the_same_turn_the_second_is_closed() -> None:
    made: list[Connection] = []
    gate: list[asyncio.Event] = []

    def together() -> collections.abc.Coroutine[typing.Any, typing.Any, Dialled]:
        async def dial() -> Dialled:
            await gate[0].wait()
            made.append(Connection(Home()))
            return made[-1]

        return dial()

    async def race() -> Dialled:
        gate.append(asyncio.Event())
        asyncio.get_running_loop().call_later(1.0, gate[0].set)
        winner = await first([together, together, together], head_start=0.25)
        await settled()
        return winner

    winner = run(race())

    assert len(made) == 3
    assert [one.dead for one in made if one is not winner] == [True, True]
    assert not winner.dead
