"""Where a route fetches events by itself, besides those that are posted to it: `spec.sources`.

So far from an outbox table in PostgreSQL, into which a service writes events in the transaction that makes them true.
Names of tables and columns are taken as they stand in the catalogue and always quoted: they cannot be anything but
names.
"""

from typing import Annotated, Final, Literal

import msgspec

from fanout_crds import texts
from fanout_crds.kinds import Duration, Enum, Integer, Port, Text
from fanout_crds.objects import Object
from fanout_crds.rules import Rule
from fanout_crds.secret import SecretRef

AfterTaking = Literal["Delete", "Mark"]
_NAME = r"[A-Za-z_][A-Za-z0-9_$]{0,62}"
_Table = Text(
    what='the name of a table, such as "outbox" or "shop.outbox"', longest=127, pattern=rf"^({_NAME}\.)?{_NAME}$"
)
_Column = Text(what='the name of a column, such as "id"', longest=63, pattern=rf"^{_NAME}$")
_Channel = Text(what='the name of a channel, such as "outbox"', longest=63, pattern=rf"^{_NAME}$")


class Columns(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which column holds what."""

    id: Annotated[
        str,
        _Column,
        "The row's key, of any type: the event's id. No two rows may have the same. Unset: id.",
    ] = "id"
    type: Annotated[str, _Column, "The event's type. Unset: type."] = "type"
    data: Annotated[
        str, _Column, "The event's data: json, jsonb, text or bytea, sent as it is stored; null is none. Unset: data."
    ] = "data"
    state: Annotated[
        str,
        _Column,
        "A column of type text that is ours: null in a new row, then who has taken it, or why it is no event. Unset:"
        " fanout.",
    ] = "fanout"
    order_by: Annotated[
        str | None, _Column, "Rows are taken by this column, lowest first. Unset: by the column of the id."
    ] = None
    source: Annotated[
        str | None, _Column, "The event's source. Unset, or null in a row: the path that the route listens at."
    ] = None
    subject: Annotated[str | None, _Column, "The event's subject. Unset, or null in a row: none."] = None
    time: Annotated[
        str | None,
        _Column,
        "When it happened, a timestamptz, or a timestamp, which is read as UTC: the event's time. Unset, or null in a"
        " row: none.",
    ] = None
    content_type: Annotated[
        str | None, _Column, "The media type of the data. Unset, or null in a row: application/json."
    ] = None
    headers: Annotated[
        str | None,
        _Column,
        "A JSON object of headers as a producer would have sent them, such as traceparent, ce- extensions and what"
        " forwardHeaders names. Unset, or null in a row: none.",
    ] = None


class Database(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A Kubernetes Service that leads to the database."""

    name: Annotated[str, texts.Label, "Name of the Service."]
    namespace: Annotated[
        str | None,
        texts.Namespace,
        "Namespace of the Service. Unset: the route's own. In another one a ReferenceGrant must permit it; without one"
        " nothing is fetched (RefNotPermitted).",
    ] = None
    port: Annotated[str, Port(), "Port of the Service, by number or by its name there."]


class PostgresOutbox(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An outbox table in PostgreSQL 12 or later."""

    url_secret: Annotated[
        SecretRef,
        Object(SecretRef),
        "Where the URL is: postgresql://<user>:<password>@<host>:5432/<database>?sslmode=verify-full. sslmode is"
        " disable, require, verify-ca or verify-full; verify-full where the URL names none. A rotated one is used in"
        " seconds.",
    ]
    ca_secret: Annotated[
        SecretRef | None,
        Object(SecretRef),
        "A PEM bundle of the authorities by which the server is verified. Unset: the system's.",
    ] = None
    service: Annotated[
        Database | None,
        Object(Database),
        "The Service to connect to, in place of the URL's host and port; the server is still verified by the URL's"
        " host. Unset: as the URL says, and then not at a private address unless the installer allows it.",
    ] = None
    table: Annotated[str, _Table, "The table, with its schema if need be. Unset: outbox."] = "outbox"
    columns: Annotated[Columns | None, Object(Columns), "Which column holds what. Unset: as each field says."] = None
    after_taking: Annotated[
        AfterTaking,
        Enum(AfterTaking),
        "What becomes of a row once its event is in the journal. Delete: it goes. Mark: it stays, its state is taken,"
        " and removing it is yours. Unset: Delete.",
    ] = "Delete"
    batch_size: Annotated[
        int, Integer(least=1, most=1000), "How many rows a dispatcher takes at a time, 1 to 1000. Unset: 100."
    ] = 100
    poll_interval: Annotated[
        float | None,
        Duration(),
        "How long after it found no row a dispatcher looks again, if nothing notifies it before. Unset: 1s.",
    ] = None
    channel: Annotated[
        str | None,
        _Channel,
        "The channel of NOTIFY by which a writer says that there are rows (LISTEN). Unset: rows are found by polling.",
    ] = None


class Sources(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a route fetches events by itself."""

    postgres_outbox: Annotated[
        PostgresOutbox | None,
        Object(PostgresOutbox),
        "An outbox table: each of its rows becomes an event, once. Needs durability Journal. Unset: none.",
    ] = None


JOURNALLED: Final = Rule(  # of a spec
    "!has(self.sources) || !has(self.sources.postgresOutbox) || self.durability == 'Journal'",
    "sources.postgresOutbox needs durability Journal: only what is on disk may be checked off in the table",
    lambda spec: not spec.sources or not spec.sources.postgres_outbox or spec.durability == "Journal",
    at="durability",
)
