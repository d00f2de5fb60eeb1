"""Two candidates in virtual time: one leads, never both, whatever becomes of the leader or of its way to the API."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fanout_operator.elector import RELEASE, Elector, Lost, NotLeading, only_leading
from fanout_operator.kube import LEASES, Document, Kind, Unavailable
from fanout_operator.lease import LONGEST, Election, Place, Terms
from tests.sim.loop import run
from tests.unit.operator.cluster import Cluster

TERMS = Terms()
SLACK = 0.1  # seconds of virtual time in which nobody is looked at


class Way:
    """One candidate's way to the cluster, on which requests may fail, hang, or lose their answers."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self.fate = "well"

    async def get(self, kind: Kind, namespace: str, name: str) -> Document:
        return await self._go(lambda: self._cluster.get(kind, namespace, name))

    async def create(self, kind: Kind, document: Document) -> Document:
        return await self._go(lambda: self._cluster.create(kind, document))

    async def replace(self, kind: Kind, document: Document) -> Document:
        return await self._go(lambda: self._cluster.replace(kind, document))

    async def _go(self, request: Callable[[], Awaitable[Document]]) -> Document:
        match self.fate:
            case "away":
                raise Unavailable("connection refused")
            case "hangs":
                await asyncio.sleep(1e9)
            case "slow":
                await asyncio.sleep(self._rng.uniform(0, 3))
            case "3 s each":
                await asyncio.sleep(3)
            case _:
                pass
        answer = await request()
        if self.fate == "deaf":
            raise Unavailable("the answer was lost")
        await asyncio.sleep(self._rng.uniform(0, 3) if self.fate == "slow" else 0.001)
        return answer


class Candidate:
    """One operator: an elector, its way, and what became of it."""

    def __init__(self, cluster: Cluster, identity: str, seed: int = 0, wall: str = "2026-01-01T00:00:00") -> None:
        self.way = Way(cluster, random.Random(f"{seed}/{identity}"))
        counted = iter(range(10**6))
        self.election = Election(
            Place(namespace="fanout", name="op", identity=identity), TERMS, lambda: f"{wall}.{next(counted):06}Z"
        )
        self.elector = Elector(self.way, self.election, random.Random(f"{seed}/{identity}"))  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.elector.run())

    @property
    def leads(self) -> bool:
        return self.election.leads(asyncio.get_running_loop().time())

    async def elected(self) -> float:
        """Wait until it leads; answers when that was."""
        async with asyncio.timeout(2 * LONGEST):
            await self.elector.elected.wait()
        return asyncio.get_running_loop().time()

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def story(told: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a story in virtual time."""
    return run(told())


async def two(wall: str = "2026-01-01T00:00:00") -> tuple[Cluster, Candidate, Candidate]:
    """A leader and a standby."""
    cluster = Cluster()
    first = Candidate(cluster, "first", wall=wall)
    await first.elected()
    second = Candidate(cluster, "second")
    await asyncio.sleep(5)
    assert (first.leads, second.leads) == (True, False)
    return cluster, first, second


def lease(cluster: Cluster) -> Document:
    spec: Document = cluster.objects[LEASES.plural, "fanout", "op"]["spec"]
    return spec


def test_a_leader_that_was_killed_is_followed_when_its_lease_has_run_out_and_within_15_seconds() -> None:
    async def told() -> float:
        _, first, second = await two()
        await first.end()
        killed = asyncio.get_running_loop().time()
        return await second.elected() - killed

    assert TERMS.duration - TERMS.retry <= story(told) <= TERMS.duration + TERMS.retry < 15


def test_a_leader_that_ends_well_is_followed_at_the_others_next_look() -> None:
    async def told() -> float:
        cluster, first, second = await two()
        await first.end()
        await first.elector.release()
        assert (lease(cluster)["holderIdentity"], lease(cluster)["leaseTransitions"]) == ("", 0)
        released = asyncio.get_running_loop().time()
        took = await second.elected() - released
        assert lease(cluster)["leaseTransitions"] == 1
        return took

    assert story(told) <= TERMS.retry + SLACK


@pytest.mark.parametrize("fate", ["away", "hangs", "deaf"])
def test_a_leader_that_is_cut_off_stops_before_another_begins(fate: str) -> None:
    async def told() -> tuple[float, float]:
        _, first, second = await two()
        first.way.fate = fate
        cut = asyncio.get_running_loop().time()
        with pytest.raises(Lost):
            await first.task
        lost = asyncio.get_running_loop().time()
        assert not second.leads
        return lost - cut, await second.elected() - lost

    until_lost, until_followed = story(told)
    assert TERMS.deadline - TERMS.retry - SLACK <= until_lost <= TERMS.deadline
    assert until_followed >= TERMS.duration - TERMS.deadline


def test_a_short_absence_of_the_api_server_costs_nobody_the_lead() -> None:
    async def told() -> None:
        cluster, first, second = await two()
        first.way.fate = second.way.fate = "away"
        await asyncio.sleep(4)
        first.way.fate = second.way.fate = "well"
        await asyncio.sleep(30)
        assert (first.leads, second.leads) == (True, False)
        assert lease(cluster)["leaseTransitions"] == 0

    story(told)


def test_when_the_api_server_is_back_after_a_long_time_the_standby_leads_within_10_seconds() -> None:
    async def told() -> float:
        _, first, second = await two()
        first.way.fate = second.way.fate = "away"
        await asyncio.sleep(100)
        assert isinstance(first.task.exception(), Lost)
        second.way.fate = "well"
        back = asyncio.get_running_loop().time()
        return await second.elected() - back

    assert story(told) <= TERMS.retry + SLACK


def test_an_api_server_that_takes_3_seconds_for_each_answer_is_led_through_and_handed_on() -> None:
    async def told() -> float:
        cluster, first, second = await two()
        first.way.fate = second.way.fate = "3 s each"
        await asyncio.sleep(120)
        assert (first.leads, second.leads) == (True, False)
        assert lease(cluster)["leaseTransitions"] == 0
        await first.end()
        ended = asyncio.get_running_loop().time()
        took = await second.elected() - ended
        await asyncio.sleep(120)
        assert second.leads
        return took

    assert story(told) <= TERMS.duration + 2 * 3 + TERMS.retry


@pytest.mark.parametrize("spec", [{"leaseDurationSeconds": 2**31 - 1}, {"leaseTransitions": 2**31 - 1}])
def test_a_lease_with_absurd_numbers_in_it_is_taken_over_when_its_holder_is_silent(spec: Document) -> None:
    async def told() -> float:
        cluster, first, second = await two()
        await first.end()
        found = await cluster.get(LEASES, "fanout", "op")
        await cluster.replace(LEASES, {**found, "spec": {**found["spec"], "holderIdentity": "nobody", **spec}})
        edited = asyncio.get_running_loop().time()
        took = await second.elected() - edited
        assert lease(cluster)["leaseTransitions"] < 2**31
        return took

    assert story(told) <= LONGEST + TERMS.retry


@pytest.mark.parametrize("wall", ["2026-01-01T01:00:00", "2025-12-31T23:00:00"])
def test_a_wall_clock_an_hour_off_changes_nothing(wall: str) -> None:
    async def told() -> float:
        _, first, second = await two(wall=wall)
        await asyncio.sleep(60)
        assert (first.leads, second.leads) == (True, False)
        await first.end()
        killed = asyncio.get_running_loop().time()
        return await second.elected() - killed

    assert TERMS.duration - TERMS.retry <= story(told) <= TERMS.duration + TERMS.retry


def test_a_lease_deleted_by_hand_is_made_again_by_its_leader() -> None:
    async def told() -> None:
        cluster, first, second = await two()
        cluster.remove(LEASES, "fanout", "op")
        await asyncio.sleep(20)
        assert (first.leads, second.leads) == (True, False)
        assert lease(cluster)["holderIdentity"] == "first"

    story(told)


def test_a_lease_given_to_another_by_hand_ends_the_leader_at_its_next_renewal() -> None:
    async def told() -> None:
        cluster, first, _ = await two()
        found = await cluster.get(LEASES, "fanout", "op")
        await cluster.replace(LEASES, {**found, "spec": {**found["spec"], "holderIdentity": "third"}})
        async with asyncio.timeout(TERMS.retry + SLACK):
            with pytest.raises(Lost):
                await first.task

    story(told)


def test_a_release_finds_the_version_that_an_interrupted_renewal_made() -> None:
    async def told() -> None:
        cluster, first, _ = await two()
        first.way.fate = "deaf"
        await asyncio.sleep(TERMS.retry)
        await first.end()
        first.way.fate = "well"
        await first.elector.release()
        assert lease(cluster)["holderIdentity"] == ""

    story(told)


def test_a_release_that_cannot_be_said_does_not_keep_the_process() -> None:
    async def told() -> float:
        _, first, _ = await two()
        await first.end()
        first.way.fate = "hangs"
        began = asyncio.get_running_loop().time()
        await first.elector.release()
        return asyncio.get_running_loop().time() - began

    assert story(told) <= RELEASE + SLACK


@pytest.mark.parametrize("seed", range(20))
def test_never_do_two_lead_whatever_happens_on_their_ways(seed: int) -> None:
    """Three candidates, replaced when they end; each way goes wrong and well again at random."""

    async def told() -> int:
        cluster, chance = Cluster(), random.Random(seed)
        names = iter(range(1000))
        candidates = [Candidate(cluster, f"c{next(names)}", seed) for _ in range(3)]
        led = set()
        for _ in range(1200):
            await asyncio.sleep(0.1)
            leaders = [one.election.place.identity for one in candidates if one.leads]
            assert len(leaders) <= 1
            led |= set(leaders)
            if chance.random() < 0.02:
                chance.choice(candidates).way.fate = chance.choice(["well", "well", "away", "hangs", "deaf", "slow"])
            if chance.random() < 0.002:
                await chance.choice(candidates).end()
            for place, one in enumerate(candidates):
                if one.task.done():
                    assert one.task.cancelled() or isinstance(one.task.exception(), Lost)
                    candidates[place] = Candidate(cluster, f"c{next(names)}", seed)
        for one in candidates:
            await one.end()
        return len(led)

    assert run(told(), seed) >= 1


async def test_only_a_leader_may_send_anything_but_reads_and_its_lease() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="done")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    leads = False
    try:
        async with aiohttp.ClientSession(request_class=only_leading(lambda: leads)) as session:
            for method, path in (("GET", "/api/v1/configmaps"), ("PUT", LEASES.path("fanout", "op"))):
                async with session.request(method, base + path) as reply:
                    assert reply.status == 200
            for method in ("PATCH", "POST", "PUT", "DELETE"):
                with pytest.raises(NotLeading, match=f"{method} /api/v1/configmaps is for the leader"):
                    await session.request(method, f"{base}/api/v1/configmaps")
            leads = True
            async with session.patch(f"{base}/api/v1/configmaps") as reply:
                assert reply.status == 200
    finally:
        await runner.cleanup()


async def test_who_stops_leading_while_a_connection_is_made_sends_nothing_over_it() -> None:
    asked, leads = [], True

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.Response(text="done")

    async def wakes_a_minute_later(*_: object) -> None:
        nonlocal leads
        leads = False

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(wakes_a_minute_later)
    try:
        requests = only_leading(lambda: leads)
        async with aiohttp.ClientSession(request_class=requests, trace_configs=[trace]) as session:
            with pytest.raises(NotLeading):
                await session.patch(f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1/configmaps")
    finally:
        await runner.cleanup()

    assert asked == []
