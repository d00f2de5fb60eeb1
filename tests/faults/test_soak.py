"""P6: minutes of ordinary days, good and bad targets, keys and dead letters, and the memory stays where it was.

A leak of a few bytes an event shows in no other run: they end too soon, or grow for a reason. Here nothing grows for a
reason but what the journal's page cache holds of a file that grows, which has its bound and is not counted. Each second
brings new ids and new keys, one target of three fails now and then, one has no use for some events, and what is kept of
them has its bound: so once all is warm the curve has to be flat. The short form is too short for that, and shows that
nothing is lost meanwhile.
"""

import asyncio
import collections
import statistics
import typing

import pytest

from tests.faults.conftest import Form, patient
from tests.process.conftest import Bench
from tests.support.dispatcher import Load, Process
from tests.support.figures import Figure
from tests.support.ledger import settled
from tests.support.targets import Got, Target

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

CONNECTIONS: typing.Final = 8
PAUSE: typing.Final = 0.01  # seconds between an answer and the next post: 800 a second at the most
EVERY: typing.Final = 0.5  # seconds from one look at the memory to the next
CAP: typing.Final = 250.0  # MB at any time
GROWS: typing.Final = 4.0  # MB from the second quarter to the last: a leak of 16 bytes an event of the long form
LETTERS: typing.Final = "16Ki"  # of dead letters, at the most
CACHE: typing.Final = 16.0  # MB of the journal's file that SQLite may keep in memory


async def test_memory_is_flat_however_long_it_goes_on(bench: Bench, form: Form, figure: Figure) -> None:
    seconds = form(6.0, 600.0)
    well, flaky, choosy = [await bench.target(name) for name in ("well", "flaky", "choosy")]
    flaky.choose = lambda got: 503 if got.attempt == 1 and got.event.endswith("7") else 204
    choosy.choose = lambda got: 400 if got.event.endswith("3") else 204
    ordered = {"name": "ordered", "url": well.url, "policy": {"ordering": {"keyAttribute": "id"}}}
    letters = {
        "name": "choosy",
        "url": choosy.url,
        "policy": {"deadLetter": {"maxBytes": LETTERS, "onFull": "DropOldest"}},
    }
    bench.route({"name": "flaky", "url": flaky.url}, letters, ordered, defaults={"policy": patient()})
    process = await bench.started()
    came = Came(well, flaky, choosy)

    load = Load(process, "e", connections=CONNECTIONS, pause=PAUSE).start()
    held = await looked_at(process, came, seconds)
    await load.stop()
    await settled(process)
    peak, code = process.memory(), await asyncio.to_thread(process.stop)
    came.count()

    quarter = len(held) // 4
    before, after = statistics.median(held[quarter : 2 * quarter]), statistics.median(held[3 * quarter :])
    gone = {target.name: len(set(load.accepted) - came.ids[target.name]) for target in (well, flaky, choosy)}
    figure(
        "P6", soak_s=seconds, acknowledged=len(load.accepted), lost=sum(gone.values()), peak_rss_mb=peak, cap_mb=CAP,
        second_quarter_mb=before, last_quarter_mb=after, slope_mb_per_hour=(after - before) * 3600 / (seconds / 2),
    )  # fmt: skip
    assert {status for one in load.producers for status, _ in one.answers} == {202}
    assert set(gone.values()) == {0}
    assert code == 0
    assert peak < CAP
    if form.long:
        assert len(load.accepted) > 50 * seconds, "that was no load"
        assert after - before < GROWS


class Came:
    """Which events have reached which target; the requests themselves are let go, as this test must not grow either."""

    def __init__(self, *targets: Target) -> None:
        self.targets = targets
        self.ids: dict[str, set[str]] = collections.defaultdict(set)

    def count(self) -> None:
        """Take down what has come since."""
        for target in self.targets:
            got: list[Got] = target.got
            target.got = []
            self.ids[target.name].update(one.event for one in got)


async def looked_at(process: Process, came: Came, seconds: float) -> list[float]:
    """What the process holds beside pages of its journal, in MB, at each look for *seconds*."""
    held = []
    for _ in range(int(seconds / EVERY)):
        await asyncio.sleep(EVERY)
        pages = min(CACHE, (process.data / "journal.db").stat().st_size / 1e6)
        held.append(process.memory("VmRSS") - pages)
        came.count()
    return held
