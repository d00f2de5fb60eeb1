"""The plan as a whole: a route with all that it consists of, and what is asked of all that."""

import typing
from collections.abc import Iterator

import msgspec

from fanout_crds.expressions import KEY, Scope
from fanout_crds.listen import claim
from fanout_crds.plan.door import AcceptRate, Idempotency, Respond
from fanout_crds.plan.outbox import PostgresOutbox
from fanout_crds.plan.target import Target
from fanout_crds.request import Method
from fanout_crds.route import Durability

BehindRole = typing.Literal["Fallback", "Compensation", "Final"]


class Behind(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A position behind the targets: it stands in for one, undoes one, or is told when all is over."""

    role: BehindRole
    of: str  # the target that it is for; empty for a Final
    target: Target  # named target.compensate, target.fallback or finally.name: a dot is in no target's name


class Plan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A route, ready to be carried out."""

    format: int
    revision: str
    namespace: str
    name: str
    uid: str
    generation: int
    path: str
    max_body_size: int
    durability: Durability
    suspend: bool
    targets: tuple[Target, ...]
    respond: Respond | None = None  # None = the caller does not wait
    rate: AcceptRate | None = None  # of what comes in; None = no limit
    batches: bool = False  # several events in one request are taken too
    idempotency: Idempotency | None = None  # None = what comes twice is accepted twice
    behind: tuple[Behind, ...] = ()
    postgres_outbox: PostgresOutbox | None = None
    methods: tuple[Method, ...] = ("POST",)
    needs: tuple[str, ...] = ()  # what a dispatcher must know to carry it out (features.py), sorted

    @property
    def claim(self) -> str:
        """What no other route may claim: the path, whatever its names in braces."""
        return claim(self.path)

    @property
    def everybody(self) -> tuple[Target, ...]:
        """Everybody who may be sent something: one for each position of an event."""
        return (*self.targets, *(one.target for one in self.behind)) if self.behind else self.targets

    @property
    def handles(self) -> frozenset[str]:
        """What it needs of its credentials: of all that is sent to, and of what is fetched from."""
        outbox = self.postgres_outbox
        found = [handle for one in self.everybody for handle in one.handles]
        found += [handle for handle in (outbox.url, outbox.ca) if handle] if outbox is not None else []
        return frozenset(found)

    @property
    def fallbacks(self) -> dict[str, str]:
        """Who stands in for which target, by name."""
        return {one.target.name: one.of for one in self.behind if one.role == "Fallback"}

    @property
    def key(self) -> str:
        """``namespace/name``, by which backlog, status and logs know the route."""
        return f"{self.namespace}/{self.name}"

    def expressions(self) -> Iterator[tuple[str, str, Scope]]:
        """Every expression in it: the path to its field, the text, and what it is for."""
        if self.idempotency is not None and self.idempotency.key_expression is not None:
            yield "spec.accept.idempotency.keyExpression", self.idempotency.key_expression, KEY
        for target in self.everybody:
            for path, text, scope in target.expressions():
                yield f"{self._place(target)}.{path}", text, scope
        if self.respond is not None and self.respond.shape is not None:
            yield from self.respond.shape.expressions()

    def _place(self, target: Target) -> str:
        """Where somebody stands in the manifest."""
        names = [one.name for one in self.targets]
        if target.name in names:
            return f"spec.targets[{names.index(target.name)}]"
        behind = next(one for one in self.behind if one.target is target)
        if behind.role == "Final":
            return f"spec.finally[{[one for one in self.behind if one.role == 'Final'].index(behind)}]"
        what = {"Fallback": "fallback.target", "Compensation": "compensate"}[behind.role]
        return f"spec.targets[{names.index(behind.of)}].{what}"
