"""A port on loopback that answers no handshake."""

import contextlib
import socket
import typing


@contextlib.contextmanager
def black_hole() -> typing.Iterator[int]:
    """Its backlog is full and nobody accepts."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
