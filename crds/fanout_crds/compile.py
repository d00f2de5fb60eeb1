"""From a route to a plan: inheritance resolved, references replaced by what they stand for, defaults filled in.

Pure: what surrounds the route is handed in (`Installation`, `Refs`), the revision too. A reference that does not
resolve is no fault: its target is held, with the reason, and the others run. Credentials leave beside the plan.
"""

import re
import typing
from collections.abc import Iterator

import msgspec

from fanout_crds import answers, batching, builtin, graph, listen, outbox, plan, shape
from fanout_crds.accept import Accept
from fanout_crds.endpoint import Callback, Endpoint
from fanout_crds.faults import Fault, Faults, Invalid
from fanout_crds.inherit import MERGED, merge, recheck
from fanout_crds.policy import Policy, hedges
from fanout_crds.references import Outside as Outside
from fanout_crds.references import References as References
from fanout_crds.references import Refs as Refs
from fanout_crds.references import SecretKey as SecretKey
from fanout_crds.references import ServiceKey as ServiceKey
from fanout_crds.references import Unresolved as Unresolved
from fanout_crds.references import bearer_key, ca_key, service_key
from fanout_crds.references import references as references
from fanout_crds.route import CLASS_NAME, UNDONE_ONCE, Asked, FanoutRoute, Request, Target

MOST_BYTES: typing.Final = 900_000  # a ConfigMap holds 1 MiB, labels and annotations included
MOST_CREDENTIALS: typing.Final = 1 << 20  # what the values of a Secret may have together
_TOKEN = re.compile(rb"[!-~]+")  # what may follow "Bearer " in one header line (RFC 9110 §5.5)


class PlanTooLarge(Invalid):
    """The compiled plan does not fit where plans are kept."""


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What the installer said for every route."""

    policy: Policy | None = None
    class_name: str = CLASS_NAME


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, the credentials its handles stand for, and what did not resolve, by target (or `outbox.NAME`)."""

    plan: plan.Plan
    credentials: dict[str, bytes]
    unresolved: tuple[tuple[str, Unresolved], ...] = ()

    def __repr__(self) -> str:
        return f"Compiled({self.plan.key} {self.plan.revision}, {len(self.credentials)} credentials)"  # never a value


def compile(route: FanoutRoute, installation: Installation, refs: Refs, revision: str) -> Compiled:  # noqa: A001 - the word
    """Make the plan of *route*.

    Raises Invalid when merged policies contradict each other, and PlanTooLarge.
    """
    faults = Faults()
    respond = _respond(route, faults)
    policies = _policies(route, installation, respond, faults)
    accept = route.spec.accept or Accept()
    home = route.metadata.namespace
    resolved = [_Resolved(target.name, target, home, refs) for target in route.spec.targets]
    behind = [(role, of, _Resolved(name, one, home, refs), one) for role, of, name, one in _behind(route)]
    source = outbox.resolve(route, refs)
    kept = answers.kept(route)
    made = plan.Plan(
        format=plan.FORMAT,
        revision=revision,
        namespace=route.metadata.namespace,
        name=route.metadata.name,
        uid=route.metadata.uid,
        generation=route.metadata.generation,
        path=route.path,
        max_body_size=_max_body_size(accept),
        rate=builtin.accept_rate(accept.rate_limit),
        batches=accept.batches == "Accept",
        idempotency=builtin.idempotency(accept.idempotency),
        durability=route.spec.durability,
        suspend=route.spec.suspend,
        targets=tuple(
            one.target(
                policy,
                said,
                capture=_capture(route, respond, one.name),
                keep=answers.SIZE if one.name in kept else 0,
            )
            for one, said, policy in zip(resolved, route.spec.targets, policies, strict=True)
        ),
        behind=tuple(
            plan.Behind(
                role=role,
                of=of,
                target=one.target(
                    builtin.patient(said.policy, route.spec.durability),
                    compensates=of if role == "Compensation" else "",
                    capture=_capture(route, respond, of) if role == "Fallback" else 0,
                ),
            )
            for role, of, one, said in behind
        ),
        respond=respond,
        postgres_outbox=source.plan,
        methods=(route.spec.listen and route.spec.listen.methods) or ("POST",),
    )
    listen.check(made, _numbered(route), faults)
    _check_caches(made, faults)
    faults.check()
    made = msgspec.structs.replace(made, needs=plan.needs(made))
    everybody = [*resolved, *(one for _, _, one, _ in behind)]
    credentials = {handle: value for one in everybody for handle, value in one.credentials.items()}
    credentials |= source.credentials
    _check_size(made, credentials)
    return Compiled(
        plan=made,
        credentials=credentials,
        unresolved=tuple((one.name, why) for one in everybody for why in one.unresolved) + source.unresolved,
    )


def _numbered(route: FanoutRoute) -> dict[str, str]:
    """The paths of headers, by which a plan knows them only by name, as the manifest has them: by number."""
    return {
        f"{path}.request.headers[{header.name}]": f"{path}.request.headers[{place}]"
        for path, asked in route.spec.places()
        for place, header in enumerate((asked.request or Request()).headers)
    }


def _respond(route: FanoutRoute, faults: Faults) -> plan.Respond | None:
    """What a caller waits for, with names that there are in the expressions that shape its answer."""
    targets = tuple(target.name for target in route.spec.targets)
    respond = builtin.respond(route.spec.respond, route.spec.targets)
    if respond is not None and respond.shape is not None:
        shape.check(respond.shape, respond.wait_for, targets, faults)
    return respond


def _behind(route: FanoutRoute) -> Iterator[tuple[plan.BehindRole, str, str, Endpoint | Callback]]:
    """Who stands behind the targets: role, of which target, the name it is known by, and what was said of it."""
    for target in route.spec.targets:
        if target.fallback and target.fallback.target:
            yield "Fallback", target.name, f"{target.name}.fallback", target.fallback.target
    for target in route.spec.targets:
        if target.compensate:
            yield "Compensation", target.name, f"{target.name}.compensate", target.compensate
    for callback in route.spec.callbacks:
        yield "Final", "", f"{callback.name}.finally", callback


def _policies(
    route: FanoutRoute, installation: Installation, respond: plan.Respond | None, faults: Faults
) -> list[plan.Policy]:
    """Resolve the policy of each target: target ← route ← installation, checked again, then the built-in defaults."""
    shared = merge(route.spec.defaults.policy if route.spec.defaults else None, installation.policy)
    out = []
    for place, target in enumerate(route.spec.targets):
        said = merge(target.policy, shared) or Policy()
        recheck(said, f"spec.targets[{place}].policy", faults)
        out.append(_queued(builtin.complete(said, route.spec.durability), target, respond))
        _check_delay(target, out[-1].timeouts.total, respond, f"spec.targets[{place}].delay", faults)
        _check_hedge(target, said, out[-1], f"spec.targets[{place}].policy.hedge", faults)
    orders = [policy.ordering is not None for policy in out]
    graph.check(route, [policy.timeouts.total for policy in out], orders, faults)
    answers.check(route, faults)
    batching.check(route, out, respond, faults)
    return out


def _check_delay(target: Target, total: float, respond: plan.Respond | None, path: str, faults: Faults) -> None:
    """A delivery that expires before its first attempt would be one that nobody meant, nor one for a caller gone by."""
    if target.delay and respond and target.name in respond.wait_for and respond.timeout <= target.delay:
        faults.add(
            path,
            f"must be shorter than respond.timeout, {respond.timeout:g}s, since the caller waits for {target.name}:"
            " shorten it, or have him wait for others only (respond.waitFor)",
        )
    if target.delay and 0 < total <= target.delay:
        faults.add(path, f"must be shorter than the policy's timeouts.total, {total:g}s, which runs from acceptance on")


def _check_hedge(target: Target, said: Policy, policy: plan.Policy, path: str, faults: Faults) -> None:
    """What only the whole policy shows: a delay beyond an attempt's usual time, a hedge that is inherited by a saga."""
    if policy.hedge is None:
        return
    attempt = policy.timeouts.attempt
    by_default = said.timeouts is None or said.timeouts.attempt is None
    if by_default and 0 < attempt <= policy.hedge.delay:
        faults.add(f"{path}.delay", f"must be shorter than the policy's timeouts.attempt, {attempt:g}s")
    if target.compensate and not (target.policy and hedges(target.policy)):  # its own was looked at before
        faults.add(path, UNDONE_ONCE + MERGED)


def _queued(policy: plan.Policy, target: Target, respond: plan.Respond | None) -> plan.Policy:
    """Leave an inherited maxQueue only where callers wait for the target from the event's acceptance on."""
    if policy.bulkhead.max_queue is None:
        return policy
    if respond is not None and target.name in respond.wait_for and not target.depends_on:
        return policy
    return msgspec.structs.replace(policy, bulkhead=msgspec.structs.replace(policy.bulkhead, max_queue=None))


def _capture(route: FanoutRoute, respond: plan.Respond | None, target: str) -> int:
    """How much of the answer of *target* somebody is going to look at."""
    if respond is None or target not in respond.wait_for:
        return 0
    said = route.spec.respond.max_body_size if route.spec.respond else None
    return builtin.MAX_ANSWER_SIZE if said is None else said


def _max_body_size(said: Accept) -> int:
    return builtin.MAX_BODY_SIZE if said.max_body_size is None else said.max_body_size


def _check_caches(made: plan.Plan, faults: Faults) -> None:
    """What a cache does not go with: the API server does not see what is inherited, nor who looks at an answer."""
    for place, target in enumerate(made.targets):
        path = f"spec.targets[{place}].cache"
        if target.cache and not (target.capture or target.keep):
            faults.add(path, f"nobody looks at what {target.name} answers: name it in respond.waitFor, or leave it out")
        if target.cache and target.policy.ordering:
            faults.add(path, "does not go with policy.ordering: what is kept in order is told, not asked for")


def _check_size(made: plan.Plan, credentials: plan.Credentials) -> None:
    size = len(plan.encode(made))
    if size > MOST_BYTES:
        raise PlanTooLarge((Fault("spec.targets", f"the compiled plan has {size} bytes, {MOST_BYTES} fit"),))
    size = sum(map(len, credentials.values()))
    if size > MOST_CREDENTIALS:
        raise PlanTooLarge((Fault("spec.targets", f"their credentials have {size} bytes, {MOST_CREDENTIALS} fit"),))


class _Resolved:
    """One target with its references looked up: its address, its credentials, and what is missing."""

    def __init__(self, name: str, said: Asked, home: str, refs: Refs) -> None:
        self.name = name
        self.said = said
        self.unresolved: list[Unresolved] = []
        self.credentials: dict[str, bytes] = {}
        self._private = said.service is not None
        self._url = self._address(home, refs)
        if bearer := bearer_key(said, home):
            self._credential("bearer", _token(refs.secret(bearer), str(bearer)))
        if ca := ca_key(said, home):
            self._credential("ca", refs.secret(ca))

    def target(
        self,
        policy: plan.Policy,
        said: Target | None = None,
        *,
        capture: int = 0,
        keep: int = 0,
        compensates: str = "",
    ) -> plan.Target:
        """Make the plan's target. A handle stands in it only when its credential is there."""
        why = self.unresolved[0] if self.unresolved else None
        request = self.said.request or Request()
        made = plan.Target(
            name=self.name,
            url=self._url,
            private=self._private,
            held=why.reason if why else None,
            held_message=why.message if why else None,
            headers=tuple((header.name, header.value) for header in request.headers if header.value is not None),
            forward_headers=tuple(name.lower() for name in request.forward_headers),
            bearer=self._handle("bearer"),
            ca=self._handle("ca"),
            policy=policy,
            capture=capture,
            keep=keep,
            mapping=_mapping(request),
            compensates=compensates,
        )
        if said is None:
            return made
        return msgspec.structs.replace(
            made,
            delay=said.delay or 0.0,
            when=said.when,
            depends_on=said.depends_on,
            on_dead=said.on_dead or "Fail",
            static=builtin.static(said.fallback.static) if said.fallback and said.fallback.static else None,
            cache=builtin.cache(said.cache),
        )

    def _address(self, home: str, refs: Refs) -> str:
        service = self.said.service
        if service is None:
            return _with_path(self.said.url or "")
        base = refs.service(service_key(service, home))
        if isinstance(base, Unresolved):
            self.unresolved.append(base)
            return ""
        if isinstance(base, Outside):
            self._private, base = False, base.url
        if self.said.tls:
            base = re.sub(r"^http://", "https://", base)
        return base.rstrip("/") + ("/" if service.path is None else service.path)

    def _credential(self, use: str, found: bytes | Unresolved) -> None:
        if isinstance(found, Unresolved):
            self.unresolved.append(found)
        else:
            self.credentials[f"{self.name}.{use}"] = found

    def _handle(self, use: str) -> str | None:
        handle = f"{self.name}.{use}"
        return handle if handle in self.credentials else None


def _mapping(request: Request) -> plan.Mapping | None:
    """Say how the request is made of the event; None where it is the event as it came."""
    made = plan.Mapping(
        method=request.method or "POST",
        path=request.path_expression,
        query=tuple(
            plan.Value(name=one.name, value=one.value, expression=one.value_expression) for one in request.query
        ),
        headers=tuple(
            plan.Value(name=one.name, expression=one.value_expression)
            for one in request.headers
            if one.value_expression is not None
        ),
        body=request.body_expression,
        structured=request.mode == "Structured",
    )
    return None if made == plan.Mapping(method="POST") else made


def _token(found: bytes | Unresolved, place: str) -> bytes | Unresolved:
    """Take a token as people store it, often with a newline at the end, if it can stand in a header."""
    if isinstance(found, Unresolved) or _TOKEN.fullmatch(found.strip()):
        return found if isinstance(found, Unresolved) else found.strip()
    return Unresolved("SecretUnusable", f"Secret {place} does not hold one line of visible ASCII, as a token must")


def _with_path(url: str) -> str:
    """Give an absolute URL the path it means when it has none (RFC 9110 §4.2.3)."""
    return re.sub(r"^([a-z]+://[^/?]+)(?=\?|$)", r"\1/", url)
