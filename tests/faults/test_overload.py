"""P6, P8, P13: ten times more than the targets take, on a journal with a bound.

What cannot be kept is refused, at once and before anything is accepted; what was accepted is delivered. The memory
stays where it was, and no target has more requests than its bulkhead allows.
"""

import asyncio
import collections
import typing

import pytest

from tests.faults.conftest import Form, patient
from tests.process.conftest import Bench
from tests.support.dispatcher import Load
from tests.support.figures import Figure
from tests.support.ledger import lost, quantile, settled, unexplained

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

CAP: typing.Final = 250.0  # MB
LIMIT: typing.Final = 4  # in flight per target
TAKES: typing.Final = 0.1  # seconds per request: 40 a second in all, of what is offered a tenth at the most
SIZE: typing.Final = 8_000  # bytes of a body


async def test_ten_times_too_much_is_refused_at_once_and_what_was_taken_is_kept(
    bench: Bench, form: Form, figure: Figure
) -> None:
    seconds = form(1.5, 30.0)
    a, b = await bench.target("a"), await bench.target("b")
    a.delay = b.delay = TAKES
    bench.route(a, b, defaults={"policy": patient() | {"bulkhead": {"maxConcurrent": LIMIT}}})
    process = await bench.started("--journal-size", "4Mi")

    load = await Load(process, "much", connections=32, size=SIZE).last(seconds)
    peak = process.memory()
    a.delay = b.delay = 0.0
    await settled(process)
    code = await asyncio.to_thread(process.stop)

    statuses = collections.Counter(status for one in load.producers for status, _ in one.answers)
    total = statuses.total()
    gone, twice = lost(load.accepted, [a, b]), unexplained([a, b], killed=False)
    figure(
        "P8", offered_per_s=total / seconds, taken_per_s=LIMIT / TAKES, answered_202=f"{statuses[202] / total:.0%}",
        answered_429=f"{statuses[429] / total:.0%}", answered_503=f"{statuses[503] / total:.0%}",
        refused_p99_ms=1000 * quantile(load.seconds(429, 503), 0.99), lost=len(gone),
    )  # fmt: skip
    figure("P6", overload_peak_rss_mb=peak, cap_mb=CAP)
    figure("P13", bulkhead=LIMIT, most_in_flight=max(a.most, b.most))
    assert total / seconds > 10 * LIMIT / TAKES, "that was no overload"
    assert statuses[503] > 0, "nothing was refused"
    assert set(statuses) <= {202, 429, 503}
    assert (gone, twice, code) == ([], [], 0)
    assert peak < CAP
    assert max(a.most, b.most) <= LIMIT
