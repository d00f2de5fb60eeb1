"""The report stream: what a dispatcher says it runs, as NDJSON, for the operator that follows it.

    hello, one route each, snapshotEnd; then a route when it changes, gone, and a heartbeat when it is quiet

A dispatcher serves it at `PATH`, an operator reads it and makes status of it. Here are the lines, and the numbers that
both sides must agree on. Readers skip kinds and fields they do not know, so a dispatcher may be newer than its
operator; `FORMAT` changes when a reader that skips what it does not know would be wrong.
"""

import typing

import msgspec

PATH: typing.Final = "/v1/report"
FORMAT: typing.Final = 1
READABLE: typing.Final = frozenset({FORMAT})  # and the one before, as soon as there is one (tests/skew)
AUDIENCE: typing.Final = "fanout-report"  # of the token that a reader shows: one made for elsewhere is of no use here
HEARTBEAT: typing.Final = 5.0  # seconds without another line after which there is a heartbeat
SILENCE: typing.Final = 3 * HEARTBEAT  # seconds without any line after which a dispatcher counts as silent
LONGEST_LINE: typing.Final = 256 * 1024  # bytes

CircuitWord = typing.Literal["Closed", "Open", "HalfOpen", "Disabled"]
SourceFailure = typing.Literal[
    "AddressRefused",  # the outbound guard does not let us there
    "ConnectFailure",  # no name, no connection, or one that broke
    "DatabaseRefused",  # the server said no: a wrong password, a missing table, a right that is lacking
    "LibraryMissing",  # the driver is not installed
    "TlsFailure",  # the server could not prove who it is, or takes no TLS
    "Timeout",  # no answer in time
    "UrlUnusable",  # the URL or the authorities cannot be read
]
SOURCE_FAILURES: typing.Final[frozenset[str]] = frozenset(typing.get_args(SourceFailure))
CIRCUITS: typing.Final[tuple[CircuitWord, ...]] = typing.get_args(CircuitWord)


Count = typing.Annotated[int, msgspec.Meta(ge=0, le=10**11)]  # a sum of many of them still fits into a status


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="hello"):
    """The first line. The epoch is random per start of the dispatcher: in the logs it tells a restart from a break."""

    format: int
    epoch: str = ""


class TargetReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One target as one dispatcher sees it; by a name with a dot in it, a compensation or callback behind one."""

    name: str
    circuit: str = "Closed"  # one of CIRCUITS, or the word of a newer dispatcher
    pending: Count = 0
    dead_letters: Count = 0
    stuck: Count = 0  # compensations that were given up and wait for people
    last_error: str | None = None
    asked: bool = True  # since it started: else it does not know what the last error was
    dry_run: bool = False  # the circuit only shows the state that it would have


class SourceReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a route fetches events by itself, as one dispatcher sees it."""

    name: str
    held: str | None = None  # why nothing is fetched: one of SOURCE_FAILURES, or what passes or is told elsewhere
    last_error: str | None = None


class RouteReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind", tag="route"):
    """One route as one dispatcher runs it; `refused` says why a newer plan, or its first, is not in force."""

    route: str
    revision: str = ""  # empty: it runs nothing
    generation: Count = 0
    refused: str | None = None
    targets: tuple[TargetReport, ...] = ()
    source: SourceReport | None = None


class SnapshotEnd(msgspec.Struct, frozen=True, tag_field="kind", tag="snapshotEnd"):
    """Every route has had its line."""


class Gone(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="gone"):
    """The dispatcher runs nothing for a route any more."""

    route: str


class Heartbeat(msgspec.Struct, frozen=True, tag_field="kind", tag="heartbeat"):
    """Nothing changed, and the dispatcher is alive."""


Line = Hello | RouteReport | SnapshotEnd | Gone | Heartbeat


class NoLine(ValueError):
    """What was read is not a line of a report; a sentence."""


class _Kind(msgspec.Struct, frozen=True):
    kind: str


_KNOWN: typing.Final = frozenset(one.__struct_config__.tag for one in typing.get_args(Line))
_kind: typing.Final = msgspec.json.Decoder(_Kind)
_line: typing.Final = msgspec.json.Decoder(Line)
_encoder: typing.Final = msgspec.json.Encoder()


def encode(line: Line) -> bytes:
    """Write a line, with its newline."""
    return _encoder.encode(line) + b"\n"


def decode(text: bytes) -> Line | None:
    """Read a line; None for a kind that a newer dispatcher has. Raises NoLine."""
    try:
        return _line.decode(text) if _kind.decode(text).kind in _KNOWN else None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NoLine(str(error)) from None
