"""Connecting: names, refused addresses, ports nobody listens at, black holes, and addresses tried in turn."""

import asyncio
import contextlib
import socket
import typing

import pytest

from fanout_dispatcher.transport.connect import Resolve
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault
from tests.unit.dispatcher.transport.support import OK, Call, Pad, answering, peer, policy, sending, target, turns

FAILED = Failed(fault=Fault.CONNECT_FAILURE)
REFUSED = Failed(fault=Fault.ADDRESS_REFUSED, detail="address refused")
NO_NAME = Failed(fault=Fault.NAME_FAILURE, detail="name not found")
TOO_SLOW = Failed(fault=Fault.TIMEOUT, detail="connect timed out")


def names(*answers: list[str]) -> Resolve:
    """Answer lookups in turn, the last answer for ever."""
    remaining = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return resolve


@contextlib.contextmanager
def black_hole() -> typing.Iterator[int]:
    """A port that answers no handshake: its backlog is full and nobody accepts."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


async def test_a_port_nobody_listens_at_is_a_connect_failure() -> None:
    async with sending(target(f"http://127.0.0.1:{free_port()}/")) as sender:
        pad = Pad()

        assert [await pad.send(sender) for _ in range(3)] == [FAILED] * 3
        assert repr(sender) == "<HttpSender open=0 idle=0 waiting=0>"


async def test_a_black_hole_costs_the_connect_deadline() -> None:
    with black_hole() as port:
        async with sending(target(f"http://127.0.0.1:{port}/", settings=policy(connect=0.1))) as sender:
            assert await Pad().send(sender) == TOO_SLOW


async def test_a_flight_cancelled_while_connecting_never_lands_and_gives_its_place_back() -> None:
    with black_hole() as port:
        async with sending(target(f"http://127.0.0.1:{port}/", settings=policy(concurrent=1))) as sender:
            pad = Pad()
            flight, waiting = pad.launch(sender), pad.launch(sender)
            await turns()
            sender.cancel(waiting)
            sender.cancel(flight)
            await turns()

            assert pad.outcomes == {flight: [], waiting: []}
            assert repr(sender) == "<HttpSender open=0 idle=0 waiting=0>"


async def test_a_flight_cancelled_in_the_turn_it_started_never_lands() -> None:
    async with peer(answering(OK)) as found, sending(target(found.url)) as sender:
        pad = Pad()
        flight = pad.launch(sender)
        sender.cancel(flight)
        await turns()

        assert pad.outcomes[flight] == []
        assert await pad.send(sender) == Delivered(200)


@pytest.mark.parametrize("after", range(12))
async def test_a_flight_cancelled_at_any_turn_of_its_life_leaves_nothing_behind(after: int) -> None:
    async with (
        peer(answering(OK)) as found,
        sending(target(found.url, settings=policy(concurrent=2))) as sender,
    ):
        pad = Pad()
        flights = [pad.launch(sender) for _ in range(5)]
        await turns(after)
        cancelled = [flight for flight in flights if not pad.outcomes[flight]]
        for flight in cancelled:
            sender.cancel(flight)
        await turns(50)

        assert all(pad.outcomes[flight] == [] for flight in cancelled)
        assert sender._open == len(sender._idle)
        assert [await pad.send(sender) for _ in range(3)] == [Delivered(200)] * 3


async def test_a_target_that_hangs_up_on_everybody_is_a_reset_and_nothing_is_left_behind() -> None:
    async def script(call: Call) -> None:
        await call.reset()

    async with peer(script) as found, sending(target(found.url, settings=policy(concurrent=2))) as sender:
        pad = Pad()
        flights = [pad.launch(sender) for _ in range(9)]
        outcomes = [await pad.outcome(flight) for flight in flights]
        await turns()

        assert outcomes == [Failed(fault=Fault.RESET, detail="connection reset")] * 9
        assert repr(sender) == "<HttpSender open=0 idle=0 waiting=0>"


async def test_a_name_that_does_not_exist_is_a_name_failure() -> None:
    async with sending(target("http://does-not-exist.invalid/")) as sender:
        assert await Pad().send(sender) == NO_NAME


@pytest.mark.parametrize("fault", [socket.gaierror(-3, "SERVFAIL"), OSError("no resolver"), UnicodeError("label")])
async def test_a_resolver_that_fails_is_a_name_failure(fault: Exception) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise fault

    async with sending(target("http://a.example/"), resolve=resolve) as sender:
        assert await Pad().send(sender) == NO_NAME


async def test_a_name_without_addresses_is_a_name_failure() -> None:
    async with sending(target("http://a.example/"), resolve=names([])) as sender:
        assert await Pad().send(sender) == NO_NAME


async def test_a_resolver_that_hangs_costs_the_deadline_and_is_asked_once_for_all_who_wait() -> None:
    asked = 0

    async def resolve(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()
        return []

    async with sending(target("http://a.example/", settings=policy(connect=0.05)), resolve=resolve) as sender:
        pad = Pad()
        flights = [pad.launch(sender) for _ in range(10)]

        assert [await pad.outcome(flight) for flight in flights] == [TOO_SLOW] * 10
        assert asked == 1


async def test_a_name_that_leads_to_a_refused_address_is_refused() -> None:
    async with peer(answering(OK)) as found:
        url = f"http://rebind.example:{found.port}/"
        async with sending(target(url), guard=Guard(), resolve=names(["127.0.0.1", "::1", "10.0.0.1"])) as sender:
            assert await Pad().send(sender) == REFUSED
        assert found.connections == 0


async def test_a_name_that_rebinds_is_judged_again_at_each_connection() -> None:
    closing = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    resolve = names(["127.0.0.1"], ["169.254.169.254"])
    async with (
        peer(answering(closing)) as found,
        sending(target(f"http://rebind.example:{found.port}/"), resolve=resolve) as sender,
    ):
        pad = Pad()

        assert [await pad.send(sender), await pad.send(sender)] == [Delivered(200), REFUSED]


async def test_of_several_addresses_only_the_permitted_are_tried_and_the_first_that_answers_is_used() -> None:
    many = ["169.254.169.254", "127.0.0.9", "fe80::1", "127.0.0.1"] + ["10.0.0.1"] * 10_000
    async with (
        peer(answering(OK)) as found,
        sending(target(f"http://many.example:{found.port}/"), resolve=names(many)) as sender,
    ):
        assert await Pad().send(sender) == Delivered(200)


async def test_a_black_hole_among_the_addresses_costs_its_share_only() -> None:
    with black_hole() as port, socket.create_server(("127.0.0.2", port)) as second:
        second.setblocking(False)
        settings = policy(connect=1.0)
        url = f"http://two.example:{port}/"
        async with sending(target(url, settings=settings), resolve=names(["127.0.0.1", "127.0.0.2"])) as sender:
            pad = Pad()
            flight = pad.launch(sender)
            loop = asyncio.get_running_loop()
            connection, _ = await loop.sock_accept(second)
            with connection:
                connection.setblocking(False)
                await loop.sock_recv(connection, 65536)
                await loop.sock_sendall(connection, OK)

                assert await pad.outcome(flight) == Delivered(200)
