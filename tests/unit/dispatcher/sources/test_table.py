"""Rows of a table in a real PostgreSQL, as they are read."""

import collections.abc

import pytest

from fanout_crds.plan import PostgresOutbox
from fanout_crds.sources import Columns
from fanout_dispatcher.sources.connect import Dialer
from fanout_dispatcher.sources.table import Table
from fanout_dispatcher.transport.guard import Guard
from tests.support.missing import without
from tests.support.postgres import MISSING, Postgres, connected, programs


@pytest.fixture(scope="module")
def postgres() -> collections.abc.Iterator[Postgres]:
    """A server for all tests here; each has a database of its own."""
    found = programs()
    if found is None:
        without("postgresql", MISSING)
    server = Postgres(found)
    try:
        server.start()
        yield server
    finally:
        server.close()


def dialer(url: str) -> Dialer:
    async def resolve(_name: str) -> list[str]:
        return []

    wanted = PostgresOutbox(
        url="url",
        ca=None,
        address=None,
        private=False,
        held=None,
        held_message=None,
        table="outbox",
        columns=Columns(time="at"),
        after_taking="Delete",
        batch_size=10,
        poll_interval=1.0,
        channel=None,
    )
    return Dialer(outbox=wanted, credentials={"url": url.encode()}, guard=Guard(allow_loopback=True), resolve=resolve)


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("timestamptz", "2026-07-02 03:04:05.5+02"),
        ("timestamp", "2026-07-02 01:04:05.5"),
    ],
)
async def test_a_time_is_told_in_utc_whatever_zone_the_database_is_set_to(
    postgres: Postgres, kind: str, written: str
) -> None:
    """A timestamp knows no zone, and is read as UTC."""
    database = await postgres.database()
    async with connected(postgres.url(database)) as connection:
        await connection.execute(f"ALTER DATABASE {database} SET timezone = 'America/New_York'")
        await connection.execute(f"CREATE TABLE outbox (id int, type text, data jsonb, fanout text, at {kind})")
        await connection.execute(f"INSERT INTO outbox (id, type, at) VALUES (1, 't', '{written}')")
    there = dialer(postgres.url(database))

    async with there.connected() as connection:
        table = await Table.open(connection, there.outbox, "us")
        await table.reserve()
        [row] = (await table.reserved(1000)).rows

    assert row.time == "2026-07-02T01:04:05.500000Z"
