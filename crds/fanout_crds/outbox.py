"""The part of compiling that is about `spec.sources.postgresOutbox`: its references looked up, its defaults filled in.

A reference that does not resolve holds the outbox as it would hold a target: nothing is fetched, rows wait where they
are, and the targets go on with what is posted.
"""

import typing
import urllib.parse

import msgspec

from fanout_crds.plan import PostgresOutbox
from fanout_crds.references import Outside, Refs, Unresolved, outbox_keys, outbox_of, service_key
from fanout_crds.route import FanoutRoute
from fanout_crds.sources import Columns, Database

NAME: typing.Final = "sources.postgresOutbox"  # what it is called beside targets; no target has a dot in its name
URL: typing.Final = f"{NAME}.url"  # handles of its credentials
CA: typing.Final = f"{NAME}.ca"
POLL_INTERVAL: typing.Final = 1.0  # seconds


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """A route's outbox with its references looked up; nothing of all that where it has none."""

    plan: PostgresOutbox | None = None
    credentials: dict[str, bytes] = {}
    unresolved: tuple[tuple[str, Unresolved], ...] = ()


def resolve(route: FanoutRoute, refs: Refs) -> Resolved:
    """Look up what the outbox of *route* refers to."""
    said, home = outbox_of(route), route.metadata.namespace
    if said is None:
        return Resolved()
    url, ca = outbox_keys(said, home)
    address, private = _address(said.service, home, refs) if said.service else (None, False)
    found = {URL: refs.secret(url)} | ({CA: refs.secret(ca)} if ca else {})
    missing = [one for one in (address, *found.values()) if isinstance(one, Unresolved)]
    credentials = {handle: value for handle, value in found.items() if isinstance(value, bytes)}
    made = PostgresOutbox(
        url=URL if URL in credentials else None,
        ca=CA if CA in credentials else None,
        address=None if isinstance(address, Unresolved) else address,
        private=private,
        held=missing[0].reason if missing else None,
        held_message=missing[0].message if missing else None,
        table=said.table,
        columns=said.columns or Columns(),
        after_taking=said.after_taking,
        batch_size=said.batch_size,
        poll_interval=said.poll_interval or POLL_INTERVAL,
        channel=said.channel,
    )
    return Resolved(plan=made, credentials=credentials, unresolved=tuple((NAME, why) for why in missing))


def _address(service: Database, home: str, refs: Refs) -> tuple[tuple[str, int] | Unresolved, bool]:
    """Where the Service leads, and whether that is inside the cluster."""
    base = refs.service(service_key(service, home))
    if isinstance(base, Unresolved):
        return base, False
    found = urllib.parse.urlsplit(base.url if isinstance(base, Outside) else base)
    return (found.hostname or "", found.port or 5432), not isinstance(base, Outside)
