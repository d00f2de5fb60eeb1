"""What the engine says to an event at the door: accepted, turned away, or what its targets said.

The ingress hands an event over and is answered with one of these, once. They live here because both sides need the
words and neither may know the other.
"""

import enum
import typing

import msgspec

from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.event import State


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


class Ending(enum.StrEnum):
    """How a caller's wait ended. Closed: metrics count by these."""

    ANSWERED = "Answered"  # as many targets as it takes have succeeded
    FAILED = "Failed"  # that many can no longer
    PARTIAL = "Partial"  # time is up, and what has arrived is asked for
    TIMEOUT = "Timeout"  # time is up
    DRAINING = "Draining"  # we are shutting down
    GONE = "Gone"  # the caller has hung up: nobody is told


class Heard(msgspec.Struct, frozen=True, gc=False):
    """What has been heard of one target that a caller waits for.

    ``state`` is the delivery's (values.event.State). ``reason`` says why it is dead, or skipped because of another one,
    or why it is held and cannot be waited for; ``detail`` is a sentence about it. ``answer`` is the target's last,
    if it gave one. ``fallback``: all this is of what stands in for the target, which itself was given up.
    """

    target: str
    state: int = State.PENDING
    reason: str = ""
    detail: str = ""
    answer: Captured | None = None
    fallback: bool = False

    @property
    def lost(self) -> bool:
        """Nothing more is to be hoped for, as far as the caller is concerned."""
        return bool(self.reason)

    @property
    def failed(self) -> bool:
        """It is lost for good: dead, or skipped because of another one; what is merely held is Pending."""
        return self.lost and self.state != State.PENDING


class Settled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a caller that waited is told. The event is accepted, however its wait ended.

    ``receipt`` is None when time was up before the journal had the event: then nobody can say yet that it is kept.
    """

    receipt: str | None
    ending: Ending
    heard: tuple[Heard, ...]  # in the order in which the route names them

    @property
    def lasting(self) -> bool:
        """Whether it holds for who asks again too: targets have spoken, and none is merely late, held or left alone."""
        match self.ending:
            case Ending.ANSWERED | Ending.PARTIAL:
                return True
            case Ending.FAILED:
                return all(one.failed for one in self.heard if one.lost)
            case Ending.TIMEOUT | Ending.DRAINING | Ending.GONE:
                return False
            case _:
                typing.assert_never(self.ending)


class Repeated(msgspec.Struct, frozen=True, gc=False):
    """The event is known by its key. ``answer``: what was written to whoever brought it; None: that is not kept."""

    receipt: str
    answer: bytes | None


class AcceptedAll(msgspec.Struct, frozen=True, gc=False):
    """All events of a batch, as Accepted; the receipts in their order."""

    receipts: tuple[str, ...]


Answered = Accepted | Turned
AnsweredAll = AcceptedAll | Turned
Reply = typing.Callable[[Answered], None]
Told = Settled | Turned  # what a caller that waits is told
Tell = typing.Callable[[Told], None]


class Client(typing.Protocol):
    """Somebody who brings an event under a key and waits for its targets."""

    def write(self, told: Settled) -> bytes:
        """The answer as it is kept, and told to whoever brings the key again. Asked once at most."""

    def tell(self, told: Told | Repeated) -> None:
        """The answer is there. Called once."""


ReplyAll = typing.Callable[[AnsweredAll], None]
