"""P33: metrics tell the truth. After a run in which everything goes wrong, counters and ledger are compared."""

import asyncio
import collections
import collections.abc
import signal

import pytest

from tests.faults.conftest import Form, patient
from tests.process.conftest import Bench
from tests.support.dispatcher import Load
from tests.support.figures import Figure
from tests.support.ledger import metrics, settled
from tests.support.targets import RESET, SILENT, Got

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def fickle(got: Got) -> int:
    """Fails in another way at each of the first tries of an event, then takes it."""
    return {1: 503, 2: RESET, 3: 429}.get(got.attempt, 204)


def picky(got: Got) -> int:
    """Rejects every third event for good."""
    return 422 if got.event.endswith(("3", "6", "9")) else 204


def shy(got: Got) -> int:
    """Does not answer every fifth event at first."""
    return SILENT if got.event.endswith(("0", "5")) and got.attempt == 1 else 204


async def test_counters_reconcile_with_what_producers_and_targets_saw(bench: Bench, form: Form, figure: Figure) -> None:
    targets = [await bench.target(name) for name in ("fickle", "picky", "shy")]
    for target, choose in zip(targets, (fickle, picky, shy), strict=True):
        target.choose = choose
    bench.route(*targets, accept={"maxBodySize": "1Ki"}, defaults={"policy": patient(attempt="2s")})
    process = await bench.started()

    load = await Load(process, "good").last(form(1.0, 10.0))
    big = await Load(process, "big", size=2000, connections=1).last(0.1)
    process.signal(signal.SIGSTOP)
    await asyncio.sleep(0.7)
    process.signal(signal.SIGCONT)
    await settled(process)
    counted = await metrics(process)
    letters = await bench.client.get(f"{process.admin}/v1/dead-letters", params={"limit": 1000})
    code = await asyncio.to_thread(process.stop)

    expected: dict[tuple[str, ...], int] = {
        ("fanout_events_accepted_total", "route", "shop/order-placed"): len(load.accepted),
        ("fanout_ingress_requests_total",): len(load.seconds()) + len(big.seconds()),
        ("fanout_ingress_refused_total", "status", "413"): len(big.seconds(413)),
        ("fanout_pending",): 0,
        ("fanout_in_flight",): 0,
        ("fanout_pending_bytes",): 0,
    }
    for target in targets:
        outcomes = collections.Counter(_outcome(one, target.choose) for one in target.got)
        again = sum(outcomes[how] for how in ("503", "429", "Reset", "Timeout"))
        label = ("target", target.name)
        expected |= {
            ("fanout_attempts_total", *label, "outcome", how): count for how, count in outcomes.items()
        }  # fmt: skip
        expected |= {
            ("fanout_attempts_total", *label): len(target.got),
            ("fanout_attempt_seconds_count", *label): len(target.got),
            ("fanout_delivered_total", *label): outcomes["Delivered"],
            ("fanout_retries_total", *label): again,
            ("fanout_dead_letters_total", *label, "reason", "TargetRejected"): outcomes["422"],
            ("fanout_dead_letters", *label): outcomes["422"],
        }
    found = {key: counted(key[0], **dict(zip(key[1::2], key[2::2], strict=True))) for key in expected}

    wrong = {key: (found[key], wanted) for key, wanted in expected.items() if found[key] != wanted}
    failed = sum(one.status != 204 for target in targets for one in target.got)
    figure(
        "P33",
        counters=len(expected),
        attempts=sum(len(one.got) for one in targets),
        failed=failed,
        differences=len(wrong),
    )
    assert {key[-1] for key in expected} >= {"503", "Reset", "429", "422", "Timeout", "Delivered"}
    assert big.seconds(413), "nothing was refused"
    assert wrong == {}, "(metrics, ledger)"
    assert len(letters.json()["items"]) == min(1000, expected["fanout_dead_letters", "target", "picky"])
    assert code == 0


def _outcome(got: Got, choose: collections.abc.Callable[[Got], int]) -> str:
    status = choose(got)
    return {RESET: "Reset", SILENT: "Timeout", 204: "Delivered"}.get(status, str(status))
