"""What tests of graphs share: steps that depend on each other, targets that behave, and lives that crash."""

import asyncio
import functools

from fanout_crds import plan
from fanout_dispatcher.transport.memory import Reply, status
from tests.sim.senders import Lost
from tests.sim.world import Behave, Life, World
from tests.support.plans import a_plan, a_target

QUICK = {"retry": {"backoff": {"type": "Constant", "base_delay": 0.2, "jitter": "None"}, "max_attempts": 3}}
UNDO = {**QUICK, "timeouts": {"total": 0.0}}
WELL = status(200, 0.01)
NO = status(422, 0.01)


def step(name: str, *after: str, **changes: object) -> plan.Target:
    """A target that depends on others."""
    return a_target(name, depends_on=after, policy=QUICK, **changes)


def undo(name: str) -> plan.Behind:
    """How a target is undone."""
    return plan.Behind(role="Compensation", of=name, target=a_target(f"{name}.compensate", policy=UNDO))


def final(name: str) -> plan.Behind:
    """A completion callback."""
    return plan.Behind(role="Final", of="", target=a_target(f"finally.{name}", policy=UNDO))


def saga() -> plan.Plan:
    """Payment, then stock and courier beside each other, then shipping; all but the last can be undone."""
    return a_plan(
        step("payment"),
        step("stock", "payment"),
        step("courier", "payment"),
        step("shipping", "stock", "courier"),
        behind=(undo("payment"), undo("stock"), undo("courier"), final("audit")),
    )


def behaving(**behaviours: Reply | Lost) -> Behave:
    """Targets that do this, by name (a dot is written as two underscores); all others are well."""
    return lambda target, flight, now: behaviours.get(target.replace(".", "__"), WELL)


def asked(world: World) -> list[str]:
    """Who was asked, in order."""
    return [one.target for one in world.history.sent]


async def one_event(life: Life) -> None:
    """An event comes in and everything comes to its end."""
    await life.post("e1")
    await life.settle(patience=1000)
    await life.look()


async def to_the_end(life: Life) -> None:
    """A later life of the same."""
    await life.settle(patience=1000)
    await life.look()


def states(world: World) -> dict[str, str]:
    """What became of each position."""
    view = world.history.events[world.history.accepted["e1"]]
    assert view is not None
    assert view.settled
    return {one.target: one.state for one in view.deliveries}


def crash(world: World, *seconds: float) -> None:
    """Live the event "e1" through a crash after each of these, counted from the start of a life; then to the end."""

    async def first(life: Life) -> None:
        life.post("e1")
        await asyncio.sleep(seconds[0])

    async def again(life: Life, until: float) -> None:
        await asyncio.sleep(until)

    world.live(first)
    for until in seconds[1:]:
        world.live(functools.partial(again, until=until))
    world.live(to_the_end)
