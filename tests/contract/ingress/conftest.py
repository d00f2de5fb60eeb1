"""A data port on loopback before an engine that does as it is told."""

import collections.abc
import itertools
import typing

import pytest

from fanout_dispatcher.ingress.listener import listen
from fanout_dispatcher.ingress.settings import Settings
from tests.contract.ingress.both import World, ours, twin
from tests.contract.ingress.client import Client
from tests.unit.dispatcher.ingress.stub import WALL, StubEngine

Serve = typing.Callable[..., typing.Awaitable[Client]]


@pytest.fixture(params=[ours, twin])
def world(request: pytest.FixtureRequest) -> World:
    """A data port, ours or its twin."""
    made: World = request.param
    return made


@pytest.fixture
def engine() -> StubEngine:
    return StubEngine()


@pytest.fixture
async def serve(engine: StubEngine) -> collections.abc.AsyncIterator[Serve]:
    """Open a port with these settings; what it gives connects to it."""
    opened: list[Client] = []

    async def start(**settings: typing.Any) -> Client:
        numbers = itertools.count(1)
        ingress = await listen(
            engine,
            ("127.0.0.1", 0),
            ids=lambda: f"made-{next(numbers)}",
            wall=lambda: WALL,
            settings=Settings(**settings),
        )
        opened.append(Client(ingress))
        return opened[-1]

    yield start
    for one in opened:
        await one.close()
