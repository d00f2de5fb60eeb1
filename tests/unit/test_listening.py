"""What ends our test servers: a connection that is being accepted at that moment is not left open."""

import asyncio
import gc
import select
import socket

import pytest

from tests.support.listening import shut


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_is_being_accepted_is_made_before_the_server_is_shut(turns: int) -> None:
    made: list[asyncio.BaseTransport] = []

    class Noting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    server = await asyncio.get_running_loop().create_server(Noting, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()):
        select.select([server.sockets[0].fileno()], [], [])  # it waits to be accepted
        for _ in range(turns):
            await asyncio.sleep(0)
        await shut(server)
        for one in made:
            one.close()
        await asyncio.sleep(0)
    gc.collect()  # of a socket that nobody closed a warning tells now, which is an error

    assert len(made) == (turns > 1)
