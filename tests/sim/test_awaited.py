"""``accept.idempotency`` where callers wait: in use until it is answered, and then the same answer for everybody."""

import asyncio
import typing

import msgspec
import pytest

from fanout_crds import plan
from fanout_dispatcher.engine import awaited
from fanout_dispatcher.engine.once import ANSWERS_MOST, ANSWERS_SHARE, Once
from fanout_dispatcher.transport.memory import NEVER, Reply, status
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Accepted, Answered, Ending, Repeated, Settled, Told, Turned
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.keyed import Keyed, door
from fanout_dispatcher.values.outcome import Delivered, Failed
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target, a_wait

HEAD: typing.Final = Head(id="1", source="/shop", type="t", identity=b"", attributes=b"")
RULE: typing.Final = plan.Idempotency(ttl=3600.0, max_keys=1000)
WAIT: typing.Final = a_wait("a", timeout=5.0)


class Client:
    """Writes an answer as bytes, in a way of its own, and remembers what it is told."""

    def __init__(self, told: "asyncio.Future[Told | Repeated]") -> None:
        self.told = told
        self.written: list[bytes] = []

    def write(self, told: Settled) -> bytes:
        self.written.append(msgspec.msgpack.encode(told))
        return self.written[-1]

    def tell(self, told: Told | Repeated) -> None:
        self.told.set_result(told)


def says(code: int, body: bytes = b"", latency: float = 0.0) -> Reply:
    kept = Captured(code, (), body)
    return Reply(Delivered(code, kept) if code < 300 else Failed(status=code, answer=kept), latency)


def a_world(reply: Reply, *, wait: plan.Respond = WAIT, durability: str = "Journal") -> World:
    made = a_plan(a_target("a", capture=1 << 20), idempotency=RULE, respond=wait, durability=durability)
    return World(made, lambda target, flight, now: reply)


def ask(life: Life, key: str = "k", fingerprint: str = "") -> tuple[Client, awaited.Awaited | None]:
    """Bring an event under *key*, and wait for its targets."""
    route = life.engine.route_at(life.world.plan.path)
    assert route is not None
    client = Client(life.loop.create_future())
    keyed = Keyed(door(route.plan.key), key.encode(), fingerprint.encode(), HEAD, b"{}")
    return client, life.engine.accept_waiting_once(route, keyed, client)


async def told(life: Life, key: str = "k", fingerprint: str = "") -> Told | Repeated:
    client, _ = ask(life, key, fingerprint)
    return await client.told


async def post(life: Life, key: str = "k") -> Answered:
    """The same, by somebody who would rather have the receipt."""
    answer: asyncio.Future[Answered] = life.loop.create_future()
    route = life.engine.route_at(life.world.plan.path)
    assert route is not None
    keyed = Keyed(door(route.plan.key), key.encode(), b"", HEAD, b"{}")
    life.engine.accept_once(route, keyed, answer.set_result)
    return await answer


def once_of(life: Life) -> Once:
    return life.engine.once[life.engine.durable]


def reason(said: Told | Repeated) -> str:
    assert isinstance(said, Turned), said
    return said.reason


def read(said: Told | Repeated) -> Settled:
    assert isinstance(said, Repeated), said
    assert said.answer is not None
    return msgspec.msgpack.decode(said.answer, type=Settled)


@pytest.mark.parametrize("code", [200, 404])
@pytest.mark.parametrize("durability", ["Journal", "Memory"])
def test_who_comes_again_is_told_byte_for_byte_what_the_first_was(code: int, durability: str) -> None:
    world = a_world(says(code, b"A"), durability=durability)

    async def story(life: Life) -> None:
        first = await told(life)
        at_once = await told(life)
        await asyncio.sleep(1.0)
        later = await told(life)
        other = await told(life, fingerprint="another")

        assert first == at_once == later
        assert read(first).ending is (Ending.ANSWERED if code == 200 else Ending.FAILED)
        assert reason(other) == "IdempotencyKeyReused"

    world.live(story)
    assert len(world.history.sent) == 1


def test_the_answer_is_there_after_a_crash() -> None:
    world = a_world(says(200, b"A"))
    given: list[Told | Repeated] = []

    async def story(life: Life) -> None:
        given.append(await told(life))
        await asyncio.sleep(1.0)

    world.live(story)
    world.live(story)

    assert given[0] == given[1]
    assert read(given[0]).heard[0].answer == Captured(200, (), b"A")
    assert len(world.history.sent) == 1


def test_while_the_first_waits_its_key_is_in_use() -> None:
    world = a_world(says(200, b"A", latency=2.0))

    async def story(life: Life) -> None:
        client, _ = ask(life)
        at_once = await told(life)
        await asyncio.sleep(1.0)
        meanwhile, other = await told(life), await told(life, fingerprint="another")
        receipt = await post(life)
        first = await client.told

        assert (reason(at_once), reason(meanwhile)) == ("IdempotencyKeyInUse", "IdempotencyKeyInUse")
        assert reason(other) == "IdempotencyKeyReused"
        assert isinstance(meanwhile, Turned)
        assert (meanwhile.status, meanwhile.retry_after) == (409, 1)
        assert receipt == Accepted(read(first).receipt or "")
        assert await told(life) == first

    world.live(story)
    assert len(world.history.sent) == 1


def test_a_crash_leaves_no_key_in_use_and_who_comes_again_has_the_receipt() -> None:
    world = a_world(says(200, b"A", latency=2.0))

    async def crash(life: Life) -> None:
        ask(life)
        await asyncio.sleep(1.0)

    async def story(life: Life) -> None:
        again = await told(life)
        await life.settle()

        assert again == Repeated(receipt=(await post(life)).receipt, answer=None)  # type: ignore[union-attr]
        assert await told(life) == again
        assert once_of(life).awaited == {}

    world.live(crash)
    world.live(story)


def test_a_crash_before_the_commit_leaves_nothing_in_the_way() -> None:
    world = a_world(says(200, b"A"))

    async def crash(life: Life) -> None:
        life.disk.latency = (10.0, 10.0)
        ask(life)
        await asyncio.sleep(0.1)

    async def story(life: Life) -> None:
        assert read(await told(life)).ending is Ending.ANSWERED

    world.live(crash)
    world.live(story)


def test_who_hangs_up_and_comes_again_has_the_answer() -> None:
    world = a_world(says(200, b"A", latency=2.0))

    async def story(life: Life) -> None:
        client, handle = ask(life)
        await asyncio.sleep(1.0)
        assert handle is not None
        handle.leave()
        assert reason(await told(life)) == "IdempotencyKeyInUse"
        await asyncio.sleep(2.0)

        assert read(await told(life)).heard[0].answer == Captured(200, (), b"A")
        assert not client.told.done()
        assert "gone" in repr(handle) or "told" in repr(handle)

    world.live(story)


def test_an_answer_of_the_moment_is_not_kept_and_the_receipt_is_given_instead() -> None:
    world = a_world(NEVER)

    async def story(life: Life) -> None:
        late = await told(life)
        again = await told(life)

        assert isinstance(late, Settled)
        assert late.ending is Ending.TIMEOUT
        assert again == Repeated(late.receipt or "", None)

    world.live(story)


def test_an_answer_that_is_too_long_is_told_and_not_kept() -> None:
    world = a_world(says(200, bytes(awaited.LONGEST)))

    async def story(life: Life) -> None:
        first = await told(life)
        again = await told(life)

        assert read(first).ending is Ending.ANSWERED
        assert isinstance(again, Repeated)
        assert again.answer is None
        assert once_of(life).awaited == {}

    world.live(story)


def test_who_is_turned_away_leaves_the_key_free() -> None:
    target = a_target("a", policy={"queue": {"max_bytes": 1}, "timeouts": {"total": 0.0}})
    world = World(a_plan(target, idempotency=RULE, respond=WAIT, suspend=True), lambda target, flight, now: status(200))

    async def story(life: Life) -> None:
        held = await told(life)
        full = await told(life, "another")

        assert isinstance(held, Settled), "the route is suspended: it is accepted, and not waited for"
        assert (reason(full), once_of(life).awaited, once_of(life).tickets) == ("QueueFull", {}, {})
        assert reason(await told(life, "another")) == "QueueFull"
        assert await told(life) == Repeated(held.receipt or "", None)

    world.live(story)


def test_when_the_commit_fails_the_caller_is_told_and_the_key_is_free() -> None:
    world = a_world(says(200, b"A"))

    async def story(life: Life) -> None:
        world.storage.trouble(1.0, world.chance)
        refused = await told(life)
        barred = await told(life)
        while life.engine.readiness():
            world.storage.trouble(0.0, world.chance)
            await asyncio.sleep(0.5)

        assert {reason(refused), reason(barred)} <= {"JournalUnavailable", "JournalFull"}
        assert read(await told(life)).ending is Ending.ANSWERED

    world.live(story)


def test_a_disk_that_hangs_lets_nobody_wait_beyond_his_time() -> None:
    world = a_world(says(200, b"A"))

    async def story(life: Life) -> None:
        life.disk.latency = (20.0, 20.0)
        began = life.now()
        late = await told(life)
        busy = await told(life)

        assert isinstance(late, Settled)
        assert (late.ending, late.receipt) == (Ending.TIMEOUT, None)
        assert life.now() - began < 5.1
        assert reason(busy) == "IdempotencyKeyInUse", "the journal is being asked for the key still"
        life.disk.latency = (0.001, 0.001)
        await asyncio.sleep(60.0)
        assert isinstance(await told(life), Repeated)

    world.live(story)
    assert len(world.history.sent) == 1


def test_who_asked_for_a_receipt_first_has_one_for_those_who_wait_later() -> None:
    world = a_world(says(200, b"A"))

    async def story(life: Life) -> None:
        first = await post(life)
        assert isinstance(first, Accepted)
        assert await told(life) == Repeated(first.receipt, None)

    world.live(story)


def test_the_oldest_answers_go_when_they_have_more_than_their_share() -> None:
    world = a_world(says(200, bytes(10_000)))

    async def story(life: Life) -> None:
        once = once_of(life)
        assert once.most == min(once.book.max_bytes // ANSWERS_SHARE, ANSWERS_MOST)
        once.most = 100_000
        for number in range(60):
            await told(life, f"k{number}")
        await asyncio.sleep(5.0)
        kept = [await told(life, f"k{number}") for number in range(60)]

        there = [isinstance(one, Repeated) and one.answer is not None for one in kept]
        assert there == sorted(there), "the oldest went first"
        assert 5 <= sum(there) <= 10

    world.live(story)


def test_callers_that_are_too_many_are_turned_away_before_their_key_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fanout_dispatcher.engine.callers.MOST", 1)
    world = a_world(says(200, b"A", latency=1.0))

    async def story(life: Life) -> None:
        client, _ = ask(life, "one")
        assert reason(await told(life, "two")) == "TooManyWaiting"
        assert list(once_of(life).awaited) == [b"one"]
        await client.told

    world.live(story)


def test_sigterm_answers_who_waits_and_the_next_process_knows_the_key() -> None:
    world = a_world(says(200, b"A", latency=3.0))

    async def stop(life: Life) -> None:
        client, _ = ask(life)
        await asyncio.sleep(0.5)
        await life.drain(1.0)
        said = await client.told
        assert isinstance(said, Settled)
        assert said.ending is Ending.DRAINING

    async def story(life: Life) -> None:
        assert isinstance(await told(life), Repeated)

    world.live(stop)
    world.live(story)
