"""The deadlines of clients, kept by one sweep: for what they are late with, and not for what we are."""

import asyncio
import typing

from fanout_dispatcher.ingress.accept import Acceptor
from fanout_dispatcher.ingress.port import Port
from fanout_dispatcher.ingress.settings import Settings
from tests.sim.loop import run


class Guest:
    """A connection of which nothing comes; ``expired`` is when it was let go."""

    def __init__(self, port: Port, seconds: float) -> None:
        self.port = port
        self.deadline = port.now + seconds
        self.expired: list[float] = []

    def expire(self) -> None:
        self.expired.append(self.port.loop.time())
        self.port.leave(self)

    def drain(self) -> None:
        """Nothing is under way."""

    def abort(self) -> None:
        """It goes."""


def a_port() -> Port:
    loop = asyncio.get_running_loop()
    return Port(loop, typing.cast(Acceptor, None), Settings(), wall=lambda: 0.0)


def test_a_client_that_is_late_is_let_go_within_a_tick() -> None:
    async def scenario() -> None:
        port = a_port()
        guest = Guest(port, 10.0)
        port.enter(guest, ("10.0.0.1", 1))
        await asyncio.sleep(12.0)

        assert [10.0 <= at <= 10.0 + port.settings.tick for at in guest.expired] == [True]

    run(scenario())


def test_a_standstill_of_ours_is_no_client_s_fault() -> None:
    """SIGSTOP, a suspend, a starved machine: afterwards every deadline has passed, and what was sent lies unread."""

    async def scenario() -> None:
        port = a_port()
        guest = Guest(port, 10.0)
        port.enter(guest, ("10.0.0.1", 1))
        await asyncio.sleep(4.0)
        port.loop._jump.now += 60.0  # type: ignore[attr-defined]
        await asyncio.sleep(5.0)
        assert guest.expired == []

        await asyncio.sleep(3.0)

        assert len(guest.expired) == 1

    run(scenario())
