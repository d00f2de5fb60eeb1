"""Targets with a cache, in virtual time: who is asked, who is answered by what another one was told, and when not."""

import asyncio
import typing

import msgspec
import pytest

from fanout_crds import plan
from fanout_dispatcher.engine import reuse
from fanout_dispatcher.transport.memory import NEVER, Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Ending, Settled, Told, Turned
from fanout_dispatcher.values.desk import LaneMeter
from fanout_dispatcher.values.outcome import Delivered, Failed
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.sim.graphs import undo
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target, a_wait

KEEP: typing.Final = 1 << 18
SOON: typing.Final = 0.1  # seconds that commits may add to an answer
CACHE: typing.Final = plan.Cache(key_expression="data", ttl=60.0)
PROBED: typing.Final = {"consecutive_failures": 1, "open_duration": 1.0, "max_open_duration": 1.0}
Script = typing.Callable[[Flight, float], Reply]
Durability = typing.Literal["Journal", "Memory"]


def says(body: bytes, *headers: tuple[str, str], latency: float = 0.0, code: int = 200) -> Reply:
    kept = Captured(code, headers, body)
    return Reply(Delivered(code, kept) if code < 300 else Failed(status=code, answer=kept), latency)


def numbered(*headers: tuple[str, str], latency: float = 0.0) -> Script:
    """A target that counts how often it was asked."""
    count = 0

    def answer(flight: Flight, now: float) -> Reply:
        nonlocal count
        count += 1
        return says(b"%d" % count, *headers, latency=latency)

    return answer


def a_world(script: Script, *, durability: Durability = "Journal", **changes: object) -> World:
    target = a_target("prices", capture=KEEP, **({"cache": CACHE} | changes))
    made = a_plan(target, respond=a_wait("prices"), durability=durability)
    return World(made, lambda _, flight, now: script(flight, now))


def heard(told: Told) -> tuple[bytes, bool]:
    """What the one target said, and whether it said so to another one."""
    assert isinstance(told, Settled), told
    (one,) = told.heard
    assert one.answer is not None, told
    return one.answer.body, one.answer.cached


def asked(world: World) -> list[str]:
    return [one.event for one in world.history.sent]


def meter(life: Life, target: str = "prices") -> LaneMeter:
    return next(one for one in life.desk.lane_meters() if one.target == target)


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
def test_an_answer_is_used_again_for_its_time_and_for_its_key(durability: Durability) -> None:
    world = a_world(numbered(), durability=durability)
    told: list[tuple[bytes, bool]] = []

    async def story(life: Life) -> None:
        told.append(heard(await life.ask("e1", b"sku-1")))
        told.append(heard(await life.ask("e2", b"sku-1")))
        told.append(heard(await life.ask("e3", b"sku-2")))
        await asyncio.sleep(59.0)
        told.append(heard(await life.ask("e4", b"sku-1")))
        await asyncio.sleep(1.5)
        told.append(heard(await life.ask("e5", b"sku-1")))
        found = meter(life)
        assert (found.cache_hits, found.cache_misses, found.delivered, found.pending) == (2, 3, 3, 0)
        await life.settle()
        await life.look()

    world.live(story)

    assert told == [(b"1", False), (b"1", True), (b"2", False), (b"1", True), (b"3", False)]
    assert asked(world) == ["e1", "e3", "e5"]
    views = [world.history.events[receipt] for receipt in world.history.accepted.values()]
    states = [(one.deliveries[0].state, one.deliveries[0].attempts) for one in views if one is not None]
    assert states == [("Delivered", 1), ("Delivered", 0), ("Delivered", 1), ("Delivered", 0), ("Delivered", 1)]


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
def test_concurrent_callers_with_one_key_make_one_request(durability: Durability) -> None:
    world = a_world(numbered(latency=1.0), durability=durability)
    told: list[tuple[bytes, bool]] = []

    async def story(life: Life) -> None:
        callers = [life.ask(f"e{number}", b"sku-1") for number in range(600)]  # more than a window holds
        told.extend([heard(await one) for one in callers])
        assert life.now() < 1.5
        await life.settle()
        assert life.engine.works.stock.deliveries == 0

    world.live(story)

    assert asked(world) == ["e0"]
    assert sorted(told) == [(b"1", False), *[(b"1", True)] * 599]


def test_a_failure_is_never_kept_and_shared_with_nobody() -> None:
    """The one that leads is rejected; all who waited for it ask for themselves, at once and not one by one."""
    world = a_world(lambda flight, now: status(404, 1.0) if flight.event.head.id == "e0" else says(b"yes", latency=1.0))
    told: list[Told] = []

    async def story(life: Life) -> None:
        callers = [life.ask(f"e{number}", b"sku-1") for number in range(6)]
        told.extend([await one for one in callers])
        assert life.now() < 2.5
        told.append(await life.ask("e6", b"sku-1"))

    world.live(story)

    assert [one.ending for one in told if isinstance(one, Settled)] == [Ending.FAILED, *[Ending.ANSWERED] * 6]
    assert asked(world) == [f"e{number}" for number in range(6)]


def test_who_waits_for_one_that_is_tried_again_asks_for_itself() -> None:
    world = a_world(lambda flight, now: status(503, 0.5) if flight.event.head.id == "e0" else says(b"yes"))

    async def story(life: Life) -> None:
        life.ask("e0", b"sku-1")
        assert heard(await life.ask("e1", b"sku-1")) == (b"yes", False)
        assert life.now() < 0.5 + SOON

    world.live(story)


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
def test_a_delivery_that_is_tried_again_is_one_miss(durability: Durability) -> None:
    answers = [status(503), status(503), says(b"yes")]
    world = a_world(lambda flight, now: answers.pop(0), durability=durability)

    async def story(life: Life) -> None:
        assert heard(await life.ask("e1", b"sku-1")) == (b"yes", False)
        assert heard(await life.ask("e2", b"sku-1")) == (b"yes", True)
        found = meter(life)
        assert (found.cache_misses, found.cache_hits, found.retried) == (1, 1, 2)

    world.live(story)

    assert asked(world) == ["e1"] * 3


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
@pytest.mark.parametrize("keys", [400, 40])
def test_a_delivery_that_waited_in_the_index_is_one_hit_or_one_miss(durability: Durability, keys: int) -> None:
    """More than a window holds, for a target that takes one at a time; of few keys some wait for one that spills."""
    one_at_a_time = {"bulkhead": {"max_concurrent": 1}}
    world = a_world(numbered(latency=0.2), durability=durability, policy=one_at_a_time)

    async def story(life: Life) -> None:
        for number in range(400):
            await life.post(f"e{number}", b'"sku-%d"' % (number % keys))
        await life.settle(patience=1000)
        found = meter(life)
        assert (found.cache_misses, found.cache_hits) == (len(asked(world)), 400 - len(asked(world)))

    world.live(story)


def test_a_delivery_that_is_tried_again_waits_for_nobody() -> None:
    """It has asked for itself: another one that hangs by now does not hold it up."""

    def answer(flight: Flight, now: float) -> Reply:
        if flight.event.head.id == "e1":
            return NEVER
        return status(503, 0.5) if flight.number == 1 else says(b"yes")

    world = a_world(answer)

    async def story(life: Life) -> None:
        first = life.ask("e0", b"sku-1")
        await asyncio.sleep(0.5 + SOON)
        life.ask("e1", b"sku-1")
        assert heard(await first) == (b"yes", False)
        assert life.now() < reuse.PATIENCE

    world.live(story)


def test_a_probe_that_fails_has_asked_though_no_attempt_is_spent() -> None:
    answers = [status(503), status(503), status(503), says(b"yes")]
    world = a_world(lambda flight, now: answers.pop(0), policy={"circuit_breaker": PROBED})

    async def story(life: Life) -> None:
        life.ask("e1", b"sku-1")
        await life.settle()
        found = meter(life)
        assert (found.cache_misses, found.delivered) == (1, 1)

    world.live(story)


@pytest.mark.parametrize("said", ["no-store", "private", "max-age=0"])
def test_what_may_not_be_kept_is_asked_for_by_everybody_and_nobody_waits_for_it_twice(said: str) -> None:
    world = a_world(numbered(("cache-control", said), latency=1.0))

    async def story(life: Life) -> None:
        first = [life.ask(f"e{number}", b"sku-1") for number in range(3)]
        assert sorted([heard(await one) for one in first]) == [(b"1", False), (b"2", False), (b"3", False)]
        began = life.now()
        later = [life.ask(f"f{number}", b"sku-1") for number in range(3)]
        assert [heard(await one)[1] for one in later] == [False] * 3
        assert life.now() < began + 1.0 + SOON, "they went beside each other"

    world.live(story)

    assert len(asked(world)) == 6


def test_a_target_that_is_stricter_than_the_manifest_has_its_way() -> None:
    world = a_world(numbered(("cache-control", "max-age=10"), ("age", "4")))

    async def story(life: Life) -> None:
        await life.ask("e1", b"sku-1")
        await asyncio.sleep(5.0)
        assert heard(await life.ask("e2", b"sku-1")) == (b"1", True)
        await asyncio.sleep(1.5)
        assert heard(await life.ask("e3", b"sku-1")) == (b"2", False)

    world.live(story)


@pytest.mark.parametrize(
    ("vary", "changes", "again"),
    [
        ("Accept-Encoding, Origin", {}, True),
        ("Accept-Language", {}, True),  # it is the same in all requests: nobody forwards it
        ("Accept-Language", {"forward_headers": ("accept-language",)}, False),
        ("X-Tenant", {"forward_headers": ("x-*",)}, False),
        ("X-Total", {"mapping": plan.Mapping(method="POST", headers=(plan.Value(name="X-Total"),))}, False),
        ("Ce-Subject", {}, False),
        ("traceparent", {}, False),
        (
            "X-Tenant",
            {
                "forward_headers": ("x-tenant",),
                "cache": plan.Cache(key_expression="true || headers['x-tenant'] == 'a' ? 'all' : ''", ttl=60.0),
            },
            True,
        ),
    ],
)
def test_what_varies_by_a_header_that_differs_and_that_the_key_does_not_read_is_not_used_again(
    vary: str, changes: dict[str, typing.Any], again: bool
) -> None:
    world = a_world(numbered(("vary", vary)), **changes)

    async def story(life: Life) -> None:
        await life.ask("e1", b"sku-1")
        assert heard(await life.ask("e2", b"sku-1"))[1] is again

    world.live(story)


def test_an_open_circuit_hides_nothing_that_was_answered_before() -> None:
    """Those with an answer have it, all the others hear at once that nobody is asked, however many came before them."""

    def script(flight: Flight, now: float) -> Reply:
        return says(b"seven") if now < 1.0 else status(503)

    world = a_world(script, policy={"circuit_breaker": {"open_duration": 600.0, "max_open_duration": 600.0}})

    async def story(life: Life) -> None:
        await life.ask("known", b"sku-1")
        await asyncio.sleep(1.0)
        failing = [life.ask(f"e{number}", b"sku-%d" % (number + 2)) for number in range(400)]
        await asyncio.wait(failing)
        assert life.target("prices").circuit == "Open"
        began = life.now()
        assert heard(await life.ask("again", b"sku-1")) == (b"seven", True)
        said = await life.ask("unknown", b"sku-9999")
        assert isinstance(said, Settled)
        assert said.heard[0].reason == "CircuitOpen"
        assert life.now() < began + 2 * SOON

    world.live(story)


def test_hits_take_no_tokens_and_no_slots() -> None:
    world = a_world(
        numbered(),
        policy={"rate_limit": plan.RateLimit(requests=1, per=1000.0, burst=1), "bulkhead": {"max_concurrent": 1}},
    )

    async def story(life: Life) -> None:
        await life.ask("e", b"sku-1")
        began = life.now()
        for number in range(50):
            assert heard(await life.ask(f"e{number}", b"sku-1")) == (b"1", True)
        assert life.now() < began + 50 * SOON

    world.live(story)


@pytest.mark.parametrize("durability", ["Journal", "Memory"])
def test_who_is_answered_from_memory_needs_no_place_in_line_for_a_slot(durability: Durability) -> None:
    bulkhead = {"bulkhead": {"max_concurrent": 1, "max_queue": 0}}
    world = a_world(numbered(latency=1.0), durability=durability, policy=bulkhead)
    told: list[tuple[bytes, bool]] = []
    turned: list[Told] = []

    async def story(life: Life) -> None:
        told.append(heard(await life.ask("e1", b"kept")))
        leads = life.ask("e2", b"asked for")
        await asyncio.sleep(0.5)
        hits = [life.ask(f"hit{number}", b"kept") for number in range(3)]
        waits = life.ask("e3", b"asked for")
        turned.append(await life.ask("e4", b"unknown"))
        told.extend([heard(await one) for one in (*hits, leads, waits)])

    world.live(story)

    assert told == [(b"1", False), *[(b"1", True)] * 3, (b"2", False), (b"2", True)]
    assert [one.reason for one in turned if isinstance(one, Turned)] == ["BulkheadFull"]
    assert asked(world) == ["e1", "e2"]


def test_a_suspended_route_answers_nobody_not_even_from_memory() -> None:
    world = a_world(numbered())

    async def story(life: Life) -> None:
        await life.ask("e1", b"sku-1")
        life.adopt(msgspec.structs.replace(world.plan, suspend=True))
        said = await life.ask("e2", b"sku-1")
        assert isinstance(said, Settled)
        assert said.heard[0].reason == "Suspended"
        life.adopt(world.plan)
        await life.settle()

    world.live(story)

    assert asked(world) == ["e1"], "the same target as before: what it said holds"


def test_a_target_that_is_another_one_now_never_serves_what_the_old_one_said() -> None:
    """Neither what is kept, nor what was under way as the plan changed, nor for who waited for that."""
    world = a_world(numbered(latency=1.0))
    old, target = world.plan, world.plan.targets[0]
    other = msgspec.structs.replace(target, url="http://127.0.0.1:9/other")
    new = msgspec.structs.replace(old, revision="fedcba9876543210", generation=2, targets=(other,))

    async def story(life: Life) -> None:
        await life.ask("e1", b"sku-1")
        under_way = [life.ask("e2", b"sku-2"), life.ask("e3", b"sku-2")]
        await asyncio.sleep(0.5)
        life.adopt(new)
        assert meter(life).cache_bytes == 0
        assert [heard(await one)[1] for one in under_way] == [False, False]
        assert heard(await life.ask("e4", b"sku-1")) == (b"4", False)
        assert heard(await life.ask("e5", b"sku-2")) == (b"3", True), "what e3 was told, by the new one"

    world.live(story)

    urls = {one.event: one.url.rpartition("/")[2] for one in world.history.sent}
    assert urls == {"e1": "prices", "e2": "prices", "e3": "other", "e4": "other"}


def test_an_edit_that_leaves_the_target_alone_leaves_its_answers() -> None:
    world = a_world(numbered())
    edited = msgspec.structs.replace(world.plan, revision="fedcba9876543210", generation=2, max_body_size=7)

    async def story(life: Life) -> None:
        await life.ask("e1", b"sku-1")
        life.adopt(edited)
        assert heard(await life.ask("e2", b"sku-1")) == (b"1", True)

    world.live(story)


def test_nobody_waits_long_for_one_that_hangs() -> None:
    world = a_world(lambda flight, now: NEVER if flight.event.head.id == "e0" else says(b"yes"))

    async def story(life: Life) -> None:
        life.ask("e0", b"sku-1")
        assert heard(await life.ask("e1", b"sku-1")) == (b"yes", False)
        assert life.now() < reuse.PATIENCE + 1.0 + SOON

    world.live(story)


def test_a_key_that_has_no_value_is_a_dead_letter_and_an_empty_one_asks_for_itself() -> None:
    world = a_world(numbered(), cache=plan.Cache(key_expression="event.subject", ttl=60.0))
    empty = a_world(numbered(), cache=plan.Cache(key_expression="''", ttl=60.0))

    async def story(life: Life) -> None:
        said = await life.ask("e1")
        assert isinstance(said, Settled)
        assert said.heard[0].reason == "ExpressionFailed"
        (letter,) = await life.desk.dead_letters(DeadLetterFilter())
        assert letter.detail.startswith("cache.keyExpression: ")

    async def alone(life: Life) -> None:
        callers = [life.ask(f"e{number}") for number in range(3)]
        assert {heard(await one)[1] for one in callers} == {False}

    world.live(story)
    empty.live(alone)

    assert (len(asked(world)), len(asked(empty))) == (0, 3)


def test_who_has_hung_up_or_never_waited_is_settled_by_an_answer_too() -> None:
    world = a_world(numbered(latency=1.0))

    async def story(life: Life) -> None:
        await life.post("e0", b'"sku-1"')
        await life.post("e1", b'"sku-1"')
        life.ask("e2", b"sku-1")
        await asyncio.sleep(0.5)
        caller = life.callers["e2"]
        assert caller is not None
        caller.leave()
        await life.settle()
        assert life.engine.durable.live == {}

    world.live(story)

    assert asked(world) == ["e0"]


def test_a_step_that_can_be_undone_asks_for_itself_although_a_later_plan_gives_it_a_cache() -> None:
    """Else another one's answer would settle it, and its own undoing would undo what it never did."""
    retry = {"max_attempts": None, "backoff": {"type": "Constant", "base_delay": 5.0, "jitter": "None"}}
    policy = {"retry": retry, "circuit_breaker": {"enabled": False}}
    a, b = a_target("a", policy=policy, capture=KEEP), a_target("b", depends_on=("a",))
    before = a_plan(a, b, behind=(undo("a"),), respond=a_wait("a"))
    cached = msgspec.structs.replace(a, cache=plan.Cache(key_expression="'k'", ttl=60.0))
    after = msgspec.structs.replace(before, targets=(cached, b), behind=(), revision="2", generation=2)
    of_e1: list[str] = []

    def behave(target: str, flight: Flight, now: float) -> Reply:
        if flight.event.head.id != "e1":
            return says(b"A")
        of_e1.append(target)
        return status(429) if target == "a" and now < 8.0 else status(422) if target == "b" else says(b"A")

    world = World(before, behave)

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(2)
        life.adopt(after)
        assert heard(await life.ask("e2")) == (b"A", False)
        assert heard(await life.ask("e3")) == (b"A", True), "as the plan is now, the answer is used again"
        await life.settle(1000)

    world.live(story)

    assert of_e1 == ["a", "a", "a", "b", "a.compensate"]


def test_a_step_that_finds_its_window_full_does_not_wait_for_itself() -> None:
    policy = {"bulkhead": {"max_concurrent": 16}, "circuit_breaker": {"enabled": False}}
    cache = plan.Cache(key_expression="event.id", ttl=30.0)
    step = a_target("b", depends_on=("a",), capture=KEEP, policy=policy, cache=cache)
    first = a_target("a", policy={"bulkhead": {"max_concurrent": 1000}})
    made = a_plan(first, step, respond=a_wait("b", timeout=20.0))
    world = World(made, lambda target, flight, now: says(b"", latency=0.01 if target == "a" else 0.02))
    took: list[float] = []

    async def story(life: Life) -> None:
        answers = [life.ask(f"e{number}") for number in range(320)]
        for one in answers:
            one.add_done_callback(lambda done: took.append(life.now()))
        assert {one.ending for one in await asyncio.gather(*answers) if isinstance(one, Settled)} == {Ending.ANSWERED}

    world.live(story)

    assert len(took) == 320
    assert max(took) < 1.5, "320 of them, 16 at a time, 20 ms each"


def test_a_step_of_a_graph_is_settled_by_an_answer_and_what_depends_on_it_goes_on() -> None:
    look_up = a_target("prices", capture=KEEP, cache=CACHE)
    made = a_plan(look_up, a_target("order", capture=KEEP, depends_on=("prices",)), respond=a_wait("prices", "order"))
    world = World(made, lambda target, flight, now: says(target.encode(), latency=0.2))
    told: list[Told] = []

    async def story(life: Life) -> None:
        told.append(await life.ask("e1", b"sku-1"))
        told.extend([await one for one in [life.ask("e2", b"sku-1"), life.ask("e3", b"sku-1")]])
        await life.settle()

    world.live(story)

    cached = [[one.answer.cached for one in said.heard if one.answer] for said in told if isinstance(said, Settled)]
    assert cached == [[False, False], [True, False], [True, False]]
    assert sorted((one.target, one.event) for one in world.history.sent) == [
        ("order", "e1"), ("order", "e2"), ("order", "e3"), ("prices", "e1"),
    ]  # fmt: skip


def test_a_key_may_read_what_earlier_targets_have_answered_and_later_ones_read_an_answer_that_was_used_again() -> None:
    keep = 1 << 10
    who = a_target("who", capture=KEEP, keep=keep)
    price = a_target(
        "price",
        capture=KEEP,
        keep=keep,
        depends_on=("who",),
        cache=plan.Cache(key_expression="targets.who.body", ttl=60.0),
    )
    order = a_target("order", capture=KEEP, depends_on=("price",), when="targets.price.body == 'P1' && data != ''")

    def behave(target: str, flight: Flight, now: float) -> Reply:
        asked_for_prices = sum(one.target == "price" for one in world.history.sent)
        return says(flight.event.body if target == "who" else b"P%d" % (asked_for_prices + 1))

    world = World(a_plan(who, price, order, respond=a_wait("who", "price", "order")), behave)

    async def story(life: Life) -> None:
        for number, body in enumerate([b"x", b"x", b"y"]):
            await life.ask(f"e{number}", body)
        await life.settle()

    world.live(story)

    assert [(one.target, one.event) for one in world.history.sent] == [
        ("who", "e0"), ("price", "e0"), ("order", "e0"),
        ("who", "e1"), ("order", "e1"),
        ("who", "e2"), ("price", "e2"),
    ]  # fmt: skip


def test_a_crash_takes_the_cache_with_it_and_nothing_else() -> None:
    world = a_world(numbered(latency=1.0))

    async def story(life: Life) -> None:
        await life.ask("e1", b"sku-1")
        await life.ask("e2", b"sku-1")
        for number in range(3):
            life.ask(f"late{number}", b"sku-2")
        await asyncio.sleep(0.5)

    async def later(life: Life) -> None:
        await life.settle()
        await life.look()

    world.live(story)
    world.live(later)

    views = [world.history.events[receipt] for receipt in world.history.accepted.values()]
    assert all(view is not None and view.settled for view in views)
    assert {one.event for one in world.history.sent} >= {"e1", "late0"}
    assert "e2" not in asked(world), "what was settled stays so"
