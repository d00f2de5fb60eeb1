"""Ours and aiohttp's client, with few connections: what is beyond them waits its turn, and no place is ever lost."""

import asyncio

import pytest

from fanout_dispatcher.values.outcome import Delivered, Failed, Fault
from tests.contract.dial import Meet, Terms
from tests.unit.dispatcher.transport.support import OK, Call, Pad, Script, answering, event, happened, turns

RESET = Failed(fault=Fault.RESET, detail="connection reset")


def held(gate: asyncio.Event) -> Script:
    """Take a request on each connection and answer once the gate is open; then answer at once."""

    async def script(call: Call) -> None:
        while True:
            await call.request()
            await gate.wait()
            await call.answer(OK)

    return script


def bodies(requests: list[bytes]) -> list[bytes]:
    return [request.partition(b"\r\n\r\n")[2] for request in requests]


async def test_flights_at_once_have_a_connection_each(meet: Meet) -> None:
    gate = asyncio.Event()

    async def script(call: Call) -> None:
        await call.request()
        if len(call.peer.requests) == 8:
            gate.set()
        await gate.wait()
        await call.answer(OK)
        await call.hung_up()

    async with meet(script) as (found, sender):
        pad = Pad()
        flights = [pad.launch(sender) for _ in range(8)]

        assert [await pad.outcome(flight) for flight in flights] == [Delivered(200)] * 8
        assert found.connections == 8


async def test_more_flights_than_connections_wait_their_turn_and_all_land(meet: Meet) -> None:
    async with meet(answering(OK), Terms(connections=4)) as (found, sender):
        pad = Pad()

        flights = [pad.launch(sender) for _ in range(200)]

        assert [await pad.outcome(flight) for flight in flights] == [Delivered(200)] * 200
        assert found.connections == 4


async def test_while_every_connection_is_busy_nothing_more_is_asked(meet: Meet) -> None:
    gate = asyncio.Event()
    async with meet(held(gate), Terms(connections=2)) as (found, sender):
        pad = Pad()
        flights = [pad.launch(sender) for _ in range(6)]
        while len(found.requests) < 2:
            await happened(found.asked)
            found.asked.clear()
        await turns(100)

        assert (found.connections, len(found.requests)) == (2, 2)
        gate.set()
        assert [await pad.outcome(flight) for flight in flights] == [Delivered(200)] * 6
        assert (found.connections, len(found.requests)) == (2, 6)


async def test_who_waits_longest_is_sent_first(meet: Meet) -> None:
    async with meet(answering(OK), Terms(connections=1)) as (found, sender):
        pad = Pad()
        flights = [pad.launch(sender, event(b"%d" % number)) for number in range(20)]
        for flight in flights:
            await pad.outcome(flight)

        assert bodies(found.requests) == [b"%d" % number for number in range(20)]


async def test_a_cancelled_flight_makes_room_for_one_that_waits(meet: Meet) -> None:
    async def script(call: Call) -> None:
        await call.request()
        if call.number > 1:
            await call.answer(OK)
        await call.hung_up()

    async with meet(script, Terms(connections=1)) as (found, sender):
        pad = Pad()
        stuck, waiting = pad.launch(sender), pad.launch(sender)
        await happened(found.asked)
        sender.cancel(stuck)

        assert await pad.outcome(waiting) == Delivered(200)
        assert pad.outcomes[stuck] == []


async def test_a_flight_that_is_cancelled_while_it_waits_is_never_sent(meet: Meet) -> None:
    gate = asyncio.Event()
    async with meet(held(gate), Terms(connections=1)) as (found, sender):
        pad = Pad()
        first, waiting, last = (pad.launch(sender, event(name)) for name in (b"first", b"waiting", b"last"))
        await happened(found.asked)
        sender.cancel(waiting)
        gate.set()

        assert [await pad.outcome(flight) for flight in (first, last)] == [Delivered(200)] * 2
        assert bodies(found.requests) == [b"first", b"last"]
        assert pad.outcomes[waiting] == []


@pytest.mark.parametrize("asked_first", [False, True])
async def test_a_target_that_hangs_up_on_everybody_takes_no_place_for_good(meet: Meet, asked_first: bool) -> None:
    well = False

    async def script(call: Call) -> None:
        while well or asked_first:
            await call.request()
            if not well:
                break
            await call.answer(OK)
        await call.reset()

    async with meet(script, Terms(connections=2)) as (_, sender):
        pad = Pad()
        flights = [pad.launch(sender) for _ in range(9)]
        assert [await pad.outcome(flight) for flight in flights] == [RESET] * 9
        well = True

        flights = [pad.launch(sender) for _ in range(9)]
        assert [await pad.outcome(flight) for flight in flights] == [Delivered(200)] * 9


async def test_after_a_restart_of_the_target_flights_arrive_again(meet: Meet) -> None:
    async with meet(answering(OK), Terms(connections=1)) as (found, sender):
        pad = Pad()
        await pad.send(sender)
        await found.close()
        refused = [await pad.send(sender) for _ in range(2)]
        await found.open(found.port)

        assert all(isinstance(outcome, Failed) for outcome in refused)
        assert await pad.send(sender) == Delivered(200)
