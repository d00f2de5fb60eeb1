"""What one of several workers may use of a dispatcher's limits: pure arithmetic, and the only place that divides.

A manifest speaks of the dispatcher, since nobody who writes one should have to know how many processes there are. So
each limit that counts something is divided: everybody gets the floor, and the first few one more, until nothing is
left.

A limit may be too small to go round: a worker without a share could send nothing of what it accepts, and one with more
than its share would break the limit. The board does not let such a plan replace one that works. Where it is the one
that works so far, because there are more workers since the last start, its other targets run on, and the one with that
limit is held in every worker: what comes in waits, and nothing is lost, until somebody mends the limit or the number.
A limit of what comes in holds nothing: a burst that does not go round is then one request for each worker.

What is keyed is not divided: one worker owns the route, and has all of its limits (see `owners`). The others may still
owe something of it, from before. They deliver that by their shares, and for that long the owner does not know of them.

Which worker a request comes to, the kernel decides by connection. So a limit of what comes in is never exceeded by all
of them together, but a producer with one connection gets one worker's share of it.
"""

import typing

import msgspec

from fanout_crds.plan import AcceptRate, Adaptive, Budget, Bulkhead, Plan, Policy, RateLimit, Target

Rate = typing.TypeVar("Rate", RateLimit, AcceptRate)
NO_SHARE: typing.Final = "LimitTooSmall"  # why a target is held


class Share(msgspec.Struct, frozen=True):
    """The place of one worker among *of* that share. Called with a plan, gives what the worker runs of it.

    *left* are the journals of those among them that nobody asked for: an earlier start left them behind (`leftovers`).
    """

    index: int
    of: int
    left: tuple[str, ...] = ()

    def __call__(self, plan: Plan) -> Plan:
        """Divide *plan*; a target with a limit that does not go round is held."""
        if self.of == 1:
            return plan
        targets = (self._target(target, place) for place, target in enumerate(plan.targets))
        return msgspec.structs.replace(plan, targets=tuple(targets), rate=self._rate(plan.rate))

    def of_another(self, plan: Plan) -> Plan:
        """Divide a *plan* that another worker owns: at least 1 of each limit, so that what is left here gets out."""
        if self.of == 1:
            return plan
        targets = (msgspec.structs.replace(one, policy=self._policy(one.policy)) for one in plan.targets)
        return msgspec.structs.replace(plan, targets=tuple(targets), rate=self._rate(plan.rate))

    def why_not(self, plan: Plan) -> str | None:
        """Say what of *plan* cannot be divided, with the path to its field; None when all can."""
        if self.of == 1:
            return None
        if plan.rate is not None and plan.rate.burst < self.of:
            return self._too_small("spec.accept.rateLimit.burst", plan.rate.burst)
        whys = (self._why_not(target.policy, _path(place)) for place, target in enumerate(plan.targets))
        return next((why for why in whys if why is not None), None)

    def part(self, whole: int) -> int:
        """The share of *whole*; all shares together are *whole* again."""
        return whole // self.of + (self.index < whole % self.of)

    def _target(self, target: Target, place: int) -> Target:
        divided = msgspec.structs.replace(target, policy=self._policy(target.policy))
        why = self._why_not(target.policy, _path(place))
        if why is None or target.held is not None:
            return divided
        return msgspec.structs.replace(divided, held=NO_SHARE, held_message=why)

    def _why_not(self, policy: Policy, path: str) -> str | None:
        for field, whole in _limits(policy):
            if whole < self.of:
                return self._too_small(f"{path}.{field}", whole)
        return None

    def _too_small(self, path: str, whole: int) -> str:
        return (
            f"{path}: {whole} cannot be divided among the {self.of} workers of this dispatcher: give at"
            f" least {self.of}, or {self._fewer()}"
        )

    def _fewer(self) -> str:
        """What else there is to do than to raise a limit."""
        if not self.left:
            return "run fewer workers"
        return (
            "start again when no deliveries, dead letters and idempotency keys are left in"
            f" {', '.join(self.left)}, which an earlier start with more workers left behind"
        )

    def _policy(self, policy: Policy) -> Policy:
        queue = policy.queue.max_bytes  # None is a quarter of the journal, and each worker has a journal of its own
        return msgspec.structs.replace(
            policy,
            retry=msgspec.structs.replace(policy.retry, budget=self._budget(policy.retry.budget)),
            bulkhead=self._bulkhead(policy.bulkhead),
            rate_limit=self._rate(policy.rate_limit),
            queue=msgspec.structs.replace(policy.queue, max_bytes=None if queue is None else self._some(queue)),
            dead_letter=msgspec.structs.replace(policy.dead_letter, max_bytes=self._some(policy.dead_letter.max_bytes)),
        )

    def _bulkhead(self, whole: Bulkhead) -> Bulkhead:
        adaptive = whole.adaptive
        if adaptive is not None:
            adaptive = Adaptive(
                min=self._some(adaptive.min), initial=self._some(adaptive.initial), max=self._some(adaptive.max)
            )
        queue = None if whole.max_queue is None else self.part(whole.max_queue)
        return Bulkhead(max_concurrent=self._some(whole.max_concurrent), adaptive=adaptive, max_queue=queue)

    def _rate(self, whole: Rate | None) -> Rate | None:
        """The same requests in so many times the time: a rate divides without a remainder, a burst does not."""
        if whole is None:
            return None
        return msgspec.structs.replace(whole, per=whole.per * self.of, burst=self._some(whole.burst))

    def _budget(self, whole: Budget | None) -> Budget | None:
        """The percentage is of each worker's own first attempts, so it is everybody's already."""
        if whole is None:
            return None
        return msgspec.structs.replace(whole, min_retries_per_second=whole.min_retries_per_second / self.of)

    def _some(self, whole: int) -> int:
        """The share of *whole*, never 0: of a limit that does not go round nobody makes use, since its target is held.

        That an adaptive limit's floor and beginning may be more than divided does no harm: its highest is not.
        """
        return max(1, self.part(whole))


def _path(place: int) -> str:
    return f"spec.targets[{place}].policy"


def _limits(policy: Policy) -> typing.Iterator[tuple[str, int]]:
    """What has to go round, by the field's path in the policy."""
    yield "deadLetter.maxBytes", policy.dead_letter.max_bytes
    if policy.queue.max_bytes is not None:
        yield "queue.maxBytes", policy.queue.max_bytes
    if policy.bulkhead.adaptive is not None:
        yield "bulkhead.adaptive.max", policy.bulkhead.adaptive.max
    yield "bulkhead.maxConcurrent", policy.bulkhead.max_concurrent
    if policy.rate_limit is not None:
        yield "rateLimit.burst", policy.rate_limit.burst


def shares(of: int, left: tuple[str, ...] = ()) -> typing.Iterator[Share]:
    """Every share there is, in the order of the workers."""
    return (Share(index, of, left) for index in range(of))
