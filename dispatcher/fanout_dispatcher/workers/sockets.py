"""The data port of a dispatcher with workers: one listening socket for each of them, all at the same address.

The kernel deals new connections out among them (SO_REUSEPORT). The supervisor makes them and never closes its copies
while it serves: when a worker dies, connections that are dealt to its socket are not refused but wait in its backlog,
until the next process under the same number takes them.
"""

import contextlib
import socket
import typing

from fanout_dispatcher.settings import Unstartable
from fanout_dispatcher.values.address import Address

BACKLOG: typing.Final = 1024  # connections that wait at each socket; a worker sets its own when it takes over


def open_sockets(address: Address, count: int) -> list[socket.socket]:
    """Make *count* sockets that listen at *address*. Raises Unstartable when it is taken, or is no single address."""
    family, place = _resolved(address)
    with contextlib.ExitStack() as undo:
        try:
            if address.port:
                _check_free(family, place)
            sockets: list[socket.socket] = []
            for _ in range(count):
                one = undo.enter_context(_socket(family))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                one.bind(sockets[0].getsockname() if sockets else place)  # port 0 is the same free one for all
                sockets.append(one)
            for one in sockets:
                one.listen(BACKLOG)
        except OSError as wrong:
            raise Unstartable(address.unopened(wrong)) from None
        undo.pop_all()
    return sockets


def _resolved(address: Address) -> tuple[int, typing.Any]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as wrong:
        raise Unstartable(address.unopened(wrong)) from None
    if len(found) > 1:
        several = ", ".join(str(one[4][0]) for one in found)
        raise Unstartable(f"cannot listen on {address} with workers: it stands for {several}; name one of them")
    return found[0][0], found[0][4]


def _check_free(family: int, place: typing.Any) -> None:
    """Bind without sharing: with it, a second dispatcher of the same user would take half of the first one's events."""
    with _socket(family) as probe:
        probe.bind(place)


def _socket(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
