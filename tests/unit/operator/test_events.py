"""Kubernetes Events: what is news between two statuses, and that posting it never holds anybody up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fanout_operator import events
from fanout_operator.bucket import Bucket
from fanout_operator.events import Notice, Recorder, notices
from fanout_operator.kube import Document, TooMany, Unavailable
from tests.sim import loop as virtual
from tests.unit.operator.cluster import Cluster
from tests.unit.operator.made import document_of

GOOD = ("True", "Accepted", "the spec is understood")


def condition(kind: str, status: str, reason: str, message: str = "so it is", generation: int = 1) -> Document:
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": generation}


def conditions(*said: Document) -> Document:
    return {"conditions": list(said)}


def targets(**said: Document) -> Document:
    return {"targets": [{"name": name, **facts} for name, facts in said.items()]}


def told(before: Document, after: Document, *dry_run: str) -> list[tuple[str, str]]:
    return [(one.type, one.reason) for one in notices(before, after, frozenset(dry_run))]


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        ({}, {"circuit": "Closed", "deadLetters": 0}, []),
        ({}, {"circuit": "Open"}, [("Warning", "CircuitOpened")]),
        ({"circuit": "Closed"}, {"circuit": "Open"}, [("Warning", "CircuitOpened")]),
        ({"circuit": "Open"}, {"circuit": "Open"}, []),
        ({"circuit": "Open"}, {"circuit": "HalfOpen"}, []),
        ({"circuit": "HalfOpen"}, {"circuit": "Open"}, []),
        ({"circuit": "HalfOpen"}, {"circuit": "Closed"}, [("Normal", "CircuitClosed")]),
        ({"circuit": "Open"}, {"circuit": "Disabled"}, [("Normal", "CircuitClosed")]),
        ({"circuit": "Open"}, {}, []),
        ({"deadLetters": 0}, {"deadLetters": 3}, [("Warning", "DeadLetters")]),
        ({}, {"stuck": 2}, [("Warning", "SagaStuck")]),
        ({"stuck": 2}, {"stuck": 1}, []),
        ({"stuck": 2}, {}, []),
        ({"deadLetters": 3}, {"deadLetters": 40}, []),
        ({"deadLetters": 3}, {"deadLetters": 0}, []),
    ],
)
def test_of_a_target_it_is_news_that_a_circuit_opens_or_closes_and_that_the_first_delivery_dies(
    before: Document, after: Document, news: list[tuple[str, str]]
) -> None:
    assert told(targets(crm=before), targets(crm=after)) == news


def test_each_target_is_told_by_its_name_with_its_last_error() -> None:
    before = targets(crm={"circuit": "Closed"}, mail={"circuit": "Open"})
    after = targets(
        crm={"circuit": "Open", "lastError": "connect failed"}, mail={"circuit": "Closed", "deadLetters": 2}
    )

    assert [one.message for one in notices(before, after)] == [
        "target crm: its circuit opened, deliveries are held; last error: connect failed",
        "target mail: its circuit closed, it is asked again",
        "target mail: dead letters wait to be replayed or removed: 2",
    ]


def test_a_circuit_that_holds_nothing_is_no_news() -> None:
    assert told(targets(crm={"circuit": "Closed"}), targets(crm={"circuit": "Open"}), "crm") == []


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (None, condition("Accepted", *GOOD), []),
        (condition("Accepted", "Unknown", "Pending"), condition("Accepted", *GOOD), []),
        (None, condition("Accepted", "False", "Invalid"), [("Warning", "Invalid")]),
        (condition("Accepted", "False", "Invalid"), condition("Accepted", "False", "Invalid"), []),
        (
            condition("Accepted", "False", "Invalid"),
            condition("Accepted", "False", "Invalid", generation=2),
            [("Warning", "Invalid")],
        ),
        (condition("Accepted", "False", "Invalid"), condition("Accepted", *GOOD), [("Normal", "Accepted")]),
        (None, condition("ResolvedRefs", "False", "SecretNotFound"), [("Warning", "SecretNotFound")]),
        (
            condition("ResolvedRefs", "False", "SecretNotFound"),
            condition("ResolvedRefs", "False", "SecretNotFound", generation=2),
            [],
        ),
        (
            condition("ResolvedRefs", "False", "SecretNotFound"),
            condition("ResolvedRefs", "False", "SecretNotFound", "another one too"),
            [("Warning", "SecretNotFound")],
        ),
        (
            condition("ResolvedRefs", "False", "SecretNotFound"),
            condition("ResolvedRefs", "True", "ResolvedRefs"),
            [("Normal", "ResolvedRefs")],
        ),
        (condition("ResolvedRefs", "False", "SecretNotFound"), condition("ResolvedRefs", "Unknown", "NotAccepted"), []),
        (None, condition("Programmed", "False", "Waiting"), []),
        (
            condition("Programmed", "False", "Waiting"),
            condition("Programmed", "False", "PlanRefused"),
            [("Warning", "PlanRefused")],
        ),
        (condition("Programmed", "True", "Programmed"), condition("Programmed", "False", "Waiting"), []),
        (None, condition("Accepted", "True", "Cautioned"), [("Warning", "Cautioned")]),
        (
            condition("Accepted", "True", "Cautioned"),
            condition("Accepted", "True", "Accepted"),
            [("Normal", "Accepted")],
        ),
        (None, condition("Ready", "False", "SecretNotFound"), []),
        (None, condition("Healthy", "False", "CircuitOpen"), []),
    ],
)
def test_of_conditions_it_is_news_what_is_wrong_and_that_it_is_right_again(
    before: Document | None, after: Document, news: list[tuple[str, str]]
) -> None:
    assert told(conditions(*([before] if before else [])), conditions(after)) == news


def test_nothing_is_news_when_nothing_changed() -> None:
    status = conditions(condition("Accepted", "False", "Invalid")) | targets(crm={"circuit": "Open", "deadLetters": 1})

    assert told(status, status) == []


@pytest.mark.parametrize(
    "garbage", [{"conditions": None, "targets": 7}, {"conditions": ["x"], "targets": [{"name": 1}]}]
)
def test_garbage_in_a_status_is_no_news_and_no_fault(garbage: Document) -> None:
    assert told(garbage, garbage) == []
    assert told(garbage, targets(crm={"circuit": "Open"})) == [("Warning", "CircuitOpened")]


SAID = Notice("Warning", "CircuitOpened", "target crm: its circuit opened, deliveries are held")


class Scene:
    """A recorder over a cluster."""

    def __init__(self, *, rate: float = 1000, burst: float = 1000) -> None:
        self.cluster = Cluster()
        self.ids = iter(range(10_000))
        self.recorder = Recorder(
            self.cluster,
            bucket=Bucket(rate, burst),
            wall=lambda: "2026-01-01T00:00:00Z",
            new_id=lambda: str(next(self.ids)),
        )

    def events(self) -> list[Document]:
        return [one for (plural, *_), one in self.cluster.objects.items() if plural == "events"]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.recorder.run())
        try:
            yield
        finally:
            task.cancel()

    async def posted(self) -> None:
        await asyncio.sleep(60)  # virtual seconds; the queue is empty long before
        assert len(self.recorder) == 0


def about(name: str = "orders") -> Document:
    return {"apiVersion": "fanout.dev/v1alpha1", **document_of(name)}


def test_an_event_names_its_route_and_lies_in_its_namespace() -> None:
    async def story() -> None:
        scene = Scene()
        async with scene.running():
            scene.recorder.post(about(), SAID)
            await scene.posted()
        (event,) = scene.events()

        assert event["metadata"]["namespace"] == "shop"
        assert event["metadata"]["name"] == "orders.0"
        assert event["involvedObject"] == {
            "apiVersion": "fanout.dev/v1alpha1",
            "kind": "FanoutRoute",
            "namespace": "shop",
            "name": "orders",
            "uid": "uid-orders",
        }
        assert (event["type"], event["reason"], event["message"]) == (SAID.type, SAID.reason, SAID.message)
        assert event["count"] == 1

    virtual.run(story())


def test_what_is_said_again_soon_is_counted_and_later_it_is_an_event_of_its_own() -> None:
    async def story() -> None:
        scene = Scene()
        async with scene.running():
            scene.recorder.post(about(), SAID)
            scene.recorder.post(about("invoices"), SAID)
            scene.recorder.post(about(), SAID)
            await scene.posted()
            await asyncio.sleep(events.REPEAT + 1)
            scene.recorder.post(about(), SAID)
            await scene.posted()

        assert [(one["metadata"]["name"], one["count"]) for one in scene.events()] == [
            ("orders.0", 2),
            ("invoices.1", 1),
            ("orders.2", 1),
        ]

    virtual.run(story())


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "RECENT", 2)

    async def story() -> None:
        scene = Scene()
        async with scene.running():
            for name in ("a", "b", "c", "b", "a"):
                scene.recorder.post(about(name), SAID)
            await scene.posted()

        assert [(one["metadata"]["name"], one["count"]) for one in scene.events()] == [
            ("a.0", 1),
            ("b.1", 2),
            ("c.2", 1),
            ("a.3", 1),
        ]

    virtual.run(story())


def test_posting_never_waits_and_what_does_not_fit_is_counted() -> None:
    scene = Scene()
    for number in range(events.WAITING + 5):
        scene.recorder.post(about(f"r{number}"), SAID)

    assert len(scene.recorder) == events.WAITING
    assert scene.recorder.dropped == 5
    assert repr(scene.recorder) == f"<Recorder waiting={events.WAITING} posted=0 dropped=5>"


def test_it_posts_no_faster_than_its_bucket() -> None:
    async def story() -> tuple[int, int]:
        scene = Scene(rate=1, burst=3)
        async with scene.running():
            for number in range(20):
                scene.recorder.post(about(f"r{number}"), SAID)
            await asyncio.sleep(0.5)
            first = scene.recorder.posted
            await asyncio.sleep(10)
            return first, scene.recorder.posted

    assert virtual.run(story()) == (3, 13)


def test_an_event_that_is_refused_is_counted_and_the_next_one_is_posted_when_the_api_server_wants_it() -> None:
    async def story() -> None:
        scene = Scene()
        faults: list[Exception] = [Unavailable("away"), TooMany("slow down", 30.0)]
        scene.cluster.fail = lambda _call: faults.pop() if faults else None
        async with scene.running():
            for name in ("a", "b", "c"):
                scene.recorder.post(about(name), SAID)
            await asyncio.sleep(29)
            during = scene.recorder.posted
            await asyncio.sleep(2)

        assert (during, scene.recorder.posted, scene.recorder.dropped) == (0, 1, 2)

    virtual.run(story())
