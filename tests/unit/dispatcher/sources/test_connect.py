"""Connections to a real PostgreSQL: where the guard lets us, to whom the URL names, and what is said when not."""

import asyncio
import collections.abc
import contextlib
import sys

import pytest
import trustme

from fanout_crds.plan import PostgresOutbox
from fanout_crds.sources import Columns
from fanout_dispatcher.sources.connect import Dialer
from fanout_dispatcher.sources.trouble import Cause, Trouble
from fanout_dispatcher.transport.guard import Guard
from tests.support.missing import without
from tests.support.postgres import MISSING, Postgres, programs

AUTHORITY = trustme.CA()
HERE = Guard(allow_loopback=True)


@pytest.fixture(scope="module")
def postgres() -> collections.abc.Iterator[Postgres]:
    """A server that is db.example, by its certificate."""
    found = programs()
    if found is None:
        without("postgresql", MISSING)
    issued = AUTHORITY.issue_cert("db.example")
    server = Postgres(found, tls=(issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()))
    try:
        server.start()
        yield server
    finally:
        server.close()


def outbox(*, address: tuple[str, int] | None = None, private: bool = False, ca: bool = False) -> PostgresOutbox:
    return PostgresOutbox(
        url="url",
        ca="ca" if ca else None,
        address=address,
        private=private,
        held=None,
        held_message=None,
        table="outbox",
        columns=Columns(),
        after_taking="Delete",
        batch_size=10,
        poll_interval=1.0,
        channel=None,
    )


async def connect(url: str, wanted: PostgresOutbox, *, guard: Guard = HERE, found: tuple[str, ...] = ()) -> object:
    """Connect, and ask whether TLS is used; the cause when it cannot be."""

    async def resolve(_name: str) -> list[str]:
        return list(found)

    credentials = {"url": url.encode(), "ca": AUTHORITY.cert_pem.bytes()}
    dialer = Dialer(outbox=wanted, credentials=credentials, guard=guard, resolve=resolve)
    try:
        async with dialer.connected() as connection:
            return await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    except Trouble as trouble:
        return trouble.cause


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> collections.abc.AsyncIterator[int]:
    """A port at which each connection hears *answer* once it has asked for something, and no more."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(answer)
        writer.write_eof()
        await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    await over.wait()
    server.close()
    await server.wait_closed()


def at(postgres: Postgres, host: str, query: str = "") -> str:
    return postgres.url("postgres", query=query).replace("@127.0.0.1", f"@{host}")


@pytest.mark.parametrize("query", ["", "sslmode=verify-full", "sslmode=verify-ca", "sslmode=require"])
async def test_a_server_is_verified_by_the_name_in_the_url_whatever_its_address(postgres: Postgres, query: str) -> None:
    by_name = await connect(at(postgres, "db.example", query), outbox(ca=True), found=("127.0.0.1",))
    by_service = await connect(
        at(postgres, "db.example", query).replace(str(postgres.port), "1"),
        outbox(ca=True, address=("127.0.0.1", postgres.port), private=True),
    )

    assert (by_name, by_service) == (True, True)


async def test_only_who_says_so_goes_without_tls(postgres: Postgres) -> None:
    assert await connect(at(postgres, "127.0.0.1", "sslmode=disable"), outbox()) is False


@pytest.mark.parametrize(
    ("host", "query", "ca"),
    [("db.example", "", False), ("db.example", "sslmode=verify-ca", False), ("other.example", "", True)],
)
async def test_who_cannot_prove_who_it_is_gets_no_password(postgres: Postgres, host: str, query: str, ca: bool) -> None:
    cause = await connect(at(postgres, host, query), outbox(ca=ca), found=("127.0.0.1",))

    assert cause == Cause("TlsFailure", "the database's certificate or its TLS cannot be trusted")


async def test_the_servers_own_words_are_told(postgres: Postgres) -> None:
    url = at(postgres, "127.0.0.1", "sslmode=disable").replace("hunter2", "other")

    cause = await connect(url, outbox())

    says = 'the database said: password authentication failed for user "shop" (28P01)'
    assert cause == Cause("DatabaseRefused", says)


@pytest.mark.parametrize(
    ("found", "guard", "private", "says"),
    [
        ("127.0.0.1", Guard(), False, "a loopback address (fanout run --allow-loopback allows it)"),
        ("127.0.0.1", Guard(), True, "a loopback address (fanout run --allow-loopback allows it)"),
        ("169.254.169.254", HERE, True, "a metadata address"),
        (
            "10.0.0.1",
            HERE,
            False,
            "a private address (name its Service in spec.sources.postgresOutbox.service, or fanout run --allow-cidr)",
        ),
        ("127.0.0.1", Guard(allow_loopback=True, own=frozenset({("127.0.0.1", 5432)})), True, "an address of our own"),
    ],
)
async def test_the_guard_of_the_targets_holds_for_databases(found: str, guard: Guard, private: bool, says: str) -> None:
    cause = await connect("postgresql://me:hunter2@db", outbox(private=private), guard=guard, found=(found,))

    assert cause == Cause("AddressRefused", f"the database's address is refused: {says}")


async def test_a_name_of_our_own_is_no_database_wherever_it_leads() -> None:
    guard = Guard(allow_loopback=True, own=frozenset({("api", 6443)}))
    cause = await connect("postgresql://me:hunter2@API:6443", outbox(), guard=guard, found=("127.0.0.1",))

    assert cause == Cause("AddressRefused", "the database's address is refused: an address of our own")


async def test_what_is_no_database_is_a_connection_that_cannot_be_made() -> None:
    async with answering(b"") as port:
        cause = await connect(f"postgresql://me:hunter2@127.0.0.1:{port}?sslmode=disable", outbox())

    assert cause == Cause("ConnectFailure", "the connection to the database could not be made, or broke")


async def test_a_name_that_is_nowhere_is_said_to_be() -> None:
    cause = await connect("postgresql://me:hunter2@db", outbox())

    assert cause == Cause("ConnectFailure", "the database's host was not found")


async def test_a_server_without_tls_says_what_would_help() -> None:
    async with answering(b"N") as port:
        cause = await connect(f"postgresql://me:hunter2@127.0.0.1:{port}", outbox())

    assert cause == Cause("TlsFailure", "the database takes no TLS: sslmode=disable in its URL would do without")


async def test_without_the_driver_the_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)

    cause = await connect("postgresql://me:hunter2@db", outbox())

    says = "postgresOutbox needs asyncpg, which is not installed: pip install 'fanout[postgres]'"
    assert cause == Cause("LibraryMissing", says)
