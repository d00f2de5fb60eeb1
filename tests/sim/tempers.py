"""How simulated targets behave, mood by mood. Each has chance of its own: what one does shifts nothing for another."""

import asyncio
import collections
import email.utils
import random
import typing
import zlib

from fanout_dispatcher.transport.memory import NEVER, Reply, fault, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.outcome import Fault
from tests.sim.scenario import Mood, Temper
from tests.sim.senders import Lost, members
from tests.sim.world import Behave, World

GOOD = Mood(kind="good", until=float("inf"))


def behave(world: World, tempers: dict[str, Temper], heal: float) -> Behave:
    """What every target of *world* does."""
    chances: dict[str, random.Random] = {}
    crowds: dict[tuple[int, str], Crowd] = collections.defaultdict(Crowd)

    def asked(target: str, flight: Flight, now: float) -> Reply | Lost:
        key = f"{flight.event.frozen.route} {target}"
        at = world.script_time()
        mood = _mood(tempers.get(key, ()), at) if at < heal else GOOD
        chance = chances.get(key) or chances.setdefault(key, random.Random(f"{key}/{world.seed}"))
        latency = chance.uniform(*mood.latency)
        if mood.kind == "good" or chance.random() >= mood.share:
            return status(200, latency)
        world.history.fire(f"target {mood.kind}")
        wall = None if world.jumped else world.wall()
        return MOODS[mood.kind](_Asked(mood, flight, now, latency, chance, wall, crowds[world.lives, key]))

    return asked


class Crowd:
    """Who is at a target at once; who has given up waiting is there until its answer is made."""

    def __init__(self) -> None:
        self.size = 0

    def enters(self) -> int:
        """One more; how many are there now."""
        self.size += 1
        return self.size

    def stays(self, seconds: float) -> None:
        """Who has just come leaves after that time."""
        asyncio.get_running_loop().call_later(seconds, self._leaves)

    def _leaves(self) -> None:
        self.size -= 1


def _mood(temper: Temper, now: float) -> Mood:
    return next((mood for mood in temper if now < mood.until), GOOD)


class _Asked(typing.NamedTuple):
    mood: Mood
    flight: Flight
    now: float
    latency: float
    chance: random.Random
    wall: float | None  # None: the dispatcher's clock is off, and what a date means to it is its own affair
    crowd: Crowd


def _slow(asked: _Asked) -> Reply:
    return status(200, asked.latency + asked.chance.uniform(0.2, 3.0))


def _crowded(asked: _Asked) -> Reply:
    """It slows down when there are more at once than it takes."""
    seconds = asked.latency * max(1.0, asked.crowd.enters() / asked.mood.takes) ** 2
    asked.crowd.stays(seconds)
    return status(200, seconds)


def _failing(asked: _Asked) -> Reply:
    return status(asked.chance.choice([500, 502, 503, 504]), asked.latency)


def _late(asked: _Asked) -> Reply:
    """It fails or succeeds long after it was asked: by then a breaker may be in another state."""
    return status(asked.chance.choice([200, 503]), asked.chance.uniform(0.0, 2.0))


def _rejecting(asked: _Asked) -> Reply:
    return status(asked.chance.choice([400, 404, 409, 410, 422, 301, 501]), asked.latency)


def _busy(asked: _Asked) -> Reply:
    return status(asked.chance.choice([429, 503]), asked.latency, retry_after=str(asked.mood.asks))


def _dated(asked: _Asked) -> Reply:
    if asked.wall is None:
        return _busy(asked)
    date = email.utils.formatdate(asked.wall + asked.latency + asked.mood.asks, usegmt=True)
    return status(503, asked.latency, retry_after=date)


def _resets(asked: _Asked) -> Reply:
    return fault(asked.chance.choice([Fault.RESET, Fault.PROTOCOL_ERROR, Fault.TLS_FAILURE]), asked.latency)


def _hanging(asked: _Asked) -> Reply:
    return NEVER


def _lost(asked: _Asked) -> Lost:
    return Lost(asked.chance.choice([NEVER, fault(Fault.RESET, asked.latency), status(500, asked.latency)]))


def _dead(asked: _Asked) -> Reply:
    return fault(Fault.CONNECT_FAILURE, 0.001)


def _flapping(asked: _Asked) -> Reply:
    period = 1.0 + asked.mood.asks
    return _dead(asked) if int(asked.now / period) % 2 else status(200, asked.latency)


def _poisoned(asked: _Asked) -> Reply:
    """One event in ten is never taken, whatever is done with it."""
    return status(500 if _poison(asked.flight) else 200, asked.latency)


def _spoilt(asked: _Asked) -> Reply:
    """One event in ten is rejected, and with it whatever it comes with."""
    return status(422 if _poison(asked.flight) else 200, asked.latency)


def _poison(flight: Flight) -> bool:
    return any(zlib.crc32(event.head.id.encode()) % 10 == 0 for event, _ in members(flight))


def _large(asked: _Asked) -> Reply:
    return fault(Fault.ANSWER_TOO_LARGE, asked.latency)


MOODS: typing.Final[dict[str, typing.Callable[[_Asked], Reply | Lost]]] = {
    "slow": _slow,
    "crowded": _crowded,
    "failing": _failing,
    "late": _late,
    "rejecting": _rejecting,
    "busy": _busy,
    "dated": _dated,
    "resets": _resets,
    "hanging": _hanging,
    "lost": _lost,
    "dead": _dead,
    "flapping": _flapping,
    "poisoned": _poisoned,
    "spoilt": _spoilt,
    "large": _large,
}
