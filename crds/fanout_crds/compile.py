"""From a route to a plan: inheritance resolved, references replaced by what they stand for, defaults filled in.

Pure: what surrounds the route is handed in (`Installation`, `Refs`), the revision too. A reference that does not
resolve is no fault: its target is held, with the reason, and the others run. Credentials leave beside the plan.
"""

import typing
from collections.abc import Iterator

import msgspec

from fanout_crds import answers, batching, builtin, graph, listen, outbox, plan, shape
from fanout_crds.accept import Accept
from fanout_crds.endpoint import Callback, Endpoint
from fanout_crds.faults import Fault, Faults, Invalid
from fanout_crds.inherit import MERGED, merge, recheck
from fanout_crds.policy import Policy, hedges
from fanout_crds.receiver import Receiver
from fanout_crds.references import Outside as Outside
from fanout_crds.references import References as References
from fanout_crds.references import Refs as Refs
from fanout_crds.references import SecretKey as SecretKey
from fanout_crds.references import ServiceKey as ServiceKey
from fanout_crds.references import Unresolved as Unresolved
from fanout_crds.references import references as references
from fanout_crds.route import CLASS_NAME, UNDONE_ONCE, FanoutRoute, Request, Target

MOST_BYTES: typing.Final = 900_000  # a ConfigMap holds 1 MiB, labels and annotations included
MOST_CREDENTIALS: typing.Final = 1 << 20  # what the values of a Secret may have together


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


class _Behind(msgspec.Struct, frozen=True):
    """Who is asked because of what became of target *of*; empty: because all are settled."""

    role: plan.BehindRole
    of: str
    said: Endpoint | Callback
    receiver: Receiver


def compile(route: FanoutRoute, installation: Installation, refs: Refs, revision: str) -> Compiled:  # noqa: A001 - the word
    """Make the plan of *route*.

    Raises Invalid when merged policies contradict each other, and PlanTooLarge.
    """
    faults = Faults()
    respond = _respond(route, faults)
    policies = _policies(route, installation, respond, faults)
    accept = route.spec.accept or Accept()
    receivers = [Receiver(target.name, target, route.metadata.namespace, refs) for target in route.spec.targets]
    behind = list(_behind(route, refs))
    source = outbox.resolve(route, refs)
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
        targets=_targets(route, receivers, policies, respond),
        behind=tuple(_planned(route, one, respond) for one in behind),
        respond=respond,
        postgres_outbox=source.plan,
        methods=(route.spec.listen and route.spec.listen.methods) or ("POST",),
    )
    listen.check(made, _numbered(route), faults)
    _check_caches(made, faults)
    faults.check()
    made = msgspec.structs.replace(made, needs=plan.needs(made))
    everybody = [*receivers, *(one.receiver for one in behind)]
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


def _targets(
    route: FanoutRoute, receivers: list[Receiver], policies: list[plan.Policy], respond: plan.Respond | None
) -> tuple[plan.Target, ...]:
    kept = answers.kept(route)
    return tuple(
        one.target(
            policy,
            said,
            capture=_capture(route, respond, one.name),
            keep=answers.SIZE if one.name in kept else 0,
        )
        for one, said, policy in zip(receivers, route.spec.targets, policies, strict=True)
    )


def _behind(route: FanoutRoute, refs: Refs) -> Iterator[_Behind]:
    """Who stands behind the targets: fallbacks, compensations, callbacks."""
    home = route.metadata.namespace
    for target in route.spec.targets:
        if said := target.fallback and target.fallback.target:
            yield _Behind("Fallback", target.name, said, Receiver(f"{target.name}.fallback", said, home, refs))
    for target in route.spec.targets:
        if said := target.compensate:
            yield _Behind("Compensation", target.name, said, Receiver(f"{target.name}.compensate", said, home, refs))
    for callback in route.spec.callbacks:
        yield _Behind("Final", "", callback, Receiver(f"{callback.name}.finally", callback, home, refs))


def _planned(route: FanoutRoute, one: _Behind, respond: plan.Respond | None) -> plan.Behind:
    target = one.receiver.target(
        builtin.patient(one.said.policy, route.spec.durability),
        compensates=one.of if one.role == "Compensation" else "",
        capture=_capture(route, respond, one.of) if one.role == "Fallback" else 0,
    )
    return plan.Behind(role=one.role, of=one.of, target=target)


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
