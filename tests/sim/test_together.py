"""The events of a batch are accepted together: all of them or none, whatever fails."""

import asyncio
import typing

from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.journal.protocol import Batch
from fanout_dispatcher.transport.memory import status
from fanout_dispatcher.values.answers import AcceptedAll, AnsweredAll, Turned
from fanout_dispatcher.values.event import Head
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target


def a_world(**changes: object) -> World:
    return World(a_plan("a", "b", **changes), lambda target, flight, now: status(200))


def bring(life: Life, *idents: str, body: bytes = b"{}") -> "asyncio.Future[AnsweredAll]":
    """A batch of events; the answer, of which there is one."""
    answer: asyncio.Future[AnsweredAll] = life.loop.create_future()
    heads = [
        Head(id=one, source="/shop", type="t", identity=one.encode(), attributes=f"ce-id: {one}\r\n".encode())
        for one in idents
    ]
    life.engine.accept_all(route_of(life), [(head, body) for head in heads], answer.set_result)
    return answer


def route_of(life: Life) -> Route:
    route = life.engine.route_at(life.world.plan.path)
    assert route is not None
    return route


def commits(life: Life) -> list[list[str]]:
    """Watch what each commit takes along, by the ids of its events."""
    seen: list[list[str]] = []
    journal = typing.cast(typing.Any, life.disk)._journal
    commit = journal.commit

    def watched(batch: Batch) -> None:
        seen.append([event.head.id for event in batch.events])
        commit(batch)

    journal.commit = watched
    return seen


def test_all_of_a_batch_are_one_transaction_with_a_receipt_each_in_order() -> None:
    world = a_world()

    async def story(life: Life) -> None:
        seen = commits(life)
        others = [life.post(f"other{number}") for number in range(3)]
        answer = await bring(life, *(f"e{number}" for number in range(500)))
        await asyncio.gather(*others)
        await life.settle()

        assert isinstance(answer, AcceptedAll)
        reader = route_of(life).book.receipts
        numbers = [reader.read(one) or 0 for one in answer.receipts]
        assert numbers == list(range(numbers[0], numbers[0] + 500))
        (group,) = [one for one in seen if "e0" in one]
        assert [one for one in group if one.startswith("e")] == [f"e{number}" for number in range(500)]
        assert route_of(life).meter.accepted == 503

    world.live(story)
    assert len(world.history.sent) == 2 * 503


def test_when_the_commit_fails_none_is_accepted_and_none_is_sent() -> None:
    world = a_world()

    async def story(life: Life) -> None:
        world.storage.trouble(1.0, world.chance)
        answer = await bring(life, "a", "b", "c")
        world.storage.trouble(0.0, world.chance)
        await asyncio.sleep(60.0)

        assert isinstance(answer, Turned)
        assert answer.status == 503
        assert life.pending() == 0
        assert sum(route_of(life).meter.turned.values()) == 3

    world.live(story)
    assert world.history.sent == []


def test_after_a_crash_there_are_all_or_none() -> None:
    world = a_world()

    async def crash(life: Life) -> None:
        life.disk.latency = (10.0, 10.0)
        bring(life, "a", "b")
        await asyncio.sleep(0.1)

    async def story(life: Life) -> None:
        assert life.pending() == 0
        await bring(life, "c", "d")

    async def later(life: Life) -> None:
        await life.settle()

    world.live(crash)
    world.live(story)
    world.live(later)

    assert {one.event for one in world.history.sent} == {"c", "d"}


def test_a_batch_that_would_be_too_much_for_a_queue_is_refused_as_a_whole() -> None:
    target = a_target("a", policy={"queue": {"max_bytes": 1_100}, "timeouts": {"total": 0.0}})
    world = World(a_plan(target, suspend=True), lambda target, flight, now: status(200))

    async def story(life: Life) -> None:
        await bring(life, "first", body=b"12345")
        refused = await bring(life, "a", "b", body=b"123")
        fits = await bring(life, "c", body=b"123")

        assert isinstance(refused, Turned)
        assert (refused.reason, route_of(life).meter.turned) == ("QueueFull", {"QueueFull": 2})
        assert isinstance(fits, AcceptedAll)
        assert life.pending() == 2

    world.live(story)


def test_each_event_of_a_batch_goes_to_whom_it_is_for_and_only_they_are_asked_for_room() -> None:
    full = a_target("full", when="event.id == 'never'", policy={"queue": {"max_bytes": 1}})
    world = World(a_plan(a_target("a", when="event.id == 'one'"), "b", full), lambda target, flight, now: status(200))

    async def story(life: Life) -> None:
        assert isinstance(await bring(life, "one", "two", body=b"12345"), AcceptedAll)
        await life.settle()

    world.live(story)
    assert sorted((one.event, one.target) for one in world.history.sent) == [("one", "a"), ("one", "b"), ("two", "b")]
