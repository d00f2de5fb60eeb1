"""The API server goes away and comes back: events are delivered all the while, and routes served soon after."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.controlplane.dispatcher import Dispatcher
from tests.controlplane.installed import Installation, define, running_operator
from tests.controlplane.manifests import CRM
from tests.controlplane.targets import target
from tests.harness.apiserver import ApiServer
from tests.support.figures import Figure

PROMISED = 10.0  # seconds after the API server is ready
BUSY = 20.0  # in the short form, which runs beside the rest of the suite; the figure is printed


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
def test_while_the_api_server_is_away_events_are_delivered_and_soon_after_it_is_ready_routes_are_served(
    own_server: ApiServer, tmp_path: Path, figure: Figure, request: pytest.FixtureRequest
) -> None:
    """Two operators, as the chart runs them: the leader gives up meanwhile, the standby goes on."""
    define(own_server)
    fanout = Installation(own_server, "test-away")
    fanout.install()
    namespace = own_server.namespace()
    dispatcher = Dispatcher(fanout, tmp_path)
    away, bound = (100.0, PROMISED) if request.config.getoption("--long") else (10.0, BUSY)
    flags = ("--leader-elect", f"--dispatcher=http://127.0.0.1:{dispatcher.report}")
    with (
        target() as (url, got),
        dispatcher.running(),
        running_operator(fanout, *flags) as leader,
        running_operator(fanout, *flags) as standby,
    ):
        fanout.apply(fanout.route(namespace, "orders", {"name": "crm", "url": url}))
        fanout.status(namespace, "orders", Ready="True")
        with posting(dispatcher, f"/{namespace}/orders") as answers:
            own_server.stop()
            time.sleep(away)  # how long it is away is what this is about
            meanwhile = len(answers)
            for _ in range(meanwhile):
                got.get(timeout=10)
            own_server.start()
            began = time.monotonic()
            fanout.apply(fanout.route(namespace, "later", CRM))
            fanout.status(namespace, "later", Ready="True")
            took = time.monotonic() - began

        for _ in answers[meanwhile:]:
            got.get(timeout=10)
        assert leader.ended() == 1, "it did not know any more whether it leads"
        assert standby.metric("fanout_operator_leader") == 1
    figure("P26", api_server_away_seconds=away, seconds_after_it_was_ready=took, events_taken=len(answers))

    assert took <= bound
    assert set(answers) == {202}
    assert meanwhile > away, "some ten a second were posted"
    assert got.empty(), "each came once"
