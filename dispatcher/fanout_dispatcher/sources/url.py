"""The URL of a database, read: where it is, who we are there, and how the server proves who it is.

Libpq's form (PostgreSQL 34.1.1.2) as far as it is needed: one host, and no parameter but sslmode. Of the modes those
that may fall back to plain text by themselves (allow, prefer) are refused, and none at all means verify-full: a
password goes to a server that is verified, or to one of which the manifest's owner has said that it is not. Every
sentence here may be shown to people, so none repeats what it was given.
"""

import typing
import urllib.parse

import msgspec

from fanout_dispatcher.sources.trouble import Trouble

MODES: typing.Final = ("disable", "require", "verify-ca", "verify-full")
PORT: typing.Final = 5432


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A database to connect to."""

    host: str
    port: int
    user: str
    password: str
    database: str
    mode: str

    def __repr__(self) -> str:
        return f"Server({self.host}:{self.port}/{self.database}, {self.mode})"  # never the password


def read(url: bytes) -> Server:
    """Read a URL as people store it, often with a newline at the end. Raises Trouble (UrlUnusable)."""
    try:
        found = urllib.parse.urlsplit(url.decode().strip())
        port, query = found.port or PORT, dict(urllib.parse.parse_qsl(found.query, strict_parsing=bool(found.query)))
    except ValueError:
        raise _unusable("it is no URL with a host and a port") from None
    if found.scheme not in {"postgresql", "postgres"}:
        raise _unusable("it does not begin with postgresql://")
    if not found.hostname or "," in found.netloc.rpartition("@")[2]:
        raise _unusable("it needs a host, and one only")
    mode = query.pop("sslmode", "verify-full")
    if mode not in MODES:
        raise _unusable(f"sslmode must be one of {', '.join(MODES)}")
    if query:
        raise _unusable("of parameters only sslmode is understood")
    user = urllib.parse.unquote(found.username or "")
    if not user:
        raise _unusable("it names no user")
    return Server(
        host=found.hostname,
        port=port,
        user=user,
        password=urllib.parse.unquote(found.password or ""),
        database=urllib.parse.unquote(found.path.removeprefix("/")) or user,
        mode=mode,
    )


def _unusable(why: str) -> Trouble:
    return Trouble("UrlUnusable", f"the URL in urlSecret cannot be used: {why}")
