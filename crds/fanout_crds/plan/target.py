"""Who receives an event: where a target is, what its request is made of, and what its answer is used for."""

from collections.abc import Iterator

import msgspec

from fanout_crds.expressions import BODY, KEY, PATH, QUESTION, VALUE, WHEN, Scope
from fanout_crds.plan.policy import Policy
from fanout_crds.request import Method
from fanout_crds.route import OnDead


class Value(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A header or a parameter: its value as it stands, or the expression that gives it."""

    name: str
    value: str | None = None
    expression: str | None = None


class Mapping(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a request is made of an event, where it is not the event as it came."""

    method: Method
    path: str | None = None  # expression; None = the URL's
    query: tuple[Value, ...] = ()
    headers: tuple[Value, ...] = ()  # by expressions; those that stand as they are, are the target's own
    body: str | None = None  # expression; None = the event's
    structured: bool = False  # the event as one JSON object, not its attributes as headers


class Static(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An answer that nobody has to be asked for; header names in lower case, a content-type among them."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


class Cache(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """By what key an answer is used again, and for how long (s) at most."""

    key_expression: str
    ttl: float


class Target(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One target, resolved. *held* is the reason why it cannot be asked (a reference that does not resolve)."""

    name: str
    url: str  # absolute http(s) URL; empty only when held
    private: bool  # a service inside the cluster: its addresses are allowed
    held: str | None
    held_message: str | None
    headers: tuple[tuple[str, str], ...]
    forward_headers: tuple[str, ...]  # lower-case names; a trailing * is a prefix
    bearer: str | None  # handle of the token
    ca: str | None  # handle of the PEM bundle
    policy: Policy
    delay: float = 0.0  # seconds after acceptance before which it is not asked
    when: str | None = None  # an expression that says which events it gets; None = all
    mapping: Mapping | None = None  # None = the event as it came, by POST
    capture: int = 0  # bytes of its answer that are kept for whoever waits for it; 0 = nothing
    depends_on: tuple[str, ...] = ()  # names of targets that have to be through before it
    on_dead: OnDead = "Fail"
    compensates: str = ""  # of a compensation: the target that it undoes, whose key it is sent with
    keep: int = 0  # bytes of its answer that are kept with the event, for expressions that read it; 0 = nothing
    static: Static | None = None  # what is answered in its place once it is given up
    cache: Cache | None = None  # None = each event asks for itself
    client_certificate: str | None = None  # handle of what the handshake shows: certificate and key, in one PEM text

    @property
    def handles(self) -> tuple[str, ...]:
        """The credentials without which it cannot be asked."""
        return tuple(one for one in (self.bearer, self.ca, self.client_certificate) if one is not None)

    def expressions(self) -> Iterator[tuple[str, str, Scope]]:
        """Every expression in it: the path to its field from the target on, the text, and what it is for."""
        for path, text, scope in self._fields():
            if text is not None:
                yield path, text, scope

    def _fields(self) -> Iterator[tuple[str, str | None, Scope]]:
        """Every field that takes an expression."""
        yield "when", self.when, WHEN
        if (ordering := self.policy.ordering) is not None:
            yield "policy.ordering.keyExpression", ordering.key_expression, KEY
        if self.cache is not None:
            yield "cache.keyExpression", self.cache.key_expression, QUESTION
        if (mapping := self.mapping) is None:
            return
        yield "request.pathExpression", mapping.path, PATH
        for place, one in enumerate(mapping.query):
            yield f"request.query[{place}].valueExpression", one.expression, VALUE
        for one in mapping.headers:
            yield f"request.headers[{one.name}].valueExpression", one.expression, VALUE
        yield "request.bodyExpression", mapping.body, BODY
