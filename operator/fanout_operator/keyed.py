"""What of a plan is kept by each dispatcher for itself: order, known keys, and limits of how much in what time.

One dispatcher keeps them. Several have a journal and a memory each, and the Service sends a request to any of them: two
events of one key go to a target at the same time, a repetition is accepted twice, a limit holds for each of them. The
plan is as good as with one, so nothing is refused, but Healthy says it (KeyedPerReplica). Limits of what is in flight
(bulkheads) are not among it: every target has one, and of a dispatcher is what it is said to be.
"""

from collections.abc import Iterator

from fanout_crds.plan import Plan, decode


def keyed(plan: Plan) -> tuple[str, ...]:
    """The fields of a plan that more than one dispatcher cannot keep together."""
    return tuple(_fields(plan))


def keyed_in(text: bytes) -> tuple[str, ...]:
    """The same of a plan as it lies in the cluster; of one that cannot be read nothing is known."""
    try:
        return keyed(decode(text))
    except ValueError:
        return ()


def _fields(plan: Plan) -> Iterator[str]:
    if plan.idempotency is not None:
        yield "accept.idempotency"
    if plan.rate is not None:
        yield "accept.rateLimit"
    for target in plan.targets:
        if target.policy.ordering is not None:
            yield f"ordering of target {target.name}"
        if target.policy.rate_limit is not None:
            yield f"rateLimit of target {target.name}"
