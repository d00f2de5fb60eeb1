"""What does not go together with `policy.batch`, and why: one request, and its one answer, are for many events.

So nothing may depend on what a single event says, or on what a target says to a single event. The rule of a target is
one that the API server can see; `check` says the same once policies are inherited, and what concerns the whole route.
"""

import typing

from fanout_crds import plan
from fanout_crds.faults import Faults
from fanout_crds.inherit import switch
from fanout_crds.request import Request
from fanout_crds.route import FanoutRoute, Target

NOT_ALONE: typing.Final = (
    "does not go with policy.batch, which sends many events in one request: leave it out, or write what is the same for"
    " all of them"
)


def check(route: FanoutRoute, policies: list[plan.Policy], respond: plan.Respond | None, faults: Faults) -> None:
    """Say what is wrong with the batches of *route*, of whose targets *policies* are."""
    targets = route.spec.targets
    graph = any(one.depends_on or one.compensate or one.fallback for one in targets) or bool(route.spec.callbacks)
    for place, (target, policy) in enumerate(zip(targets, policies, strict=True)):
        if policy.batch is None:
            continue
        at, off = f"spec.targets[{place}]", switch(target.policy, "batch")
        for field in (target.request or Request()).of_one_event:
            faults.add(f"{at}.request.{field}", NOT_ALONE)
        if graph:
            faults.add(
                f"{at}.policy.batch",
                "does not go with dependsOn, compensate, fallback or finally: this version sends batches only on a"
                f" route whose targets are each on their own{off}",
            )
        if respond is not None and target.name in respond.wait_for:
            faults.add(
                f"{at}.policy.batch",
                "does not go with a caller that waits for the target: its answer is for all events of a batch; name the"
                f" targets to wait for in respond.waitFor{off}",
            )
        _check_wait(target, policy.batch, policy.timeouts.total, f"{at}.policy.batch.maxWait", faults)


def _check_wait(target: Target, batch: plan.Batch, total: float, path: str, faults: Faults) -> None:
    """A delivery that expires while it waits for others would be one that nobody meant."""
    waits = batch.max_wait + (target.delay or 0.0)
    if 0 < total <= waits:
        faults.add(
            path, f"must be shorter, with delay, than the policy's timeouts.total, {total:g}s: it runs from acceptance"
        )
