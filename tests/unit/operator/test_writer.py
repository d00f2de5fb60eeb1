"""When a status is written, how often, and what first."""

import asyncio
from typing import Any

import msgspec
import pytest

from fanout_crds.report import RouteReport, TargetReport
from fanout_crds.schema import PENDING
from fanout_operator.bucket import Bucket
from fanout_operator.conditions import Finding, InForce
from fanout_operator.fleet import Fleet
from fanout_operator.kube import ROUTES, Document
from fanout_operator.rivals import Rivals
from fanout_operator.routes import Routes
from fanout_operator.status import status
from fanout_operator.writer import ENDPOINTS, Buckets, Ours, StatusWriter
from tests.sim import loop as virtual
from tests.unit.operator.cluster import Cluster
from tests.unit.operator.made import rng, route

KEY = "shop/orders"


def buckets(answers: float, *, others: float | None = None, burst: float) -> Buckets:
    return Buckets(Bucket(answers, burst), Bucket(others if others is not None else answers, burst))


US = "fanout/fanout-report"


class Scene:
    """A writer over a cluster with one route that runs everywhere."""

    def __init__(self, burst: float = 100, cluster: Cluster | None = None, us: str = US) -> None:
        self.cluster = cluster or Cluster()
        self.told: list[tuple[str, str]] = []  # routes, and who else serves them
        self.routes = Routes()
        self.fleet = Fleet(lambda _routes: None)
        self.findings: dict[str, Finding] = {}
        self.writer = StatusWriter(
            self.cluster,
            self.routes,
            self.findings,
            self.fleet,
            ours=Ours(Rivals(us, lambda key, rival: self.told.append((key, rival))), None),
            buckets=buckets(1000, burst=burst),
            rng=rng(),
            wall=lambda: "2026-01-01T00:00:00Z",
        )
        self.fleet.expect({"d0"})
        self.fleet.hello("d0")
        self.fleet.loaded("d0")
        self.writer.caught_up()

    def add(self, name: str) -> None:
        document = self.cluster.put(ROUTES, route(name))
        self.routes.note(document)
        self.findings[f"shop/{name}"] = Finding(
            uid=document["metadata"]["uid"], generation=1, objection=None, targets=("crm",), in_force=InForce("r", 1)
        )

    def leave(self, name: str, **fields: Document) -> None:
        """Somebody gives a route to another installation."""
        known = self.cluster.objects["fanoutroutes", "shop", name]
        moved = route(name, className="another")
        self.routes.note(self.cluster.put(ROUTES, {"status": known.get("status", {}), **moved, **fields}))
        del self.findings[f"shop/{name}"]
        self.writer.left(f"shop/{name}")

    def tell(self, name: str, **named: str) -> None:
        """Its status is what it should be."""
        key = f"shop/{name}"
        said = status(self.findings[key], self.fleet.view(key), {}, now="2026-01-01T00:00:00Z", public_url=None)
        self.routes.note(self.cluster.put(ROUTES, {**route(name), "status": {**said, **named}}))

    def edit(self, name: str) -> None:
        """Somebody applies another spec, and it is reconciled."""
        before = self.cluster.objects["fanoutroutes", "shop", name]
        self.routes.note(self.cluster.put(ROUTES, {**route(name, suspend=True), "status": before.get("status")}))
        self.findings[f"shop/{name}"] = msgspec.structs.replace(self.findings[f"shop/{name}"], generation=2)
        self.writer.edited(f"shop/{name}")
        self.writer.judged(f"shop/{name}")

    def observed(self, name: str) -> int:
        """The generation that its status is about."""
        found: int = self.cluster.objects["fanoutroutes", "shop", name]["status"]["observedGeneration"]
        return found

    def report(self, name: str, revision: str = "r", behind: tuple[TargetReport, ...] = (), **target: Any) -> None:
        targets = (TargetReport(name="crm", **target), *behind)
        self.fleet.route("d0", RouteReport(route=f"shop/{name}", revision=revision, generation=1, targets=targets))

    async def look(self, *names: str) -> int:
        """Wake routes and wait; answers how many patches that made."""
        before = self.patches()
        for name in names:
            self.writer.wake(f"shop/{name}")
        task = asyncio.create_task(self.writer.run())
        await self.writer.edits.drained()
        await self.writer.urgent.drained()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return self.patches() - before

    def patches(self) -> int:
        return sum(call.startswith("PATCH") for call in self.cluster.calls)


async def test_a_status_is_written_once_and_then_only_when_it_differs() -> None:
    scene = Scene()
    scene.add("orders")
    first = await scene.look("orders")
    second = await scene.look("orders")
    scene.report("orders")
    third = await scene.look("orders")

    assert (first, second, third) == (1, 0, 1)


async def test_counters_alone_wait_and_a_condition_takes_them_along() -> None:
    scene = Scene()
    scene.add("orders")
    scene.report("orders")
    await scene.look("orders")
    scene.report("orders", pending=50)
    counters = await scene.look("orders")
    scene.report("orders", pending=60, circuit="Open")
    opened = await scene.look("orders")

    assert (counters, opened) == (0, 1)
    assert scene.cluster.objects["fanoutroutes", "shop", "orders"]["status"]["pending"] == 60


async def test_thousands_of_statuses_that_name_no_installation_yet_are_in_no_ones_way() -> None:
    """After the upgrade from a version that did not know the field."""
    scene = Scene()
    scene.add("orders")
    scene.report("orders")
    scene.tell("orders")

    assert await scene.look("orders") == 0
    assert "later=1" in repr(scene.writer.counters)


def test_counters_that_never_rest_are_written_every_ten_seconds_and_a_quiet_minute_writes_nothing() -> None:
    async def minute(*, busy: bool) -> int:
        scene = Scene()
        scene.add("orders")
        scene.report("orders", pending=1)
        scene.writer.wake(KEY)
        task = asyncio.create_task(scene.writer.run())
        await asyncio.sleep(1)
        before = scene.patches()
        for second in range(60):
            scene.report("orders", pending=2 + second if busy else 1)
            scene.writer.wake(KEY)  # even a route that is looked at without need
            await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return scene.patches() - before

    assert (virtual.run(minute(busy=False)), virtual.run(minute(busy=True))) == (0, 6)


async def test_what_changed_back_while_it_waited_for_the_bucket_costs_no_patch() -> None:
    scene = Scene(burst=1)
    for name in ("first", "second"):
        scene.add(name)
        scene.report(name)
        await scene.look(name)
    scene.writer._buckets = buckets(0.0001, burst=0)  # nobody gets a token
    scene.report("second", circuit="Open")
    scene.writer.wake("shop/second")
    task = asyncio.create_task(scene.writer.run())
    await asyncio.sleep(0)
    before = scene.patches()
    scene.report("second")
    scene.writer._buckets = buckets(1000, burst=10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert await scene.look("second") == 0
    assert scene.patches() == before


async def test_a_route_made_again_meanwhile_is_left_to_its_own_reconcile() -> None:
    scene = Scene()
    scene.add("orders")
    scene.cluster.remove(ROUTES, "shop", "orders")
    scene.cluster.put(ROUTES, route("orders"))

    assert await scene.look("orders") == 1
    assert "status" not in scene.cluster.objects["fanoutroutes", "shop", "orders"]


async def test_a_route_that_left_for_another_installation_looks_new_again() -> None:
    scene = Scene()
    scene.add("orders")
    scene.report("orders", pending=7)
    await scene.look("orders")
    scene.leave("orders")
    found = scene.cluster.objects["fanoutroutes", "shop", "orders"]

    assert (await scene.look("orders"), await scene.look("orders")) == (1, 0)
    assert scene.cluster.objects["fanoutroutes", "shop", "orders"]["status"] == {"conditions": PENDING}
    assert found["status"]["pending"] == 7


async def test_what_the_other_installation_says_of_a_route_that_left_stays() -> None:
    scene = Scene()
    scene.add("orders")
    scene.leave("orders", status={"observedGeneration": 2})

    assert await scene.look("orders") == 0


async def test_a_route_that_is_gone_is_no_fault() -> None:
    scene = Scene()
    scene.add("orders")
    scene.cluster.remove(ROUTES, "shop", "orders")
    await scene.look("orders")

    assert scene.writer.urgent.failed == 0


async def test_a_new_plan_and_the_report_that_it_runs_cost_one_patch() -> None:
    scene = Scene()
    scene.add("orders")
    scene.findings["shop/orders"] = msgspec.structs.replace(scene.findings["shop/orders"], fresh=True)
    scene.writer.judged("shop/orders")
    scene.report("orders")
    patches = await scene.look("orders")
    conditions = scene.cluster.objects["fanoutroutes", "shop", "orders"]["status"]["conditions"]

    assert patches == 1
    assert {one["type"]: one["status"] for one in conditions}["Ready"] == "True"


async def test_without_dispatchers_a_new_plan_is_told_at_once() -> None:
    scene = Scene()
    scene.fleet.expect(())
    scene.add("orders")
    scene.findings["shop/orders"] = msgspec.structs.replace(scene.findings["shop/orders"], fresh=True)
    scene.writer.judged("shop/orders")

    assert len(scene.writer.urgent) == 1


async def test_that_a_service_has_nobody_is_told_and_that_somebody_is_there_again() -> None:
    scene = Scene()
    scene.add("orders")
    scene.findings[KEY] = msgspec.structs.replace(scene.findings[KEY], services=(("crm", "shop/crm"),))
    there: set[str] = set()
    scene.writer.has_endpoints = there.__contains__
    await scene.look("orders")
    without = _reason(scene, "ResolvedRefs")
    there.add("shop/crm")
    await scene.look("orders")

    assert (without, _reason(scene, "ResolvedRefs")) == ("NoReadyEndpoints", "ResolvedRefs")


def test_pods_that_only_restart_cost_no_patch() -> None:
    async def story() -> int:
        scene = Scene()
        scene.add("orders")
        scene.findings[KEY] = msgspec.structs.replace(scene.findings[KEY], services=(("crm", "shop/crm"),))
        await scene.look("orders")
        before, there = scene.patches(), False
        scene.writer.has_endpoints = lambda _service: there
        task = asyncio.create_task(scene.writer.run())
        scene.writer.lost_endpoints(KEY)
        await asyncio.sleep(ENDPOINTS - 1)
        there = True
        scene.writer.wake(KEY)
        await asyncio.sleep(ENDPOINTS * 2)
        task.cancel()
        return scene.patches() - before

    assert virtual.run(story()) == 0


async def test_whoever_wants_to_hear_of_a_status_that_was_written_is_told_before_and_after_and_once() -> None:
    scene = Scene()
    heard: list[tuple[Document, Document, frozenset[str]]] = []
    scene.writer.written = lambda before, after, dry: heard.append((before, after, dry))
    scene.add("orders")
    scene.report("orders", circuit="Open", dry_run=True)
    await scene.look("orders")
    await scene.look("orders")
    ((before, after, dry),) = heard

    assert "status" not in before
    assert after["status"]["targets"] == [{"name": "crm", "circuit": "Open", "pending": 0, "deadLetters": 0}]
    assert dry == {"crm"}


async def test_what_stands_behind_the_targets_is_shown_by_its_name_and_counts_with_them() -> None:
    scene = Scene()
    scene.add("orders")
    undo = TargetReport(name="crm.compensate", pending=2, dead_letters=1, stuck=2)
    scene.report("orders", behind=(undo,), pending=3)

    await scene.look("orders")

    status = scene.cluster.objects["fanoutroutes", "shop", "orders"]["status"]
    assert (status["targetCount"], status["pending"], status["deadLetters"]) == (1, 5, 1)
    assert [one["name"] for one in status["targets"]] == ["crm", "crm.compensate"]
    assert [one.get("stuck") for one in status["targets"]] == [None, 2]


def _reason(scene: Scene, kind: str) -> str:
    status = scene.cluster.objects["fanoutroutes", "shop", "orders"]["status"]
    return next(str(one["reason"]) for one in status["conditions"] if one["type"] == kind)


def test_an_edit_is_answered_while_thousands_of_conditions_wait() -> None:
    """In virtual time: 2,000 circuits open at once, and ten routes are applied meanwhile."""

    async def scenario() -> tuple[float, int]:
        scene = Scene()
        scene.writer._buckets = buckets(50, others=10, burst=1)
        names = [f"route-{number}" for number in range(2000)]
        for name in names:
            scene.add(name)
            scene.tell(name, installation=US)
            scene.report(name, circuit="Open")
            scene.writer.wake(f"shop/{name}")
        task = asyncio.create_task(scene.writer.run())
        loop, slowest = asyncio.get_running_loop(), 0.0
        for name in names[-10:]:
            begun = loop.time()
            scene.edit(name)
            while scene.observed(name) != 2:  # noqa: ASYNC110 - the cluster's twin tells nobody
                await asyncio.sleep(0.01)
            slowest = max(slowest, loop.time() - begun)
        waiting = len(scene.writer.urgent)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return slowest, waiting

    slowest, waiting = virtual.run(scenario())

    assert slowest < 0.1
    assert waiting > 1900


def test_the_first_word_about_a_route_does_not_wait_for_what_dispatchers_say_of_others() -> None:
    """In virtual time: 1,000 routes that nobody was told of are, at the rate of answers."""

    async def scenario() -> float:
        scene = Scene()
        scene.writer._buckets = buckets(50, others=0.001, burst=1)
        for number in range(1000):
            scene.add(f"route-{number}")
            scene.writer.wake(f"shop/route-{number}")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        task = asyncio.create_task(scene.writer.run())
        await scene.writer.urgent.drained()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return loop.time() - begun

    assert virtual.run(scenario()) == pytest.approx(20, abs=1)


async def test_an_edit_is_awaited_until_a_dispatcher_has_said_how_it_ended() -> None:
    scene = Scene()
    scene.add("orders")
    scene.report("orders", revision="before")
    scene.writer.edited("shop/orders")
    await scene.look("orders")
    waiting = scene.writer._queue("shop/orders")
    scene.report("orders")
    await scene.look("orders")

    assert waiting is scene.writer.edits
    assert scene.writer._queue("shop/orders") is scene.writer.urgent


async def test_of_a_route_that_is_gone_nothing_is_remembered() -> None:
    scene = Scene()
    scene.writer.edited("shop/orders")
    scene.writer.left("shop/orders")
    await scene.writer._look("shop/orders")

    assert not scene.writer._awaited
    assert not scene.writer._left


async def test_until_a_start_has_caught_up_only_edits_are_told_and_then_all_is() -> None:
    scene = Scene()
    scene.writer._caught_up = False
    for name in ("first", "second", "edited"):
        scene.add(name)
        scene.writer.judged(f"shop/{name}")
    scene.writer.edited("shop/edited")
    before = await scene.look("first", "second", "edited")
    scene.writer.caught_up()

    assert before == 1
    assert scene.observed("edited") == 1
    assert await scene.look() == 2
