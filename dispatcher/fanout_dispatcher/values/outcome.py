"""How an attempt ended, and what follows from it.

Three different things that systems love to confuse: *Delivered* (the target said yes), *Failed* (it was asked and did
not accept) and *Refused* (we chose not to ask, which costs no attempt and proves nothing about the target).
"""

import enum

import msgspec

from fanout_dispatcher.values.answer import Captured


class Fault(enum.StrEnum):
    """What can go wrong between us and a target besides its own answer. Closed: the policy API names these."""

    NAME_FAILURE = "NameFailure"
    CONNECT_FAILURE = "ConnectFailure"
    TLS_FAILURE = "TlsFailure"
    RESET = "Reset"
    TIMEOUT = "Timeout"
    PROTOCOL_ERROR = "ProtocolError"
    ANSWER_TOO_LARGE = "AnswerTooLarge"  # never tried again: the answer will be as large next time
    ADDRESS_REFUSED = "AddressRefused"  # the outbound guard; never tried again by itself


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """The target answered with a success status and its last body byte was read. ``answer``: where it was kept."""

    status: int
    answer: Captured | None = None


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The target was asked and did not accept: *status* when it answered, else *fault*.

    ``retry_after`` is the raw value of its Retry-After header. ``detail`` is coarse on purpose (a tenant sees it).
    ``answer`` is what it answered, where that was kept.
    """

    status: int = 0
    fault: Fault | None = None
    retry_after: str | None = None
    detail: str = ""
    answer: Captured | None = None

    def __str__(self) -> str:
        return str(self.status) if self.fault is None else self.fault.value


class Reason(enum.StrEnum):
    """Why a delivery is dead. A closed list; docs/operations.md has a sentence for each."""

    TARGET_REJECTED = "TargetRejected"  # an answer that is not tried again
    ATTEMPTS_EXHAUSTED = "AttemptsExhausted"
    EXPIRED = "Expired"  # timeouts.total is over
    QUEUE_FULL = "QueueFull"
    TARGET_REMOVED = "TargetRemoved"
    ROUTE_DELETED = "RouteDeleted"
    EXPRESSION_FAILED = "ExpressionFailed"  # an expression of the manifest has no value for this event
    CIRCUIT_OPEN = "CircuitOpen"  # of no dead letter: a caller waited, and a fallback stood in
    SAGA_ABANDONED = "SagaAbandoned"  # a compensation that was given up, and that people gave up then


class Refused(msgspec.Struct, frozen=True, gc=False):
    """We chose not to ask (shutting down, plan changed): no attempt is spent and no gate learns from it.

    With a *reason* there is nothing that could be asked, now or later: no request can be made of the event.
    """

    why: str
    reason: Reason | None = None


Outcome = Delivered | Failed | Refused


class Done(msgspec.Struct, frozen=True, gc=False):
    """The delivery is settled: delivered."""


class Again(msgspec.Struct, frozen=True, gc=False):
    """Try again at *at* (engine time, s). *spent* is false when the attempt does not count (a probe, a refusal)."""

    at: float
    spent: bool = True


class Dead(msgspec.Struct, frozen=True, gc=False):
    """Give up and keep it as a dead letter. *spent*: an attempt of its own led to this."""

    reason: Reason
    detail: str = ""
    spent: bool = True


Verdict = Done | Again | Dead
