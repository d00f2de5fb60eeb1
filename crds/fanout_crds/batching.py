"""What `policy.batch` does not go with: one request, and its one answer, are for many events.

So a batched request may not be made of a single event, and nothing may depend on the answer to a single event. The rule
`batch.ALIKE` says so to the API server for a target's own policy; `check` says it for inherited policies too, and adds
what concerns the whole route.
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
    """Say what is wrong with the batches of *route*; *policies* are those of its targets, complete, in their order."""
    for place, (target, policy) in enumerate(zip(route.spec.targets, policies, strict=True)):
        if policy.batch is None:
            continue
        at, off = f"spec.targets[{place}]", switch(target.policy, "batch")
        for field in (target.request or Request()).of_one_event:
            faults.add(f"{at}.request.{field}", NOT_ALONE)
        if route.spec.has_graph:
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
    """Refuse a wait for others that is as long as a delivery lives: it would expire in its batch."""
    waits = batch.max_wait + (target.delay or 0.0)
    if 0 < total <= waits:
        faults.add(
            path, f"must be shorter, with delay, than the policy's timeouts.total, {total:g}s: it runs from acceptance"
        )
