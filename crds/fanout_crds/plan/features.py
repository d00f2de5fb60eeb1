"""What a dispatcher must know to carry a plan out: the features of which a plan says that it `needs` them.

A reader skips the fields that it does not know. With most that is well: without a hedge, a cache or a limit a route
runs as it did before there were any. Without others it would do what nobody asked for: a saga would run all its steps
at once, a filtered target would get every event. So a plan names the features that must not be left out, where it uses
them, and a dispatcher refuses a plan with a name that it does not know.

`FIELDS` is where these names come from, and what a dispatcher of this version knows. Every field of a plan with a
default is in it, since only such a field may have come later (a test sees to it): whoever adds one says here what
becomes of a route without it.
"""

import enum
import functools
import typing
from collections.abc import Callable, Iterator, Mapping

import msgspec
from msgspec.structs import FieldInfo, fields

from fanout_crds import listen
from fanout_crds.plan import door, policy, route, target
from fanout_crds.shape import AnswerHeader, Shape
from fanout_crds.sources import Columns


class Without(enum.Enum):
    """Why a field needs no name."""

    LESS_GOOD = "a route without it runs as before, only less well"
    PART = "as old as what it is in: whoever knows that knows it too"


LESS_GOOD: typing.Final = Without.LESS_GOOD
PART: typing.Final = Without.PART

Needed = Callable[[typing.Any], str | None]
Feature = str | Needed | Without  # by its name; or what a value of the field needs, if anything; or none
BEHIND: typing.Final[Mapping[route.BehindRole, str]] = {
    "Fallback": "fallback",
    "Compensation": "compensate",
    "Final": "finally",
}
PATH_NAMES: typing.Final = "listen.path.names"  # the names in braces


def _parts(*names: str) -> dict[str, Feature]:
    return dict.fromkeys(names, PART)


# By the struct, then by the field. A name is what people know of it: the manifest's word.
FIELDS: typing.Final[Mapping[type[msgspec.Struct], Mapping[str, Feature]]] = {
    route.Plan: {
        "path": lambda path: PATH_NAMES if listen.names(path) else None,
        "respond": "respond",
        "rate": LESS_GOOD,
        "batches": "accept.batches",
        "idempotency": "accept.idempotency",
        "behind": PART,  # each by its role
        "postgres_outbox": "sources.postgresOutbox",
        "methods": "listen.methods",
        "needs": PART,
    },
    route.Behind: {"role": BEHIND.__getitem__},
    door.AcceptRate: _parts("header"),
    door.Idempotency: _parts("key_expression"),
    door.Respond: _parts("shape"),
    Shape: _parts("status", "status_expression", "headers", "body_expression"),
    AnswerHeader: _parts("value", "value_expression"),
    Columns: _parts("id", "type", "data", "state", "order_by", "source", "subject", "time", "content_type", "headers"),
    target.Target: {
        "delay": "delay",
        "when": "when",
        "mapping": "request",
        "capture": PART,  # of respond
        "depends_on": "dependsOn",
        "on_dead": "onDead",
        "compensates": PART,  # of compensate
        "keep": "earlier",  # what expressions read as `targets`
        "static": "fallback",
        "cache": LESS_GOOD,
        "client_certificate": "authentication.clientCertificate",
    },
    target.Value: _parts("value", "expression"),
    target.Mapping: _parts("path", "query", "headers", "body", "structured"),
    policy.Policy: {
        "rate_limit": LESS_GOOD,
        "ordering": "policy.ordering",
        "hedge": LESS_GOOD,
        "batch": "policy.batch",
    },
    policy.Backoff: _parts("schedule"),  # of type Schedule, a word that is refused where it is not known
    policy.Retry: {"budget": LESS_GOOD},
    policy.CircuitBreaker: {
        "mode": "policy.circuitBreaker.mode",
        "slow_call_duration": LESS_GOOD,
        "slow_call_rate_threshold": LESS_GOOD,
    },
    policy.Bulkhead: {"adaptive": LESS_GOOD, "max_queue": LESS_GOOD},
    policy.Ordering: _parts("key_expression"),
}
KNOWN: typing.Final[frozenset[str]] = frozenset(
    (PATH_NAMES, *BEHIND.values(), *(one for of in FIELDS.values() for one in of.values() if isinstance(one, str)))
)


def needs(plan: route.Plan) -> tuple[str, ...]:
    """Name the features that a dispatcher must know to carry *plan* out, sorted."""
    return tuple(sorted(set(_used(plan))))


def structs_in(kind: object) -> Iterator[type[msgspec.Struct]]:
    """The structs that a value of a field's type may consist of."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for part in typing.get_args(kind):
        yield from structs_in(part)


def _used(one: msgspec.Struct) -> Iterator[str]:
    for field, feature in _telling(type(one)):
        value = getattr(one, field)
        if feature is not None and (name := feature(value)) is not None:
            yield name
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, msgspec.Struct):
                yield from _used(part)


@functools.cache
def _telling(struct: type[msgspec.Struct]) -> tuple[tuple[str, Needed | None], ...]:
    """The fields that need something by themselves (and of which values), or by what is in them."""
    said = FIELDS.get(struct, {})
    found = [(field.name, _needed(field, said.get(field.name, PART)), field.type) for field in fields(struct)]
    return tuple((name, one) for name, one, kind in found if one or any(map(_telling, structs_in(kind))))


def _needed(field: FieldInfo, said: Feature) -> Needed | None:
    """A feature that goes by its name alone is used where its field is not as it is by default."""
    if isinstance(said, str):
        return lambda value: None if value == field.default else said
    return None if isinstance(said, Without) else said
