"""Connecting: names, refused addresses, ports nobody listens at, black holes, and addresses tried in turn."""

import asyncio
import contextlib
import pathlib
import socket
import threading
import time
import typing

import pytest

from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.transport.names import Names, Resolve
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Refused
from tests.support.black_hole import black_hole
from tests.unit.dispatcher.transport.support import (
    OK,
    PATIENCE,
    Pad,
    Peer,
    answering,
    peer,
    policy,
    sending,
    target,
    turns,
)

FAILED = Failed(fault=Fault.CONNECT_FAILURE)
REFUSED = Failed(fault=Fault.ADDRESS_REFUSED, detail="address refused")
NO_NAME = Failed(fault=Fault.NAME_FAILURE, detail="name not found")
TOO_SLOW = Failed(fault=Fault.TIMEOUT, detail="connect timed out")


def names(*answers: list[str]) -> Resolve:
    """Answer lookups in turn, the last answer for ever."""
    remaining = list(answers)

    async def resolve(name: str) -> list[str]:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return resolve


@contextlib.contextmanager
def sockets_watched() -> typing.Iterator[typing.Callable[[], tuple[int, int]]]:
    """What is there later and was not there before: sockets, and tasks."""
    before = open_sockets(), len(asyncio.all_tasks())
    yield lambda: (open_sockets() - before[0], len(asyncio.all_tasks()) - before[1])


def open_sockets() -> int:
    return sum(one.is_socket() for one in pathlib.Path("/proc/self/fd").iterdir())


async def until_closed(found: Peer) -> None:
    """Wait until *found* has seen the end of every connection, so that the descriptors left are ours."""
    async with asyncio.timeout(PATIENCE):
        while found.open_calls:
            found.left.clear()
            await found.left.wait()
    await turns()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


async def test_a_port_nobody_listens_at_is_a_connect_failure() -> None:
    async with sending(target(f"http://127.0.0.1:{free_port()}/")) as sender:
        pad = Pad()

        assert [await pad.send(sender) for _ in range(3)] == [FAILED] * 3
        assert repr(sender) == "<HttpSender open=0 idle=0 waiting=0>"


async def test_a_connect_deadline_that_passed_while_we_stood_still_is_held_against_nobody() -> None:
    with black_hole() as port:
        async with sending(target(f"http://127.0.0.1:{port}/", settings=policy(connect=0.2))) as sender:
            pad = Pad()
            flight = pad.launch(sender)
            await turns()
            time.sleep(1.0)  # as a suspended machine does

            assert await pad.outcome(flight) == Refused("the dispatcher stood still while it connected")
            assert repr(sender) == "<HttpSender open=0 idle=0 waiting=0>"


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


async def test_a_name_that_does_not_exist_is_a_name_failure() -> None:
    async with sending(target("http://does-not-exist.invalid/")) as sender:
        assert await Pad().send(sender) == NO_NAME


@pytest.mark.parametrize("fault", [socket.gaierror(-3, "SERVFAIL"), OSError("no resolver"), UnicodeError("label")])
async def test_a_resolver_that_fails_is_a_name_failure(fault: Exception) -> None:
    def ask(name: str) -> list[str]:
        raise fault

    async with sending(target("http://a.example/"), resolve=Names(asyncio.get_running_loop(), ask)) as sender:
        assert await Pad().send(sender) == NO_NAME


async def test_a_name_without_addresses_is_a_name_failure() -> None:
    async with sending(target("http://a.example/"), resolve=names([])) as sender:
        assert await Pad().send(sender) == NO_NAME


async def test_a_name_that_hangs_costs_the_deadline_and_is_asked_for_once_by_all_who_wait() -> None:
    asked: list[str] = []
    answered = threading.Event()

    def ask(name: str) -> list[str]:
        asked.append(name)
        answered.wait(PATIENCE)
        return []

    resolve = Names(asyncio.get_running_loop(), ask)
    async with sending(target("http://a.example/", settings=policy(connect=0.05)), resolve=resolve) as sender:
        pad = Pad()
        flights = [pad.launch(sender) for _ in range(10)]

        assert [await pad.outcome(flight) for flight in flights] == [TOO_SLOW] * 10
        assert asked == ["a.example"]
    answered.set()


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


async def test_ten_thousand_refused_addresses_are_not_judged_one_by_one() -> None:
    judged: list[str] = []

    class Counting(Guard, frozen=True, kw_only=True):
        def check(self, address: str, *, private: bool, port: int = 0) -> str | None:
            judged.append(address)
            return "no"

    many = [f"10.0.{number // 250}.{number % 250}" for number in range(10_000)]
    async with sending(target("http://many.example/"), guard=Counting(), resolve=names(many)) as sender:
        assert await Pad().send(sender) == REFUSED
    assert len(judged) <= 64


async def test_the_second_family_has_its_turn_however_many_addresses_the_first_has() -> None:
    many = ["64:ff9b::a00:1"] * 1000 + ["127.0.0.1"]
    async with (
        peer(answering(OK)) as found,
        sending(target(f"http://many.example:{found.port}/"), resolve=names(many)) as sender,
    ):
        assert await Pad().send(sender) == Delivered(200)


async def test_a_target_that_moved_is_found_again_after_a_failure() -> None:
    async with peer(answering(OK)) as found:
        resolve = names(["127.0.0.9"], ["127.0.0.1"])
        async with sending(target(f"http://moved.example:{found.port}/"), resolve=resolve) as sender:
            pad = Pad()

            assert [await pad.send(sender), await pad.send(sender)] == [FAILED, Delivered(200)]


async def test_a_black_hole_among_the_addresses_costs_its_head_start_only() -> None:
    with black_hole() as port:
        found = Peer(answering(OK))
        await found.open(port, host="127.0.0.2")
        two = names(["127.0.0.1", "127.0.0.2"])
        async with sending(target(f"http://two.example:{port}/", settings=policy(connect=20.0)), resolve=two) as sender:
            loop = asyncio.get_running_loop()
            pad, began = Pad(), loop.time()

            assert await pad.send(sender) == Delivered(200)
            assert 0.2 < loop.time() - began < 5  # a share of the deadline would be 10
            assert repr(sender) == "<HttpSender open=1 idle=1 waiting=0>"
        await found.close()


async def test_where_the_deadline_is_short_the_last_address_is_tried_too() -> None:
    with black_hole() as port:
        found = Peer(answering(OK))
        await found.open(port, host="127.0.0.2")
        two = names(["127.0.0.1", "127.0.0.2"])
        async with sending(target(f"http://two.example:{port}/", settings=policy(connect=0.2)), resolve=two) as sender:
            assert await Pad().send(sender) == Delivered(200)
        await found.close()


async def test_black_holes_at_every_address_cost_the_deadline_and_leave_nothing_behind() -> None:
    with black_hole() as port, sockets_watched() as left:
        three = names(["127.0.0.1"] * 3)
        settings = policy(connect=0.2)
        async with sending(target(f"http://three.example:{port}/", settings=settings), resolve=three) as sender:
            assert await Pad().send(sender) == TOO_SLOW
            await turns()

            assert left() == (0, 0)


@pytest.mark.parametrize("after", range(8))
async def test_a_race_that_is_called_off_at_any_turn_leaves_nothing_behind(after: int) -> None:
    async with peer(answering(OK)) as found:
        with sockets_watched() as left:
            several = names(["127.0.0.9", "127.0.0.1", "127.0.0.8", "127.0.0.1"])
            async with sending(target(f"http://several.example:{found.port}/"), resolve=several) as sender:
                pad = Pad()
                flight = pad.launch(sender)
                await turns(after)
                sender.cancel(flight)
                await turns(50)
                sender.close()
                await until_closed(found)

                assert repr(sender) == "<HttpSender open=0 idle=0 waiting=0>"
                assert left() == (0, 0)
