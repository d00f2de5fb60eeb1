"""What every end of the wire is asked: on uvloop (production) and on asyncio's loop, of ours and of its twin."""

import asyncio
import collections.abc
import contextlib
import ssl

import pytest
import trustme
import uvloop

from fanout_dispatcher.transport.protocol import Sender
from tests.contract.dial import USUAL, Dial, Meet, Terms, ours, twin
from tests.unit.dispatcher.transport.support import Peer, Script, peer


def pytest_asyncio_loop_factories() -> dict[str, collections.abc.Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=[ours, twin])
def dial(request: pytest.FixtureRequest) -> Dial:
    """A sender, on what terms the test says."""
    made: Dial = request.param
    return made


@pytest.fixture
def meet(dial: Dial) -> Meet:
    """A peer and a sender to it."""

    @contextlib.asynccontextmanager
    async def met(
        script: Script, terms: Terms = USUAL, *, host: str = "", tls: ssl.SSLContext | None = None
    ) -> collections.abc.AsyncIterator[tuple[Peer, Sender]]:
        async with peer(script, tls=tls) as found:
            url = f"https://{host}:{found.port}/charges" if host else found.url
            async with dial(url, terms) as sender:
                yield found, sender

    return met
