"""The status of a route, as the operator writes it and `kubectl get fr` shows it.

Conditions are the standard ones of Kubernetes (KEP-1623). The counters at the top are sums over the targets and over
every dispatcher; they are coarse on purpose (metrics are exact).
"""

from typing import Annotated, Final, Literal

import msgspec

from fanout_crds.kinds import Enum, Integer, Text
from fanout_crds.objects import ListOf, Object
from fanout_crds.report import CircuitWord

MOST_TARGETS: Final = 200  # of a route's 64: each may have one that stands in or undoes, and there are callbacks
LONGEST_NAME: Final = 80  # characters of a target's name, with what it is told apart by behind the dot

Truth = Literal["True", "False", "Unknown"]
Circuit = Literal[CircuitWord, "Unknown"]

_count = Integer(0, 2**53 - 1)  # what JSON numbers hold; the API server checks bounds as floats
# As metav1.Condition has it: other controllers keep conditions here too, by convention with a domain before a slash.
_domain = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/"
_type = rf"^({_domain})?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
_reason = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"


class _Moment(msgspec.Struct, frozen=True):
    """An RFC 3339 time. Only a schema: status is written here and never read from people."""

    def schema(self) -> dict[str, object]:
        return {"type": "string", "format": "date-time"}


class Condition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One observation about the route."""

    type: Annotated[
        str,
        Text(what="a condition type", longest=316, pattern=_type),
        "Accepted (the spec is understood), ResolvedRefs (Services, ports, Secrets and grants exist), Programmed (every"
        " ready dispatcher runs this plan), Ready (these three), Healthy (no stuck saga, open circuit or dead"
        " letter) or, only while it is True, Stalled (refused until somebody changes something). Other controllers"
        " may add types of their own.",
    ]
    status: Annotated[Truth, Enum(Truth), "True, False or Unknown."]
    reason: Annotated[
        str, Text(what="a reason", longest=1024, pattern=_reason), "Why, as one word of a closed list, for programs."
    ]
    message: Annotated[str, Text(what="a sentence", longest=32768, shortest=0), "Why, for people."]
    last_transition_time: Annotated[str, _Moment(), "When status last changed."]
    observed_generation: Annotated[int | None, _count, "The metadata.generation this is about."] = None


class TargetStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One target, summed up over every dispatcher."""

    name: Annotated[
        str,
        Text(what="a target's name", longest=LONGEST_NAME),
        "Name of the target; with a dot in it that of a compensation or callback behind the targets.",
    ]
    circuit: Annotated[
        Circuit | None,
        Enum(Circuit),
        "Closed, Open (events are held), HalfOpen (probing) or Disabled; in the mode DryRun the one that it would be;"
        " where dispatchers differ, the worst; Unknown: a word of a newer dispatcher.",
    ] = None
    pending: Annotated[int | None, _count, "Deliveries accepted and not settled."] = None
    dead_letters: Annotated[int | None, _count, "Deliveries given up on and kept for replay."] = None
    stuck: Annotated[
        int | None, _count, "Compensations that were given up and wait for somebody to decide. Absent: none."
    ] = None
    last_error: Annotated[
        str | None,
        Text(what="a sentence", longest=1024, shortest=0),
        "How the last attempt failed, coarsely; until one succeeds, also through a restart. Absent: it did not.",
    ] = None


class Address(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where events are posted to."""

    url: Annotated[
        str | None, Text(what="a URL", longest=2048), "URL inside the cluster that takes this route's events."
    ] = None


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the operator has seen of the route."""

    observed_generation: Annotated[int | None, _count, "The newest generation the operator has judged."] = None
    programmed_generation: Annotated[
        int | None, _count, "The newest generation that every ready dispatcher runs; absent while one runs none."
    ] = None
    installation: Annotated[
        str | None,
        Text(what="an installation", longest=127),
        "Whose status this is: namespace and report Service of the dispatchers that carry the route out.",
    ] = None
    address: Annotated[Address | None, Object(Address), "Where events are posted to."] = None
    conditions: Annotated[
        tuple[Condition, ...] | None,
        ListOf(item=Object(Condition), most=32, key="type"),
        "Observations, one of each type.",
    ] = None
    target_count: Annotated[int | None, _count, "Targets of the route."] = None
    pending: Annotated[int | None, _count, "Deliveries accepted and not settled, all targets together."] = None
    dead_letters: Annotated[int | None, _count, "Dead letters kept for replay, all targets together."] = None
    open_circuits: Annotated[int | None, _count, "Targets whose circuit is open or half-open."] = None
    targets: Annotated[
        tuple[TargetStatus, ...] | None,
        ListOf(item=Object(TargetStatus), most=MOST_TARGETS, key="name"),
        "Each target.",
    ] = None


STATUS = Object(Status)
