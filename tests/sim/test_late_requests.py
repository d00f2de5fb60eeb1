"""A request whose route changed or went after its head was judged: it is for what is in force when it is begun."""

import asyncio
import typing

import msgspec
import pytest

from fanout_crds.plan import Plan
from fanout_dispatcher.engine.routes import DRAIN
from fanout_dispatcher.ingress.accept import Acceptor
from fanout_dispatcher.ingress.port import Port
from fanout_dispatcher.ingress.protocol import Connection
from fanout_dispatcher.ingress.settings import Settings
from fanout_dispatcher.parts import Door
from fanout_dispatcher.transport.memory import NEVER, status
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target, a_wait
from tests.unit.dispatcher.ingress.stub import Wire

PATIENT: typing.Final = Settings(body_seconds=1000.0, write_seconds=1000.0)
GONE: typing.Final = DRAIN + 10.0  # seconds after which a route's lanes are forgotten
FAN_OUT: typing.Final = a_plan("a", "b")
GRAPH: typing.Final = a_plan("a", a_target("b", depends_on=("a",)))
NAMED: typing.Final = a_plan("a", path="/shop/{kind}/placed")
HANGS: typing.Final = a_target("hangs", policy={"timeouts": {"attempt": 0.0}})
SLOW: typing.Final = a_plan(HANGS, name="slow", path="/shop/slow", respond=a_wait("hangs", timeout=2 * GONE))


class Client:
    """A client of the data port of *life*."""

    def __init__(self, life: Life) -> None:
        self.faults: list[dict[str, typing.Any]] = []
        life.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        acceptor = Acceptor(life.loop, Door(life.engine, life.desk), lambda: "made-1")
        self.port = Port(life.loop, acceptor, PATIENT, life.world.wall)
        self.wire = Wire()
        self.connection = Connection(self.port)
        self.connection.connection_made(self.wire)

    def begins(self, path: str) -> None:
        """Send a head and half of a body."""
        self._send(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{" % path.encode())

    def ends(self) -> None:
        """Send the other half."""
        self._send(b"}")

    @property
    def statuses(self) -> list[int]:
        """What was answered."""
        return [int(answer[:3]) for answer in self.wire.written.split(b"HTTP/1.1 ")[1:]]

    def _send(self, data: bytes) -> None:
        self.connection.data_received(data)


def a_world(*plans: Plan) -> World:
    world = World(plans[0], lambda target, flight, now: NEVER if target == "hangs" else status(200))
    world.plans.update({plan.key: plan for plan in plans})
    return world


def at(plan: Plan) -> str:
    """A path of *plan*."""
    return plan.path.replace("{kind}", "order")


@pytest.mark.parametrize("plan", [FAN_OUT, GRAPH, NAMED])
def test_a_request_that_waits_for_its_turn_while_its_route_is_deleted_is_told_that_there_is_none(plan: Plan) -> None:
    world = a_world(plan, SLOW)

    async def story(life: Life) -> None:
        client = Client(life)
        for _ in range(PATIENT.pipelined):
            client.begins("/shop/slow")
            client.ends()
        client.begins(at(plan))
        client.ends()
        await asyncio.sleep(1.0)
        life.retire(plan.key)
        await asyncio.sleep(3 * GONE)
        client.port.close()

        assert client.statuses == [504] * PATIENT.pipelined + [404]
        assert client.faults == []
        assert await life.desk.dead_letters(DeadLetterFilter(route=plan.key)) == []

    world.live(story)


@pytest.mark.parametrize("plan", [FAN_OUT, GRAPH, NAMED])
def test_a_body_that_comes_slowly_is_for_the_plan_that_is_in_force_when_it_is_complete(plan: Plan) -> None:
    world = a_world(plan)

    async def story(life: Life) -> None:
        client = Client(life)
        client.begins(at(plan))
        life.adopt(msgspec.structs.replace(plan, generation=2, revision="2" * 16, targets=(a_target("c"),)))
        await asyncio.sleep(GONE)
        client.ends()
        await asyncio.sleep(1.0)
        client.port.close()

        assert (client.statuses, client.faults) == ([202], [])

    world.live(story)
    assert [sent.target for sent in world.history.sent] == ["c"]


@pytest.mark.parametrize("plan", [FAN_OUT, GRAPH, NAMED])
def test_a_body_that_comes_slowly_is_for_the_route_that_has_its_path_now(plan: Plan) -> None:
    world = a_world(plan)

    async def story(life: Life) -> None:
        client = Client(life)
        client.begins(at(plan))
        life.retire(plan.key)
        await asyncio.sleep(GONE)
        life.adopt(a_plan("c", name="another", path=plan.path))
        client.ends()
        await asyncio.sleep(1.0)
        client.port.close()

        assert (client.statuses, client.faults) == ([202], [])

    world.live(story)
    assert [(sent.route, sent.target) for sent in world.history.sent] == [("shop/another", "c")]


def test_a_route_that_was_made_again_takes_what_came_for_it_before_to_its_new_lanes() -> None:
    world = a_world(FAN_OUT)

    async def story(life: Life) -> None:
        client = Client(life)
        client.begins(FAN_OUT.path)
        life.retire(FAN_OUT.key)
        await asyncio.sleep(GONE)
        life.adopt(FAN_OUT)
        client.ends()
        await asyncio.sleep(1.0)
        client.port.close()

        assert (client.statuses, client.faults) == ([202], [])
        assert await life.desk.dead_letters(DeadLetterFilter()) == []

    world.live(story)
    assert sorted(sent.target for sent in world.history.sent) == ["a", "b"]
