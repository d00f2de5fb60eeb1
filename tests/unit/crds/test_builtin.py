"""Whatever a policy leaves out: what stands in for it fits what was said, and nothing that was said is lost."""

import typing

from hypothesis import given
from hypothesis import strategies as st

from fanout_crds import plan
from fanout_crds.builtin import complete
from fanout_crds.faults import Faults
from fanout_crds.policy import POLICY
from tests.support.plans import a_plan, a_target
from tests.unit.crds.corpus import Json

durations = st.sampled_from(["1ms", "500ms", "1s", "45s", "10m", "1h", "200h"])
durations_or_zero = durations | st.just("0s")
few = st.integers(1, 12)
many = st.sampled_from([1, 2, 7, 19, 20, 21, 63, 64, 65, 500, 4096])


def some(**fields: st.SearchStrategy[typing.Any]) -> st.SearchStrategy[Json]:
    """Some of *fields*."""
    return st.fixed_dictionaries({}, optional=fields)


switch = st.sampled_from(["Enabled", "Disabled"])
backoffs = some(
    type=st.sampled_from(["Constant", "Linear", "Exponential"]), baseDelay=durations, maxDelay=durations
) | st.fixed_dictionaries({"type": st.just("Schedule"), "schedule": st.lists(durations, min_size=1, max_size=5)})
policies = some(
    timeouts=some(connect=durations, attempt=durations_or_zero, total=durations_or_zero),
    retry=some(maxAttempts=few, backoff=backoffs, budget=some(mode=switch, percent=few, minRetriesPerSecond=few)),
    circuitBreaker=some(
        mode=st.sampled_from(["Auto", "DryRun", "Disabled"]),
        window=some(duration=durations) | st.fixed_dictionaries({"type": st.just("Count")}, optional={"size": few}),
        minimumCalls=few,
        openDuration=durations,
        maxOpenDuration=durations,
        halfOpen=some(maxCalls=few, successThreshold=few),
    ),
    bulkhead=some(maxConcurrent=many, adaptive=some(mode=switch, min=many, initial=many, max=many)),
    rateLimit=st.fixed_dictionaries({"requests": many}, optional={"mode": switch, "per": durations, "burst": few}),
)


def completed(said: Json, durability: str) -> plan.Policy | None:
    """The plan's policy; None where what was said contradicts itself."""
    faults = Faults()
    read = POLICY.read(said, "policy", faults)
    return None if faults else complete(read, durability)


@given(said=policies, durability=st.sampled_from(["Journal", "Memory"]))
def test_the_figures_of_a_complete_policy_fit_together(said: Json, durability: str) -> None:
    made = completed(said, durability)
    if made is None:
        return
    times, backoff, breaker, bulkhead = made.timeouts, made.retry.backoff, made.circuit_breaker, made.bulkhead

    assert 0 < times.connect <= (times.attempt or times.connect)
    assert not times.total or times.attempt <= times.total
    assert 0 < backoff.base_delay <= backoff.max_delay
    assert not backoff.schedule or made.retry.max_attempts == len(backoff.schedule) + 1
    assert breaker.open_duration <= breaker.max_open_duration
    assert breaker.half_open.success_threshold <= breaker.half_open.max_calls
    assert breaker.window.type == "Time" or breaker.minimum_calls <= breaker.window.size
    assert (limit := bulkhead.adaptive) is None or limit.min <= limit.initial <= limit.max <= bulkhead.max_concurrent
    assert (rate := made.rate_limit) is None or (rate.requests > 0 and rate.per > 0 and rate.burst > 0)


@given(said=policies)
def test_a_complete_policy_comes_back_from_the_wire_as_it_was(said: Json) -> None:
    made = completed(said, "Journal")
    if made is not None:
        whole = a_plan(a_target(policy=made))

        assert plan.decode(plan.encode(whole)) == whole


@given(said=policies)
def test_what_is_disabled_is_not_in_the_plan(said: Json) -> None:
    made = completed(said, "Journal")
    if made is None:
        return

    off = {"mode": "Disabled"}
    assert (made.retry.budget is None) == (said.get("retry", {}).get("budget", {}).items() >= off.items())
    assert (made.rate_limit is None) == (said.get("rateLimit", off).items() >= off.items())
    assert (made.bulkhead.adaptive is None) == (said.get("bulkhead", {}).get("adaptive", off).items() >= off.items())
    assert made.circuit_breaker.enabled == (said.get("circuitBreaker", {}).get("mode") != "Disabled")
