"""The operator killed after each of its writes, the API server killed, and nonsense where only we should write."""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.controlplane.dispatcher import Dispatcher
from tests.controlplane.faults import (
    CRM,
    PATIENCE,
    becomes,
    beginning,
    comes,
    differences,
    dump,
    meanwhile,
    settled,
    through,
)
from tests.controlplane.installed import Installation, Operator, define, running_operator
from tests.controlplane.waiting import Document
from tests.harness.apiserver import ApiServer
from tests.support.faulty_api import Matches, faulty, kill, writes
from tests.support.figures import Figure

READY = 20.0  # seconds after the API server is ready, on a busy machine; the promise is 10, and the figure is printed
IDLE = 15.0  # seconds in which nothing happens


@pytest.fixture(scope="module")
def fanout(release: Installation) -> Installation:
    return release.beside("test-killed")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
def test_killed_at_every_single_write_it_comes_to_the_same_end(
    done: bool, fanout: Installation, namespace: str, figure: Figure
) -> None:
    """Each life is killed one write later than the one before: when it was done and not answered, or not done.

    (Killed at the first each time it would not get on: a plan is a Secret and then a ConfigMap of one new revision.)
    """
    with faulty(fanout.server) as api:
        operator, told = through(fanout, api), fanout.server.namespace()
        try:
            operator.start()
            for place in (told, namespace):
                beginning(fanout, place)
                comes(fanout, place)
            meanwhile(fanout, told)
            settled(fanout, told)
            end = dump(fanout, told)
            operator.stop()
            meanwhile(fanout, namespace)
            for lives in itertools.count():
                api.meet(writes_after(lives), kill(lambda: operator.pid, done=done))
                operator.spawn()
                if lived(operator, fanout, namespace, end):
                    break
            operator.stop()
        finally:
            operator.kill()
    figure("P26", operator_killed_when_a_write_was="done" if done else "not done", kills=lives)

    assert dump(fanout, namespace) == end
    assert lives >= 2, "eight workers write at once, so one life may make several writes"


def writes_after(passed: int) -> Matches:
    """The first write after so many."""
    left = itertools.count(-passed)
    return lambda request: writes(request) and next(left) >= 0


def lived(operator: Operator, fanout: Installation, namespace: str, end: tuple[Document, Document]) -> bool:
    """Whether it came to the end before it was killed."""
    deadline = time.monotonic() + PATIENCE
    while not operator.has_ended():
        if (found := dump(fanout, namespace)) == end and operator.ready():
            return not operator.has_ended()
        assert time.monotonic() < deadline, "\n".join(differences(found, end)) or "it is not ready"
    return False


@contextmanager
def posting(dispatcher: Dispatcher, path: str) -> Iterator[list[int]]:
    """Ten events a second until the block ends, and what was answered."""
    answers: list[int] = []
    over = threading.Event()

    def post() -> None:
        while not over.wait(0.1):
            answers.append(dispatcher.post(path).status_code)

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


@pytest.mark.timeout(300)
def test_while_the_api_server_is_away_events_are_taken_and_soon_after_it_is_ready_routes_are_served(
    own_server: ApiServer, tmp_path: Path, figure: Figure, request: pytest.FixtureRequest
) -> None:
    """Two operators, as the chart runs them: the leader gives up meanwhile, the standby goes on."""
    define(own_server)
    fanout = Installation(own_server, "test-away")
    fanout.install()
    namespace = own_server.namespace()
    dispatcher = Dispatcher(fanout, tmp_path)
    away = 100.0 if request.config.getoption("--long") else 10.0
    flags = ("--leader-elect", f"--dispatcher=http://127.0.0.1:{dispatcher.report}")
    with dispatcher.running(), running_operator(fanout, *flags) as leader, running_operator(fanout, *flags) as standby:
        fanout.apply(fanout.route(namespace, "orders", CRM))
        fanout.status(namespace, "orders", Ready="True")
        with posting(dispatcher, f"/{namespace}/orders") as answers:
            own_server.stop()
            time.sleep(away)  # how long it is away is what this is about
            own_server.start()
            began = time.monotonic()
            fanout.apply(fanout.route(namespace, "later", CRM))
            fanout.status(namespace, "later", Ready="True")
            took = time.monotonic() - began

        assert leader.ended() == 1, "it did not know any more whether it leads"
        assert standby.metric("fanout_operator_leader") == 1
    figure("P26", api_server_away_seconds=away, seconds_after_it_was_ready=took, events_taken=len(answers))

    assert took <= READY
    assert set(answers) == {202}


NONSENSE: Document = {
    "observedGeneration": 99,
    "pending": 12345,
    "address": {"url": "https://nowhere.example.com/"},
    "targets": [{"name": "ghost", "circuit": "Open"}],
    "conditions": [
        {"type": kind, "status": "True", "reason": "Nonsense", "message": "?", "lastTransitionTime": when}
        for kind, when in (("Ready", "2001-01-01T00:00:00Z"), ("Surprise", "2099-01-01T00:00:00Z"))
    ],
}


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
