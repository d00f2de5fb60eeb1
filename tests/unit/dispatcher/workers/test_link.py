"""A link carries messages of any size in order, answers what is asked, and its end is heard on both sides."""

import asyncio
import collections.abc
import contextlib
import socket
import typing

import pytest

from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.values.desk import BadCursor, PortMeter
from fanout_dispatcher.workers import link as links
from fanout_dispatcher.workers.link import Link, framed
from fanout_dispatcher.workers.messages import EVENT, Adopt, EventOf, Message, Plans, Question, Retire, Told, Unable
from tests.support.plans import a_plan
from tests.unit.dispatcher.admin.fakes import event_view


class End:
    """One end: what it heard, how it answers, and whether it is lost."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.lost = asyncio.Event()
        self.news = asyncio.Event()
        self.answer: collections.abc.Callable[[Question], collections.abc.Awaitable[object]] = self.nothing
        self.link: Link

    async def open(self, pair: socket.socket) -> "End":
        self.link = await Link.over(pair, self.hear, self.answers, self.lost.set)
        return self

    def hear(self, message: Message) -> None:
        self.heard.append(message)
        self.news.set()

    async def until(self, count: int) -> list[Message]:
        while len(self.heard) < count:
            self.news.clear()
            await self.news.wait()
        return self.heard

    async def answers(self, question: Question) -> object:
        return await self.answer(question)

    async def nothing(self, _question: Question) -> object:
        return None


@contextlib.asynccontextmanager
async def linked() -> collections.abc.AsyncIterator[tuple[End, End]]:
    ours, theirs = socket.socketpair()
    near, far = await End().open(ours), await End().open(theirs)
    yield near, far
    near.link.close()
    far.link.close()
    await near.lost.wait()
    await far.lost.wait()


async def test_messages_arrive_as_they_were_in_order_however_large() -> None:
    adopt = Adopt(plan=a_plan(), credentials={"crm.ca": b"\x00" * 3_000_000})
    sent: list[Message] = [
        Plans(changes=(adopt, Retire(route="shop/b")), known=True),
        Told(readiness=None, port=PortMeter(refused={("no-route", 404): 2})),
        Unable(why="no"),
    ]
    async with linked() as (near, far):
        for message in sent:
            near.link.tell(message)

        assert await far.until(3) == sent


async def test_a_message_may_come_in_any_pieces_and_several_in_one() -> None:
    end = End()
    link = Link(end.hear, end.nothing, end.lost.set)
    text = framed(Unable(why="a")) + framed(Unable(why="b")) + framed(Unable(why="c"))

    for place in range(0, len(text), 7):
        link.data_received(text[place : place + 7])

    assert end.heard == [Unable(why="a"), Unable(why="b"), Unable(why="c")]


async def test_a_question_gets_its_own_answer_though_another_is_quicker() -> None:
    slow = asyncio.Event()

    async def answer(question: Question) -> object:
        assert isinstance(question, EventOf)
        if question.receipt == "slow":
            await slow.wait()
        return event_view(question.receipt, "Delivered")

    async with linked() as (near, far):
        far.answer = answer
        first = asyncio.create_task(near.link.ask(EventOf("slow"), EVENT))
        second = await near.link.ask(EventOf("quick"), EVENT)
        slow.set()

        assert second == event_view("quick", "Delivered")
        assert await first == event_view("slow", "Delivered")


@pytest.mark.parametrize("fault", [BadCursor("x is no receipt"), JournalFault("the disk is full")])
async def test_what_cannot_be_answered_is_raised_in_the_same_words(fault: Exception) -> None:
    async def answer(_question: Question) -> object:
        raise fault

    async with linked() as (near, far):
        far.answer = answer

        with pytest.raises(type(fault), match=str(fault)):
            await near.link.ask(EventOf("x"), EVENT)


async def test_a_fault_of_ours_is_told_to_the_loop_and_whoever_asked_does_not_wait() -> None:
    told: list[dict[str, typing.Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    async def answer(_question: Question) -> object:
        raise ZeroDivisionError

    async with linked() as (near, far):
        far.answer = answer

        with pytest.raises(JournalFault, match="it failed to answer \\(ZeroDivisionError\\)"):
            await near.link.ask(EventOf("x"), EVENT)

    assert [type(one["exception"]) for one in told] == [ZeroDivisionError]


async def test_when_a_side_ends_the_other_hears_of_it_and_no_question_waits() -> None:
    async def never(_question: Question) -> object:
        await asyncio.Event().wait()
        return None

    async with linked() as (near, far):
        far.answer = never
        asked = asyncio.create_task(near.link.ask(EventOf("x"), EVENT))
        await asyncio.sleep(0.01)
        far.link.close()

        with pytest.raises(JournalFault, match="the worker that was asked is gone"):
            await asked
        await near.lost.wait()
        near.link.tell(Unable(why="nobody hears this"))
        with pytest.raises(JournalFault, match="is gone"):
            await near.link.ask(EventOf("x"), EVENT)


def test_the_first_message_is_waited_for_without_a_loop() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(framed(Unable(why="a")) + framed(Unable(why="b")))

        assert links.first(theirs) == Unable(why="a"), "and nothing of the second is taken"
        assert links.first(theirs) == Unable(why="b")
        ours.close()
        with pytest.raises(EOFError):
            links.first(theirs)
