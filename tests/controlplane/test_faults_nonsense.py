"""Nonsense where only we should write, and an operator with nothing to do."""

import json
import time

import pytest

from tests.controlplane.faults import becomes, beginning, comes, dump, through
from tests.controlplane.installed import Installation
from tests.controlplane.waiting import Document
from tests.support.faulty_api import faulty
from tests.support.figures import Figure

IDLE = 15.0  # seconds in which nothing happens; a counter that changed is written after 10
NONSENSE: Document = {  # no counters, which only a dispatcher can put right, and no condition of another controller
    "observedGeneration": 99,
    "address": {"url": "https://nowhere.example.com/"},
    "targets": [{"name": "ghost", "circuit": "Open"}],
    "conditions": [
        {"type": kind, "status": "True", "reason": "Nonsense", "message": "?", "lastTransitionTime": when}
        for kind, when in (("Ready", "2001-01-01T00:00:00Z"), ("Programmed", "2099-01-01T00:00:00Z"))
    ],
}


@pytest.fixture(scope="module")
def fanout(release: Installation) -> Installation:
    return release.beside("test-nonsense")


def test_nonsense_in_a_status_is_overwritten_and_an_idle_operator_writes_nothing(
    fanout: Installation, namespace: str, figure: Figure
) -> None:
    with faulty(fanout.server) as api:
        operator = through(fanout, api)
        try:
            operator.start()
            beginning(fanout, namespace)
            comes(fanout, namespace)
            before = dump(fanout, namespace)
            scribble(fanout, namespace)
            took = becomes(fanout, namespace, before)
            operator.stop()
            scribble(fanout, namespace)
            operator.start()
            becomes(fanout, namespace, before)
            wrote, asked = api.writes(), api.total()
            time.sleep(IDLE)
            wrote, asked = api.writes() - wrote, api.total() - asked
            operator.stop()
        finally:
            operator.kill()
    figure("P26", nonsense_in_status_overwritten_after_seconds=took)
    figure("P26", idle_seconds=IDLE, writes=wrote, reads_and_watches=asked)

    assert wrote == 0
    assert asked < 10 * IDLE
    assert "work.broken" not in operator.log.read_text()


def scribble(fanout: Installation, namespace: str) -> None:
    for route in ("credited", "held"):
        fanout.server.kubectl(
            "patch", "fanoutroute", route, f"--namespace={namespace}", "--subresource=status", "--type=merge",
            f"--patch={json.dumps({'status': NONSENSE})}",
        )  # fmt: skip
