"""The operator killed at each of its writes, one life after the other: it comes to the same end."""

import itertools
import time

import pytest

from tests.controlplane.faults import (
    PATIENCE,
    PAUSE,
    beginning,
    comes,
    differences,
    dump,
    meanwhile,
    settled,
    through,
)
from tests.controlplane.installed import Installation, Operator
from tests.controlplane.waiting import Document
from tests.support.faulty_api import Matches, faulty, kill, writes
from tests.support.figures import Figure


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
        time.sleep(PAUSE)
    return False
