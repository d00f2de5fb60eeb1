"""A shortage of our own (descriptors, memory) says nothing about a target: the attempt is refused, not failed."""

import asyncio
import collections.abc
import contextlib
import errno
import os
import resource
import socket

import pytest

from fanout_dispatcher.transport.names import Names
from fanout_dispatcher.values.outcome import Delivered, Refused
from tests.unit.dispatcher.transport.support import OK, Pad, answering, peer, policy, sending, target

SHORT = Refused("the dispatcher is short of file descriptors or memory")


@contextlib.contextmanager
def no_descriptor_left() -> collections.abc.Iterator[None]:
    """For a while this process may open nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_a_descriptor_an_attempt_is_refused_and_with_one_it_goes_on() -> None:
    async with peer(answering(OK)) as found, sending(target(found.url, settings=policy(concurrent=1))) as sender:
        pad = Pad()
        with no_descriptor_left():
            outcomes = [await pad.send(sender) for _ in range(3)]

        assert outcomes == [SHORT] * 3
        assert repr(sender) == "<HttpSender open=0 idle=0 waiting=0>"
        assert await pad.send(sender) == Delivered(200)


def failing(fault: OSError) -> Names:
    """A resolver that fails."""

    def ask(name: str) -> list[str]:
        raise fault

    return Names(asyncio.get_running_loop(), ask)


async def test_a_name_that_could_not_be_looked_up_for_want_of_a_descriptor_is_not_the_targets_fault() -> None:
    resolve = failing(socket.gaierror(socket.EAI_AGAIN, "the resolver could not open its files"))
    async with sending(target("http://a.example/"), resolve=resolve) as sender:
        with no_descriptor_left():
            assert await Pad().send(sender) == SHORT


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_a_lookup_that_fails_for_a_shortage_is_refused_too_and_not_remembered(number: int) -> None:
    resolve = failing(OSError(number, os.strerror(number)))
    async with sending(target("http://a.example/"), resolve=resolve) as sender:
        pad = Pad()

        assert [await pad.send(sender), await pad.send(sender)] == [SHORT, SHORT]
        assert repr(resolve) == "<Names asking=0 failed=0 slow=0>"


async def test_no_further_address_is_tried_while_we_are_short() -> None:
    async def resolve(name: str) -> list[str]:
        return ["127.0.0.1", "127.0.0.2", "127.0.0.3"]

    async with (
        peer(answering(OK)) as found,
        sending(target(f"http://a.example:{found.port}/"), resolve=resolve) as sender,
    ):
        with no_descriptor_left():
            assert await Pad().send(sender) == SHORT
