"""Ends servers without losing a connection."""

import asyncio


async def shut(server: asyncio.AbstractServer) -> None:
    """Stop listening, once whatever was being accepted is a connection, which is for its protocol to end.

    asyncio takes three turns to make a connection, and one whose server is closed meanwhile is lost: nobody closes its
    socket (python/cpython#109564). So the server stops accepting first.
    """
    if isinstance(server, asyncio.Server):  # uvloop's has no such gap
        loop = asyncio.get_running_loop()
        for one in server.sockets:
            loop.remove_reader(one.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
    server.close()
