"""What the engine says to an event at the door: accepted, or turned away.

The ingress hands an event over and is answered with one of these, once. They live here because both sides need the
words and neither may know the other.
"""

import typing

import msgspec


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The event and its deliveries are as durable as the route promises; the caller may be told so."""

    receipt: str


class Turned(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The event is not taken; nothing of it is kept.

    ``status`` is the HTTP status to answer with. ``reason`` is one CamelCase word of a closed list (JournalFull),
    from which the problem's type is made; ``detail`` is a sentence that the producer may read. ``retry_after`` is
    in seconds.
    """

    status: int
    reason: str
    detail: str
    retry_after: int | None = None


Answered = Accepted | Turned
Reply = typing.Callable[[Answered], None]
