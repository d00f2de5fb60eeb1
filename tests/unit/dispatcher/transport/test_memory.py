"""The twin without a network: scripts decide, the loop's time passes."""

import asyncio

from fanout_dispatcher.transport.memory import ScriptedSenders, always, fault, in_turn, status
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault
from tests.unit.dispatcher.transport.support import Pad, target


async def test_replies_are_given_in_turn_and_the_last_one_stays() -> None:
    script = in_turn([status(503, retry_after="1"), fault(Fault.RESET), status(200)])
    senders = ScriptedSenders(asyncio.get_running_loop(), lambda _: script)
    sender = senders(target("http://a.example/"), {})
    pad = Pad()

    outcomes = [await pad.send(sender) for _ in range(4)]

    assert outcomes == [Failed(status=503, retry_after="1"), Failed(fault=Fault.RESET), Delivered(200), Delivered(200)]
    assert senders.made == {"payment": sender}


async def test_it_counts_what_it_saw_and_how_many_were_in_the_air() -> None:
    sender = ScriptedSenders(asyncio.get_running_loop(), lambda _: always(status(200)))(target("http://a.example/"), {})
    pad = Pad()
    flights = [pad.launch(sender) for _ in range(3)]
    for flight in flights:
        await pad.outcome(flight)
    await pad.send(sender)

    assert (sender.seen, sender.peak) == (4, 3)
    assert repr(sender) == "<ScriptedSender seen=4 flying=0>"
