"""Every reason a condition can have, with its sentence: a closed list.

A reason is what people alert on and look up in the docs; its sentence tells them what is the matter in their own names.
Nothing outside this table ever becomes a reason, except what a dispatcher says of itself, which stays in the message.
"""

import typing
from collections.abc import Mapping

import msgspec

from fanout_crds.references import Reason, Unresolved

ConditionType = typing.Literal["Accepted", "ResolvedRefs", "Programmed", "Ready", "Healthy", "Stalled"]
ConditionStatus = typing.Literal["True", "False", "Unknown"]

LONGEST: typing.Final = 1024  # characters of a message; Kubernetes allows 32 KiB, people read less

REASONS: typing.Final[Mapping[str, str]] = {
    # Accepted
    "Accepted": "the spec is understood",
    "Cautioned": "the spec is understood, and may surprise: {cautions}",
    "Invalid": "{faults}",
    "PathNotAllowed": "spec.listen.path: must start with /{namespace}/, got {path}; the installer may allow others",
    "PathContested": "spec.listen.path: {path} belongs to {holder}, which had it first",
    "PlanTooLarge": "{faults}",
    # ResolvedRefs; all but the first two and the last hold a target (fanout_crds.references.Reason)
    "ResolvedRefs": "all references resolve",
    "NoReadyEndpoints": "all references resolve, but no endpoint is ready for {targets}",
    "ServiceNotFound": "there is no Service {name}",
    "ServiceUnusable": "Service {name} {why}",
    "PortNotFound": "Service {name} has no TCP port {port}; it has {has}",
    "SecretNotFound": "there is no Secret {name}",
    "SecretKeyNotFound": "{why}",  # as a dispatcher says it of files
    "SecretUnusable": "{why}",
    "RefNotPermitted": "{kind} {namespace}/{name} is of another namespace than {owner}: no ReferenceGrant in"
    " {namespace} lets FanoutRoutes of {owner} refer to it",
    "NotAccepted": "the spec is not accepted",
    # Programmed
    "Programmed": "every dispatcher runs this revision",
    "NoDispatcher": "no dispatcher is ready",
    "Pending": "the dispatchers have not reported yet",
    "Waiting": "not yet running this revision: {dispatchers}",
    "DispatcherSilent": "ready but not reporting for {seconds:g} seconds: {dispatchers}",
    "PlanRefused": "{dispatchers} refused this revision: {why}",
    "LastGoodPlan": "the spec is not accepted; the plan of generation {generation} stays in force",
    "NoPlan": "the spec is not accepted and there is no earlier plan",
    # Ready
    "Ready": "accepted, resolved and running everywhere",
    # Healthy
    "Healthy": "no stuck saga, no open circuit, no dead letters",
    "ClassContested": "another installation serves this class and route too: {rival}; one of the two needs another"
    " className, or has to go",
    "CircuitOpen": "circuit open, deliveries are held: {targets}",
    "SourceFailed": "nothing is fetched from {sources}",
    "SagaStuck": "compensations were given up, and what is left to undo waits for somebody to decide: {targets}",
    "KeyedPerReplica": "each of {dispatchers} dispatchers keeps for itself, so that it does not hold across them:"
    " {fields}",
    "DeadLetters": "dead letters wait to be replayed or removed: {targets}",
}

LAST_WORDS: typing.Final = (
    "{message}; counters include what {dispatchers} said last, until it is heard again or not ready for {minutes:g}"
    " minutes"
)


class Said(msgspec.Struct, frozen=True):
    """A reason and its sentence, filled in."""

    reason: str
    message: str


def say(reason: str, **facts: object) -> Said:
    """Fill in a reason's sentence."""
    return Said(reason, _short(REASONS[reason].format(**facts)))


def with_last_words(said: Said, dispatchers: str, minutes: float) -> Said:
    """Say also of whom more than that is not known now, and how long the last words of theirs count."""
    return Said(said.reason, _short(LAST_WORDS.format(message=said.message, dispatchers=dispatchers, minutes=minutes)))


def _short(message: str) -> str:
    return message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"


def unresolved(reason: Reason, **facts: object) -> Unresolved:
    """Say why a reference does not resolve, as the contract's value."""
    return Unresolved(reason, say(reason, **facts).message)
