"""The deadlines of clients, kept by one sweep: for what they are late with, and not for what we are."""

import asyncio
import typing

import pytest

from fanout_dispatcher.ingress.accept import Acceptor
from fanout_dispatcher.ingress.port import Port, peer_of
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


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("192.0.2.7", 1), ("192.0.2.7", 2), True),
        (("192.0.2.7", 1), ("192.0.2.8", 1), False),
        (("2001:db8:0:1::7", 1, 0, 0), ("2001:db8:0:1:ffff:ffff:ffff:ffff", 2, 0, 0), True),  # a /64 is one customer's
        (("2001:db8:0:1::7", 1, 0, 0), ("2001:db8:0:2::7", 1, 0, 0), False),
        (("fe80::1%eth0", 1, 0, 2), ("fe80::2%eth1", 1, 0, 3), True),
        (("::ffff:192.0.2.7", 1, 0, 0), ("::ffff:192.0.2.8", 1, 0, 0), False),  # IPv4, told to a socket of IPv6
        (("::1", 1, 0, 0), ("2001:db8::1", 1, 0, 0), False),
    ],
)
def test_a_client_is_an_ipv4_address_or_the_64_of_an_ipv6_one(
    one: tuple[object, ...], other: tuple[object, ...], same: bool
) -> None:
    assert (peer_of(one) == peer_of(other)) is same
    assert peer_of(one)
    assert peer_of(other)


@pytest.mark.parametrize("address", ["", "/run/fanout.sock", b"", None, ()])
def test_a_unix_socket_tells_of_no_client(address: object) -> None:
    assert peer_of(address) == ""


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


class Breaks(Guest):
    """A connection with a fault of ours."""

    def expire(self) -> None:
        super().expire()
        raise RuntimeError("a fault of ours")


def test_a_connection_that_breaks_is_told_of_and_costs_no_other_its_deadline() -> None:
    async def scenario() -> None:
        port = a_port()
        said: list[dict[str, typing.Any]] = []
        port.loop.set_exception_handler(lambda _, context: said.append(context))
        guests = [Breaks(port, 10.0), Guest(port, 10.0), Guest(port, 20.0)]
        for guest in guests:
            port.enter(guest, ("10.0.0.1", 1))
        await asyncio.sleep(22.0)

        assert [len(guest.expired) for guest in guests] == [1, 1, 1]
        assert [repr(one["exception"]) for one in said] == ["RuntimeError('a fault of ours')"]
        assert port.now > 21.0

    run(scenario())


def test_a_sweep_that_breaks_is_not_the_last_one() -> None:
    async def scenario() -> None:
        port = a_port()
        port.loop.set_exception_handler(lambda _, context: None)
        guest = Guest(port, 10.0)
        port.enter(guest, ("10.0.0.1", 1))

        def breaks_once() -> float:
            port.wall = lambda: 0.0
            raise OSError("the clock cannot be read")

        port.wall = breaks_once
        await asyncio.sleep(12.0)

        assert len(guest.expired) == 1

    run(scenario())
