"""Durable time: when a retry is due, when a delivery expires and what a date means, whatever is done to clocks.

Within one boot the engine's time is the machine's own, suspends while nobody was there included, and the wall clock may
be set as one likes. Across boots only the wall clock says how long it was; one that was set back says nothing.
"""

import asyncio
import email.utils

import pytest

from fanout_dispatcher.engine.engine import MARK
from fanout_dispatcher.transport.memory import Reply, status
from fanout_dispatcher.transport.protocol import Flight
from tests.sim.world import WALL, Life, World
from tests.support.plans import a_plan, a_target

WAIT = 600.0  # seconds between two attempts
HOUR = 3600.0
JUMPS = pytest.mark.parametrize("jump", [-HOUR, 0.0, HOUR])
POLICY: dict[str, object] = {
    "retry": {"backoff": {"type": "Constant", "base_delay": WAIT, "max_delay": WAIT, "jitter": "None"}},
    "timeouts": {"total": 2 * HOUR},
}


class Scene:
    """A target that fails the first attempt, and when it was asked, in seconds of each life."""

    def __init__(self, first: Reply | None = None) -> None:
        self.first = first or status(503)
        self.asked: list[float] = []
        self.world = World(a_plan(a_target("a", policy=POLICY)), self.behave)

    def passes(self, seconds: float) -> None:
        """So long nobody was there."""
        self.world.began += seconds
        self.world.paused += seconds

    def behave(self, target: str, flight: Flight, now: float) -> Reply:
        self.asked.append(asyncio.get_running_loop().time())
        return self.first if flight.number == 1 else status(200)

    def begins(self, seconds: float = 100.0) -> None:
        """One event, whose first attempt fails; then the process is killed."""

        async def life(life: Life) -> None:
            life.post("e1")
            await asyncio.sleep(seconds)

        self.world.live(life)
        assert len(self.asked) == 1
        self.asked.clear()

    def goes_on(self) -> list[str]:
        """Run until nothing is pending; why the delivery died, if it did."""
        reasons: list[str] = []

        async def life(life: Life) -> None:
            await life.settle()
            reasons.extend(await life.reasons("a"))

        self.world.live(life)
        return reasons


@JUMPS
def test_within_a_boot_a_retry_is_due_when_it_was_whatever_the_wall_clock_says(jump: float) -> None:
    """The 200 s in which nobody was there may have been a suspend: CLOCK_BOOTTIME runs on in one."""
    scene = Scene()
    scene.begins()
    scene.passes(200.0)
    scene.world.jumped += jump

    assert scene.goes_on() == []
    assert scene.asked == [pytest.approx(WAIT - 100 - 200, abs=0.1)]


@pytest.mark.parametrize(
    ("jump", "waits"), [(0.0, WAIT - 100 - 200), (-HOUR, WAIT - MARK), (HOUR, 0.0)], ids=["right", "back", "ahead"]
)
def test_across_boots_the_wall_clock_says_how_long_it_was_and_never_less_than_nothing(
    jump: float, waits: float
) -> None:
    """Set back, not even what has passed since the last commit counts: nobody can tell the one from the other."""
    scene = Scene()
    scene.begins()
    scene.passes(200.0)
    scene.world.boots += 1
    scene.world.jumped += jump

    assert scene.goes_on() == []
    assert scene.asked == [pytest.approx(waits, abs=0.1)]


@JUMPS
@pytest.mark.parametrize(("away", "reasons"), [(1.8 * HOUR, []), (2.1 * HOUR, ["Expired"])])
def test_total_runs_on_while_nobody_is_there_by_the_machines_clock(
    jump: float, away: float, reasons: list[str]
) -> None:
    scene = Scene()
    scene.begins()
    scene.passes(away)
    scene.world.jumped += jump

    assert scene.goes_on() == reasons
    assert len(scene.asked) == (not reasons)


def test_a_clock_that_was_set_back_across_a_reboot_expires_nothing() -> None:
    scene = Scene()
    scene.begins()
    scene.world.boots += 1
    scene.world.jumped -= 100 * HOUR

    assert scene.goes_on() == []
    assert len(scene.asked) == 1


@JUMPS
def test_while_it_runs_the_wall_clock_moves_no_retry(jump: float) -> None:
    scene = Scene(status(503, retry_after=email.utils.formatdate(WALL + 900, usegmt=True)))

    async def story(life: Life) -> None:
        life.post("e1")
        await asyncio.sleep(1.0)
        scene.world.jumped += jump
        await life.settle()

    scene.world.live(story)

    assert scene.asked == [pytest.approx(0.0, abs=0.1), pytest.approx(900.0, abs=0.1)]


@JUMPS
def test_a_date_is_read_by_a_wall_clock_that_was_corrected_while_the_process_ran(jump: float) -> None:
    """As a machine's is that begins an hour off, or was suspended: by the clock of its start, 900 s would be 4,500."""
    scene = Scene(status(503, retry_after=email.utils.formatdate(WALL + 900, usegmt=True)))
    scene.world.jumped = -jump

    async def story(life: Life) -> None:
        scene.world.jumped = 0.0
        life.post("e1")
        await life.settle()

    scene.world.live(story)

    assert scene.asked == [pytest.approx(0.0, abs=0.1), pytest.approx(900.0, abs=0.1)]


@JUMPS
def test_a_date_that_was_read_before_a_restart_stays_what_it_was(jump: float) -> None:
    scene = Scene(status(503, retry_after=email.utils.formatdate(WALL + 900, usegmt=True)))
    scene.begins()
    scene.passes(200.0)
    scene.world.jumped += jump

    assert scene.goes_on() == []
    assert scene.asked == [pytest.approx(600.0, abs=0.1)]


def test_a_restart_reads_dates_by_the_wall_clock_that_it_finds() -> None:
    scene = Scene()
    scene.begins()
    scene.world.jumped += HOUR  # it had been an hour late
    scene.first = status(503, retry_after=email.utils.formatdate(WALL + HOUR + 1000, usegmt=True))

    async def story(life: Life) -> None:
        life.post("e2")
        await life.settle()

    scene.world.live(story)

    assert [round(at) for at in scene.asked] == [0, 500, 900]


@JUMPS
def test_history_is_kept_for_a_day_by_the_machines_clock(jump: float) -> None:
    scene = Scene(status(200))
    scene.begins()
    scene.passes(20 * HOUR)
    scene.world.jumped += 100 * jump

    async def story(life: Life) -> None:
        receipt = scene.world.history.accepted["e1"]
        await asyncio.sleep(3 * HOUR)
        assert await life.desk.event(receipt) is not None
        await asyncio.sleep(2 * HOUR)
        assert await life.desk.event(receipt) is None

    scene.world.live(story)
