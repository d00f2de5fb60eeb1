"""The front door: how fast events may come in, how one is known again, and what is answered to a caller that waits."""

import msgspec

from fanout_crds.accept import KeyType
from fanout_crds.shape import Shape


class AcceptRate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How fast events may come in for one key: *requests* per *per* seconds, and *burst* at once."""

    requests: int
    per: float
    burst: int
    key: KeyType
    header: str = ""  # lower-case, of type Header


class Idempotency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How long (s) an event is known again by its key, and how many keys are kept."""

    ttl: float
    max_keys: int
    key_expression: str | None = None  # None = the Idempotency-Key header, or the event's source and id


class Respond(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whom a caller waits for, how many of them must succeed, and for how long (s)."""

    wait_for: tuple[str, ...]
    quorum: int
    timeout: float
    partial: bool  # once time is up, what has arrived is an answer
    shape: Shape | None = None  # None = what every target said, by name
