"""Every test of the transport that runs a loop runs on both: uvloop (production) and asyncio's own."""

import asyncio
import collections.abc

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, collections.abc.Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
