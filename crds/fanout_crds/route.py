"""FanoutRoute, the manifest: who receives an event and how patiently. `parse` is the one way to a typed one.

Everything a field can mean stands beside it; `kubectl explain fanoutroute.spec` shows the same sentences. A field that
is accepted here works: fields of later versions are unknown until then.
"""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, ClassVar, Literal

import msgspec

from fanout_crds import texts
from fanout_crds.accept import UNATTENDED, Accept
from fanout_crds.batch import ALIKE
from fanout_crds.cache import ANSWERS_HEARD, NOT_REPLACED, NOT_UNDONE, Cache
from fanout_crds.endpoint import WHERE, Authentication, Callback, Endpoint, Service, Tls
from fanout_crds.expressions import WHEN, ExpressionText
from fanout_crds.fallback import Fallback
from fanout_crds.faults import Faults, Invalid, Lines, show
from fanout_crds.homes import Homes
from fanout_crds.kinds import Duration, Enum, Flag, Text
from fanout_crds.listen import ANSWERED, ASKED_ANEW, UNFETCHED, Listen, claim
from fanout_crds.nearest import field_hint
from fanout_crds.objects import ListOf, Object, join
from fanout_crds.policy import POLICY, Policy, hedges
from fanout_crds.request import Request as Request
from fanout_crds.respond import ENOUGH, KNOWN, QUEUED, QUEUED_BY_DEFAULT, SEEN, Respond
from fanout_crds.rules import Rule
from fanout_crds.sources import JOURNALLED, Sources

GROUP = "fanout.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "FanoutRoute"
CLASS_NAME = "fanout"
Durability = Literal["Journal", "Memory"]
OnDead = Literal["Fail", "Continue"]


UNDONE_ONCE = "hedge does not go with compensate: a try that was cancelled may still be carried out after the undoing"


class Target(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One receiver: where it is, how it is asked, and how patiently."""

    RULES: ClassVar = (
        *WHERE,
        Rule(
            "!has(self.compensate) || !has(self.policy) || !has(self.policy.hedge)"
            " || (has(self.policy.hedge.mode) && self.policy.hedge.mode == 'Disabled')",
            UNDONE_ONCE,
            lambda it: it.compensate is None or it.policy is None or not hedges(it.policy),
            at="policy.hedge",
        ),
        Rule(
            "!has(self.compensate) || !has(self.fallback) || self.fallback.type == 'Static'",
            "compensate does not go with a fallback of type Target: what that one does would not be undone",
            lambda it: it.compensate is None or it.fallback is None or it.fallback.type == "Static",
            at="compensate",
        ),
        NOT_UNDONE,
        NOT_REPLACED,
        ALIKE,
    )
    name: Annotated[
        str, texts.Label, "Name of the target, once in a route: in status, metrics, logs and replays (RFC 1123 label)."
    ]
    url: Annotated[
        str | None,
        texts.Url,
        "Absolute http or https URL. Public addresses only, unless the installer allows others; redirects are never"
        " followed. Unset: service says where it is.",
    ] = None
    service: Annotated[Service | None, Object(Service), "A Kubernetes Service. Unset: url says where it is."] = None
    request: Annotated[Request | None, Object(Request), "What is sent. Unset: the event as it came, by POST."] = None
    authentication: Annotated[
        Authentication | None, Object(Authentication), "How we say who we are; always from a Secret. Unset: not at all."
    ] = None
    tls: Annotated[
        Tls | None,
        Object(Tls),
        "How the target proves who it is; a service with it is asked over https. Unset: by the system's authorities.",
    ] = None
    policy: Annotated[
        Policy | None,
        POLICY,
        "How patiently it is served. Unset, it or any field in it: as defaults.policy says, and then as each field"
        " does.",
    ] = None
    when: Annotated[
        str | None,
        ExpressionText(WHEN),
        "Which events it gets: an expression in CEL over event, data, headers and the targets that it depends on, which"
        " gives true or false; asked once, as the event is accepted or as its turn comes. false: the delivery is"
        " Skipped, which costs no attempt. Where it fails for an event, the delivery becomes a dead letter"
        " (ExpressionFailed). Unset: all events.",
    ] = None
    depends_on: Annotated[
        tuple[str, ...],
        ListOf(item=texts.Label, most=16),
        "Names of targets that have to be through before this one is asked: Delivered, Skipped by their when, or given"
        " up with onDead Continue. When one of them is given up otherwise, this one is Skipped (NotReached). Unset:"
        " none, it is asked at once.",
    ] = ()
    on_dead: Annotated[
        OnDead | None,
        Enum(OnDead),
        "What its death means for the rest. Fail: what depends on it is skipped, and in a saga all that was done is"
        " compensated. Continue: the rest goes on. Unset: Fail.",
    ] = None
    compensate: Annotated[
        Endpoint | None,
        Object(Endpoint),
        "How to undo it, which makes the route a saga: asked in reverse order when a target with onDead Fail is given"
        " up, if this one was delivered or may have been; at least once, so it has to go by the Idempotency-Key. One"
        " that is given up itself leaves the saga Stuck (`fanout sagas`). Unset: there is nothing to undo.",
    ] = None
    fallback: Annotated[
        Fallback | None, Object(Fallback), "What stands in for it. Unset: nothing, it is a dead letter."
    ] = None
    delay: Annotated[
        float | None,
        Duration(zero=True),
        "The first attempt is not made before this long after the event was accepted; timeouts.total runs meanwhile."
        " Unset: at once, as with 0s.",
    ] = None
    cache: Annotated[
        Cache | None,
        Object(Cache),
        "An answer may be used again for other events with the same key: for targets that are asked, not told, on a"
        " route with respond.mode Settled. Unset: each event asks for itself.",
    ] = None


Asked = Target | Endpoint | Callback


class Defaults(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What holds for every target that does not say otherwise."""

    policy: Annotated[
        Policy | None,
        POLICY,
        "The policy of every target, as far as the target does not say otherwise: objects are merged field by field;"
        " lists, backoff and window are replaced whole. Unset: as each field of a policy says.",
    ] = None


class Spec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a route asks for."""

    RULES: ClassVar = (
        KNOWN,
        ENOUGH,
        SEEN,
        QUEUED,
        QUEUED_BY_DEFAULT,
        JOURNALLED,
        UNATTENDED,
        ANSWERED,
        UNFETCHED,
        ASKED_ANEW,
        ANSWERS_HEARD,
    )
    class_name: Annotated[str, texts.ClassName, "Which installation serves the route. Unset: fanout."] = CLASS_NAME
    suspend: Annotated[bool, Flag(), "true: events are accepted and kept, nothing is delivered. Unset: false."] = False
    listen: Annotated[Listen | None, Object(Listen), "Where events come in. Unset: as each field says."] = None
    accept: Annotated[Accept | None, Object(Accept), "Which events are taken. Unset: as each field says."] = None
    sources: Annotated[
        Sources | None, Object(Sources), "Where the route fetches events besides those that are posted. Unset: nowhere."
    ] = None
    durability: Annotated[
        Durability,
        Enum(Durability),
        "Journal: an event is answered 202 only once it is on disk. Memory: faster, lost on a crash. Unset: Journal.",
    ] = "Journal"
    respond: Annotated[
        Respond | None, Object(Respond), "What the caller is answered, and when. Unset: 202, as with mode Accepted."
    ] = None
    defaults: Annotated[
        Defaults | None,
        Object(Defaults),
        "What holds for every target that does not say otherwise. Unset: nothing but what each field says.",
    ] = None
    targets: Annotated[
        tuple[Target, ...],
        ListOf(item=Object(Target), most=64, least=1, key="name"),
        "Who receives each event, 1 to 64, each on its own: a slow or dead one never holds up another, unless that"
        " one depends on it.",
    ]
    callbacks: Annotated[
        tuple[Callback, ...],
        ListOf(item=Object(Callback), most=8, key="name"),
        "Who is told once everything else of an event is settled, compensations included. Unset: nobody.",
    ] = msgspec.field(default=(), name="finally")

    @property
    def has_graph(self) -> bool:
        """Whether some delivery of an event depends on what became of another one."""
        return bool(self.callbacks) or any(one.depends_on or one.compensate or one.fallback for one in self.targets)

    def everybody(self) -> tuple[Asked, ...]:
        """Everybody who may be asked something."""
        return tuple(asked for _, asked in self.places())

    def places(self) -> Iterator[tuple[str, Asked]]:
        """Everybody who may be asked something, after the path at which that is said."""
        targets = [(f"spec.targets[{place}]", one) for place, one in enumerate(self.targets)]
        yield from targets
        yield from (
            (f"{at}.fallback.target", one.fallback.target)
            for at, one in targets
            if one.fallback and one.fallback.target
        )
        yield from ((f"{at}.compensate", one.compensate) for at, one in targets if one.compensate)
        yield from ((f"spec.finally[{place}]", one) for place, one in enumerate(self.callbacks))


SPEC = Object(Spec)
HOMES = Homes(SPEC, "spec")


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What we use of an object's metadata; the rest is Kubernetes' own."""

    name: str
    namespace: str = "default"
    uid: str = ""  # empty in files
    generation: int = 0


class FanoutRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A route as it was asked for."""

    metadata: Metadata
    spec: Spec

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def path(self) -> str:
        """Where its events come in."""
        listen = self.spec.listen
        return listen.path if listen and listen.path is not None else f"/{self.key}"

    @property
    def claim(self) -> str:
        """What no other route may claim: the path, whatever its names in braces."""
        return claim(self.path)


def parse(document: object, *, lines: Lines | None = None, at: str = "") -> FanoutRoute:
    """Read a FanoutRoute document, as a file or the API server gives it.

    *at* is the path of the document within another (an item of a List). Raises Invalid with every fault.
    """
    faults = Faults(lines, partial(HOMES.nearest, at=at))
    if not isinstance(document, dict):
        faults.add(at, f"expected a mapping that describes a {KIND}, got {show(document, quiet=True)}")
        raise Invalid(faults.found())
    _envelope(document, at, faults)
    metadata = read_metadata(document.get("metadata"), join(at, "metadata"), faults)
    if "spec" in document:
        spec = SPEC.read(document["spec"], join(at, "spec"), faults)
    else:
        spec = faults.add(join(at, "spec"), "is required")
    if metadata is None or spec is None or faults:
        raise Invalid(faults.found())
    return FanoutRoute(metadata=metadata, spec=spec)


def _envelope(document: dict[str, object], at: str, faults: Faults) -> None:
    known = ("apiVersion", "kind", "metadata", "spec", "status")
    for key in document:
        if key not in known:
            faults.add(join(at, key), f"unknown field; {field_hint(key, known, faults.elsewhere(at, key))}")
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if document.get(key) != expected:
            got = f"got {show(document[key])}" if key in document else "it is missing"
            faults.add(join(at, key), f'expected "{expected}", {got}')


def read_metadata(value: object, path: str, faults: Faults, *, name: Text = texts.Label) -> Metadata | None:
    """Read what we use of an object's metadata; labels, managedFields and the like are left alone."""
    if not isinstance(value, dict):
        faults.add(path, "is required" if value is None else f"expected a mapping, got {show(value, quiet=True)}")
        return None
    before = len(faults)
    if "name" in value:
        name.read(value["name"], join(path, "name"), faults)
    else:
        faults.add(join(path, "name"), "is required")
    if value.get("namespace") is not None:
        texts.Namespace.read(value["namespace"], join(path, "namespace"), faults)
    if len(faults) > before:
        return None
    try:  # the rest is the server's own, set by nobody else: msgspec's words will do
        return msgspec.convert({key: one for key, one in value.items() if one is not None}, Metadata)
    except msgspec.ValidationError as wrong:
        faults.add(path, str(wrong))
        return None
