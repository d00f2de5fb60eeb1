"""One listening socket per worker at one address: the kernel deals connections out, and nobody else can join in."""

import socket

import pytest

from fanout_dispatcher.settings import Unstartable
from fanout_dispatcher.values.address import Address
from fanout_dispatcher.workers.sockets import open_sockets


def closed(sockets: list[socket.socket]) -> Address:
    """Close them; where they were."""
    host, port = sockets[0].getsockname()[:2]
    for one in sockets:
        one.close()
    return Address(host, port)


def test_port_0_is_the_same_free_port_for_all_and_connections_are_dealt_to_all() -> None:
    sockets = open_sockets(Address("127.0.0.1", 0), 2)
    address = sockets[0].getsockname()
    clients = [socket.create_connection(address) for _ in range(40)]
    got = []
    for one in sockets:
        one.setblocking(False)
        try:
            taken, _ = one.accept()
            taken.close()
            got.append(True)
        except BlockingIOError:
            got.append(False)
    for client in clients:
        client.close()

    assert [one.getsockname() for one in sockets] == [address, address]
    assert got == [True, True], "2^-39 to be wrong"
    closed(sockets)


def test_the_port_of_a_dispatcher_that_runs_is_taken_even_for_one_that_would_share_it() -> None:
    sockets = open_sockets(Address("127.0.0.1", 0), 2)
    address = Address("127.0.0.1", sockets[0].getsockname()[1])

    with pytest.raises(Unstartable, match=f"cannot listen on {address}: address already in use"):
        open_sockets(address, 2)

    assert len(open_and_close(closed(sockets))) == 2, "and free again when it is gone"


def open_and_close(address: Address) -> list[socket.socket]:
    sockets = open_sockets(address, 2)
    closed(sockets)
    return sockets


def test_an_ipv6_address_works_alike() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        sockets = open_sockets(Address("::1", 0), 2)
    except Unstartable:
        pytest.skip("this machine has no ::1")

    assert closed(sockets).host == "::1"


def test_a_name_that_stands_for_several_addresses_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 8080, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 8080)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: both)

    with pytest.raises(Unstartable, match=r"localhost:8080 with workers: it stands for ::1, 127\.0\.0\.1; name one"):
        open_sockets(Address("localhost", 8080), 2)


def test_a_name_that_does_not_resolve_is_a_sentence() -> None:
    with pytest.raises(Unstartable, match=r"cannot listen on nowhere\.invalid:0"):
        open_sockets(Address("nowhere.invalid", 0), 2)
