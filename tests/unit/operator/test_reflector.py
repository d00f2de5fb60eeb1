"""Reflectors: a small copy that heals itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from fanout_operator import reflector
from fanout_operator.backoff import Backoff
from fanout_operator.kube import GRANTS, SERVICES, Gone, NotFound, Scope, Unavailable
from fanout_operator.reflector import Reflector
from tests.sim import loop as virtual
from tests.unit.operator.cluster import Cluster
from tests.unit.operator.made import rng, service


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "RETRY", Backoff(base=0.001, cap=0.01))
    monkeypatch.setattr(reflector, "PAUSE", 0.0)


class Scene:
    """A reflector of Services' ports, and what it told."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.told: list[tuple[str, bool, bool]] = []
        self._news = asyncio.Event()
        self.reflector = Reflector(
            self.cluster,
            Scope(kind=SERVICES),
            keep=lambda document: str(document["spec"]["ports"][0]["port"]),
            changed=self._changed,
            rng=rng(),
        )

    def _changed(self, key: str, before: str | None, now: str | None) -> None:
        self.told.append((key, before is not None, now is not None))
        self._news.set()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                self._news.clear()
                await self._news.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.reflector.run())
        try:
            await self.reflector.synced.wait()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_what_is_there_comes_comes_changed_and_goes() -> None:
    scene = Scene()
    service(scene.cluster, "a")
    async with scene.running():
        service(scene.cluster, "b")
        service(scene.cluster, "a", ports=[{"port": 9}])
        await scene.until(lambda: scene.reflector.items == {"shop/a": "9", "shop/b": "8080"})
        scene.cluster.remove(SERVICES, "shop", "b")
        await scene.until(lambda: scene.reflector.items == {"shop/a": "9"})

    assert scene.told == [
        ("shop/a", False, True),
        ("shop/b", False, True),
        ("shop/a", True, True),
        ("shop/b", True, False),
    ]


async def test_a_change_of_what_is_not_kept_is_no_news() -> None:
    scene = Scene()
    service(scene.cluster, "a")
    async with scene.running():
        service(scene.cluster, "a", type="NodePort")
        service(scene.cluster, "b")
        await scene.until(lambda: "shop/b" in scene.reflector.items)

    assert [key for key, *_ in scene.told] == ["shop/a", "shop/b"]


@pytest.mark.parametrize("fault", [Gone("too old"), Unavailable("cut"), NotFound("no such kind")])
async def test_what_changed_while_the_watch_was_broken_is_found(fault: Exception) -> None:
    scene = Scene()
    service(scene.cluster, "kept")
    service(scene.cluster, "lost")
    faults = [fault]

    def fail(call: str) -> Exception | None:
        if call.startswith("WATCH") and faults:
            scene.cluster.remove(SERVICES, "shop", "lost")
            service(scene.cluster, "new")
            return faults.pop()
        return None

    scene.cluster.fail = fail
    async with scene.running():
        await scene.until(lambda: scene.reflector.items.keys() == {"shop/kept", "shop/new"})


async def test_it_is_synced_only_after_a_whole_list_and_even_an_empty_one_counts() -> None:
    scene = Scene()
    failures = [Unavailable("away")] * 3
    scene.cluster.fail = lambda _call: failures.pop() if failures else None
    async with asyncio.timeout(5), scene.running():
        assert scene.reflector.items == {}

    assert [call for call in scene.cluster.calls if call.startswith("LIST")] == ["LIST services"] * 4


async def test_a_watch_that_fails_time_and_again_starts_with_a_new_list() -> None:
    """After a restore the version to resume from may be one that this API server will not have for days."""
    scene = Scene()
    failures = [Unavailable("504: too large resource version")] * 3
    scene.cluster.fail = lambda call: failures.pop() if call.startswith("WATCH") and failures else None
    async with scene.running():
        service(scene.cluster, "a")
        await scene.until(lambda: "shop/a" in scene.reflector.items)

    assert scene.cluster.calls[:5] == ["LIST services", *["WATCH services"] * 3, "LIST services"]


async def test_its_age_says_when_the_api_server_was_last_heard_of() -> None:
    scene = Scene()
    before = scene.reflector.age(1000.0)
    async with scene.running():
        now = asyncio.get_running_loop().time()

    assert before == 0.0
    assert scene.reflector.age(now + 100) >= 100


class Optional:
    """A reflector of a kind whose definition comes and goes."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.cluster.absent = set(GRANTS)
        self.reflector = Reflector(
            self.cluster,
            Scope(kind=GRANTS[0]),
            keep=lambda _document: True,
            changed=lambda *_: None,
            rng=rng(),
            kinds=GRANTS,
        )

    def put(self, name: str) -> None:
        self.cluster.put(GRANTS[1], {"metadata": {"name": name, "namespace": "vault"}})


def test_a_kind_that_is_not_there_has_no_objects_and_is_no_fault_and_once_there_it_is_watched() -> None:
    async def story() -> None:
        scene = Optional()
        task = asyncio.create_task(scene.reflector.run())
        await scene.reflector.synced.wait()
        listed = [call for call in scene.cluster.calls if not call.startswith("DISCOVER")]
        scene.put("a")
        scene.cluster.absent = {GRANTS[0]}  # only the older version is served
        await asyncio.sleep(reflector.ABSENT + 1)
        scene.put("b")
        await asyncio.sleep(1)
        task.cancel()

        assert listed == []
        assert scene.reflector.scope.kind is GRANTS[1]
        assert scene.reflector.items == {"vault/a": True, "vault/b": True}
        assert repr(scene.reflector).endswith("failures=0>")

    virtual.run(story())


def test_that_a_kind_is_gone_counts_when_it_is_gone_at_a_second_look_too() -> None:
    async def story() -> None:
        scene = Optional()
        scene.cluster.absent = {GRANTS[0]}
        scene.put("a")
        task = asyncio.create_task(scene.reflector.run())
        await scene.reflector.synced.wait()
        scene.cluster.absent = set(GRANTS)
        faults: list[Exception] = [NotFound("the definition is gone")]
        scene.cluster.fail = lambda call: faults.pop() if call.startswith("WATCH") and faults else None
        await asyncio.sleep(1)
        first = dict(scene.reflector.items)
        await asyncio.sleep(reflector.ABSENT)
        task.cancel()

        assert first == {"vault/a": True}
        assert scene.reflector.items == {}

    virtual.run(story())
