"""What no target may be at: our own ports and the API server, under their names and at their addresses."""

import asyncio
import pathlib

import pytest

from fanout_crds.apiserver import ApiServer
from fanout_dispatcher import fronts
from fanout_dispatcher.settings import Settings
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.transport.names import Found, Resolve
from fanout_dispatcher.values.address import Address
from fanout_dispatcher.values.outcome import Refused

OURS = "an address of our own"
KNOWN = {"our.host": ["192.0.2.7", "2001:db8::7"], "api.example": ["198.51.100.6"], "localhost": ["::1", "127.0.0.1"]}


async def resolve(name: str) -> Found:
    return KNOWN[name.lower().removesuffix(".")]


async def made(listen: str, server: str | None = None, *, resolve: Resolve = resolve) -> Guard:
    """The guard of a dispatcher that listens there, with its admin port on loopback."""
    settings = Settings(
        data=pathlib.Path("data"), paths=(pathlib.Path("routes"),), listen=Address.parse(listen), allow_loopback=True
    )
    cluster = None if server is None else ApiServer(server=server, tls=None, namespace="shop")
    return await fronts.make_guard(settings, cluster, resolve)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8080", "127.0.0.1"),
        ("127.0.0.2:8080", "127.0.0.2"),
        ("[::1]:8080", "::1"),
        ("localhost:8080", "127.0.0.1"),
        ("localhost:8080", "::1"),
        (":8080", "127.0.0.1"),
        (":8080", "127.0.0.2"),
        ("[::]:8080", "::1"),
        ("[0:0::0]:8080", "::1"),
        ("our.host:8080", "192.0.2.7"),
        ("our.host:8080", "2001:db8::7"),
    ],
)
async def test_no_target_is_at_an_address_that_we_listen_at(listen: str, address: str) -> None:
    guard = await made(listen)

    assert guard.check(address, private=True, port=8080) == OURS
    assert guard.check(address, private=True, port=8082) is None
    assert guard.check("127.0.0.1", private=True, port=8081) == OURS  # the admin port


async def test_an_address_that_we_do_not_listen_at_is_another_server() -> None:
    guard = await made("127.0.0.1:8080")

    assert guard.check("127.0.0.2", private=True, port=8080) is None


@pytest.mark.parametrize(
    ("server", "port"), [("https://api.example:6443", 6443), ("https://API.example./", 443), ("http://api.example", 80)]
)
async def test_no_target_is_the_api_server_by_its_name_or_at_its_addresses(server: str, port: int) -> None:
    guard = await made("127.0.0.1:8080", server)

    assert guard.check_url(f"https://api.example:{port}/") == OURS
    assert guard.check("198.51.100.6", private=True, port=port) == OURS


async def test_a_name_that_is_not_found_in_time_keeps_nobody_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(name: str) -> Found:
        return await asyncio.get_running_loop().create_future() if name == "api.example" else Refused("too many")

    monkeypatch.setattr(fronts, "LOOKUP", 0.01)
    guard = await made("our.host:8080", "https://api.example:6443", resolve=never)

    assert guard.check_url("https://api.example:6443/") == OURS
    assert guard.check_url("http://our.host:8080/") == OURS
    assert guard.check("127.0.0.1", private=True, port=8081) == OURS
