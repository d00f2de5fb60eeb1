"""An operator's life in a cluster of many routes, phase by phase, and what was seen in each.

Beside the time that a phase took stands the CPU that all of us spent in it (operator, dispatcher, API server, etcd and
this program) and how many cores others kept busy meanwhile: where that is not near 0, the times are the neighbours'.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

import aiohttp

from bench.crowd import Crowd
from bench.process import all_spent, busy, most_held, spent
from bench.results import Result, judged, percentile
from tests.controlplane.installed import Operator
from tests.harness.process import tail

PATIENCE = 900.0  # seconds for any one step
SETTLE = 2.0  # seconds for what the last edit still causes
IDLE = 60.0
POLL = 0.1


class Life:
    """One operator; call the phases in the order in which they stand."""

    def __init__(self, tell: Callable[[str], None], operator: Operator, *, rate: float, seconds: float) -> None:
        self._tell = tell
        self._operator = operator
        self._rate = rate
        self._seconds = seconds
        self._found: dict[str, float] = {}

    async def made(self, crowd: Crowd, routes: int) -> None:
        """All routes are applied; nobody looks at them yet."""
        with self._phase("made"):
            await crowd.make(routes)

    async def from_nothing(self, crowd: Crowd) -> None:
        """Until every route has a plan, then until every status says so."""
        with self._phase("told"):
            with self._phase("plans"):
                await self._start()
            await crowd.programmed(PATIENCE)

    async def edits(self, crowd: Crowd) -> None:
        """Edits at a rate, each until the route says that it is in force."""
        before = spent(self._operator.pid)
        with self._phase("edits"):
            took = await crowd.edit(rate=self._rate, seconds=self._seconds)
        cpu = (spent(self._operator.pid) - before) / len(took) * 1000
        self._note(edit_p50_ms=percentile(took, 0.5), edit_p99_ms=percentile(took, 0.99), edit_cpu_ms=cpu)

    async def idle(self) -> None:
        """Nothing happens."""
        await asyncio.sleep(SETTLE)
        patches, cpu = self._operator.patches(), spent(self._operator.pid)
        await asyncio.sleep(IDLE)
        percent = (spent(self._operator.pid) - cpu) / IDLE * 100
        self._note(idle_patches=self._operator.patches() - patches, idle_cpu_percent=percent)
        self._note(rss_mb=most_held(self._operator.pid))

    async def again(self) -> None:
        """A start on a cluster in which all is as it should be."""
        await asyncio.to_thread(self._operator.stop)
        with self._phase("resync"):
            await self._start()
        self._note(resync_operator_cpu_s=spent(self._operator.pid), resync_patches=self._operator.patches())
        self._note(resync_reads=self._operator.metric('fanout_operator_api_calls_total{method="GET"}'))

    async def edits_while_starting(self, crowd: Crowd) -> None:
        """Edits at a rate from the moment that a starting operator has listed the routes."""
        await asyncio.to_thread(self._operator.stop)
        self._operator.log.unlink()
        self._operator.spawn()
        await asyncio.to_thread(self._operator.says, "operator.listed", PATIENCE)
        took = await crowd.edit(rate=self._rate, seconds=max(1.0, self._found["resync_s"]))
        self._note(starting_p50_ms=percentile(took, 0.5), starting_p99_ms=percentile(took, 0.99))
        self._note(rss_mb=max(self._found["rss_mb"], most_held(self._operator.pid)))

    def results(self, routes: int) -> dict[str, Result]:
        """What was seen, held against what it must be with 5,000 routes."""
        found = self._found

        def of(name: str, unit: str, must: str, note: str) -> dict[str, Result]:
            return {name: judged(name, [found], unit=unit, must=must, note=note)}

        def beside(phase: str) -> str:
            return f"; {found[f'{phase}_cpu_s']:.0f} s of CPU, others kept {found[f'{phase}_others']:.1f} cores busy"

        return {
            **of("plans_s", "s", "≤ 60", f"{routes:,} routes and no plan: until all are written" + beside("plans")),
            **of("told_s", "s", "", "the same, until every route says that it is Programmed" + beside("told")),
            **of("resync_s", "s", "≤ 60", "a start where all is as it should be: until ready" + beside("resync")),
            **of("resync_patches", "", "≤ 0", "what that start wrote"),
            **of("resync_reads", "", "", "what that start asked of the API server, pages of lists included"),
            **of("edit_p99_ms", "ms", "≤ 1000", f"{self._rate:g} edits a second, until Programmed" + beside("edits")),
            **of("edit_p50_ms", "ms", "", "of the same"),
            **of("starting_p99_ms", "ms", "", "the same while the operator starts"),
            **of("idle_patches", "", "≤ 0", "in a minute in which nothing happens"),
            **of("rss_mb", "MB", "≤ 400", "the most the operator ever held"),
        }

    async def _start(self) -> None:
        """Start it and wait until it is ready; asked seldom, since asking takes CPU from those who work."""
        self._operator.spawn()
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession(self._operator.health) as session:
            while not await _ready(session):
                await asyncio.sleep(POLL)
                if self._operator.has_ended():
                    raise RuntimeError(f"the operator has ended:\n{tail(self._operator.log)}")

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        begun, ours, whole = time.monotonic(), all_spent(), busy()
        yield
        seconds, cpu = time.monotonic() - begun, all_spent() - ours
        others = max(0.0, busy() - whole - cpu) / seconds
        self._note(**{f"{name}_s": seconds, f"{name}_cpu_s": cpu, f"{name}_others": others})

    def _note(self, **figures: float) -> None:
        self._found |= figures
        self._tell(", ".join(f"{name} {value:.1f}" for name, value in figures.items()))


async def _ready(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
