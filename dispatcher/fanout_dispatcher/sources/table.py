"""The outbox table as one journal sees it, through one connection: `outbox.sql` with a method for each step.

What is reserved carries the name of who has reserved it, in a transaction of its own. So it does not matter when a
dispatcher dies: whoever has that name reads the same rows again, and nobody else ever does.
"""

import functools
import importlib.resources
import re
import typing
from collections.abc import Callable, Mapping, Sequence

import msgspec

from fanout_crds.plan import PostgresOutbox
from fanout_dispatcher.sources.connect import faults
from fanout_dispatcher.sources.trouble import Trouble

if typing.TYPE_CHECKING:
    import asyncpg

MOST_BYTES: typing.Final = 16 << 20  # of data that is read at once
RFC_3339: typing.Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
OPTIONAL: typing.Final = ("source", "subject", "content_type", "headers")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is reserved for us; *data* is None where there is none, or more than *size* may be."""

    id: str
    type: str | None
    source: str | None
    subject: str | None
    time: str | None
    content_type: str | None
    headers: str | None
    size: int
    data: bytes | None


class Reserved(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that are reserved for us, the first of *total*."""

    rows: tuple[Row, ...]
    total: int


@functools.cache
def queries() -> Mapping[str, str]:
    """Every statement of `outbox.sql` by its name."""
    text = importlib.resources.files(__package__).joinpath("outbox.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {
        name: re.sub(r"^--.*\n", "", body, flags=re.MULTILINE)
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


class Table:
    """Reserves for *name*."""

    def __init__(
        self, connection: "asyncpg.Connection[asyncpg.Record]", outbox: PostgresOutbox, name: str, body: str
    ) -> None:
        self._connection = connection
        self._outbox = outbox
        self._name = name
        self._names = _names(outbox, body)

    @classmethod
    async def open(cls, connection: "asyncpg.Connection[asyncpg.Record]", outbox: PostgresOutbox, name: str) -> "Table":
        """Look at the table once. Raises Trouble."""
        with faults():
            kind = await connection.fetchval(queries()["type_of_data"], _quoted(outbox.table), outbox.columns.data)
        if kind is None:
            raise Trouble("DatabaseRefused", f"the table {outbox.table} has no column {outbox.columns.data}")
        data = _quoted(outbox.columns.data)
        return cls(connection, outbox, name, data if kind == "bytea" else f"convert_to({data}::text, 'UTF8')")

    async def listen(self, notified: Callable[[], None]) -> None:
        """Call *notified* whenever a writer says that there are rows, if the outbox has a channel for it."""
        if self._outbox.channel is not None:
            with faults():
                await self._connection.add_listener(self._outbox.channel, lambda *_: notified())

    async def reserve(self) -> int:
        """Reserve rows until there are enough; how many were added."""
        with faults():
            tag = await self._connection.execute(self._sql("reserve"), self._name, self._outbox.batch_size)
        return int(tag.rpartition(" ")[2])

    async def reserved(self, largest: int) -> Reserved:
        """Read what is reserved for us, without data of more than *largest* bytes."""
        with faults():
            rows = await self._connection.fetch(
                self._sql("reserved"), self._name, self._outbox.batch_size, MOST_BYTES, largest
            )
        made = tuple(Row(**{name: row[name] for name in Row.__struct_fields__}) for row in rows)
        return Reserved(rows=made, total=rows[0]["total"] if rows else 0)

    async def check_off(self, ids: Sequence[str]) -> None:
        """Their events are on disk: delete or mark them."""
        if ids:
            await self._run("delete" if self._outbox.after_taking == "Delete" else "mark", list(ids))

    async def refuse(self, ident: str, why: str) -> None:
        """Set a row aside that cannot be an event."""
        await self._run("refuse", ident, why)

    async def release(self, on_disk: Sequence[str]) -> None:
        """Leave what is reserved to others after all, but for rows whose events are *on_disk*."""
        await self._run("release", list(on_disk))

    async def _run(self, statement: str, *arguments: object) -> None:
        with faults():
            await self._connection.execute(self._sql(statement), self._name, *arguments)

    def _sql(self, statement: str) -> str:
        return queries()[statement].format_map(self._names)


def _names(outbox: PostgresOutbox, body: str) -> dict[str, str]:
    """What the names in braces stand for. *body* is an expression of type bytea.

    AT TIME ZONE makes a timestamp of a timestamptz, and the other way round: what is then written is UTC in both cases,
    since the session's zone is UTC too (connect).
    """
    columns = outbox.columns
    names = {name: _quoted(getattr(columns, name)) for name in ("id", "type", "state")}
    for name in OPTIONAL:
        said = getattr(columns, name)
        names[name] = f"{_quoted(said)}::text" if said else "NULL::text"
    when = "NULL::text"
    if columns.time:
        when = f"to_char({_quoted(columns.time)} AT TIME ZONE 'UTC', '{RFC_3339}')"
    order = _quoted(columns.order_by or columns.id)
    return names | {"table": _quoted(outbox.table), "order_by": order, "time": when, "body": body}


def _quoted(name: str) -> str:
    """A name, or a schema's and a table's, as they stand in the catalogue: the manifest allows no quotes in them."""
    return ".".join(f'"{part}"' for part in name.split("."))
