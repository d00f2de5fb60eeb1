"""Who says what a target's policy is: target ← route ← installation ← built-in."""

import typing

import pytest

from fanout_crds import plan
from fanout_crds.compile import Installation, Refs
from fanout_crds.compile import compile as compile_route
from fanout_crds.faults import Faults, Invalid
from fanout_crds.policy import POLICY, Policy
from fanout_crds.route import parse
from tests.unit.crds.corpus import Json, changed, good


def read(policy: Json) -> Policy:
    faults = Faults()
    found = POLICY.read(policy, "policy", faults)
    faults.check()
    return typing.cast("Policy", found)


def resolved(
    target: Json = None, *, route: Json = None, installation: Json = None, durability: str = "Journal"
) -> plan.Policy:
    document = changed(good(), "spec.durability", durability)
    if target is not None:
        document = changed(document, "spec.targets[0].policy", target)
    if route is not None:
        document = changed(document, "spec.defaults.policy", route)
    installed = Installation(policy=None if installation is None else read(installation))
    return compile_route(parse(document), installed, Refs(), "r1").plan.targets[0].policy


def test_the_nearest_level_that_says_something_wins_field_by_field() -> None:
    policy = resolved(
        {"timeouts": {"connect": "1s"}},
        route={"timeouts": {"connect": "3s", "attempt": "4s"}},
        installation={"timeouts": {"connect": "5s", "attempt": "6s", "total": "7m"}},
    )

    assert policy.timeouts == plan.Timeouts(connect=1, attempt=4, total=420)


def test_nested_objects_merge_field_by_field_too() -> None:
    policy = resolved(
        {"circuitBreaker": {"halfOpen": {"maxCalls": 5}}},
        route={"circuitBreaker": {"openDuration": "7s", "halfOpen": {"maxWait": "9s"}}},
    )

    assert policy.circuit_breaker.half_open == plan.HalfOpen(max_calls=5, success_threshold=3, max_wait=9)
    assert policy.circuit_breaker.open_duration == 7


def test_a_backoff_is_replaced_whole() -> None:
    policy = resolved(
        {"retry": {"backoff": {"type": "Constant", "baseDelay": "1s"}}},
        route={"retry": {"maxAttempts": 3, "backoff": {"baseDelay": "9s", "maxDelay": "10s", "jitter": "None"}}},
    )

    assert policy.retry.max_attempts == 3
    assert policy.retry.backoff == plan.Backoff(
        type="Constant", base_delay=1, multiplier=2, max_delay=300, jitter="Full"
    )


def test_a_schedule_has_as_many_retries_as_waits_and_an_hour_to_spare() -> None:
    policy = resolved(
        {"retry": {"backoff": {"type": "Schedule", "schedule": ["1s", "3m", "1m"]}}},
        route={"retry": {"backoff": {"baseDelay": "9s", "maxDelay": "10s", "jitter": "None"}}},
    )

    assert policy.retry.max_attempts == 4
    assert policy.retry.backoff == plan.Backoff(
        type="Schedule", base_delay=1, multiplier=2, max_delay=180, jitter="Full", schedule=(1, 180, 60)
    )
    assert policy.timeouts.total == 241 + 3600


def test_the_schedule_of_standard_webhooks_is_that_of_its_specification() -> None:
    """https://github.com/standard-webhooks/standard-webhooks: immediately, 5 s, 5 min, 30 min, 2 h, 5 h, …"""
    policy = resolved({"retry": {"backoff": {"type": "Schedule", "preset": "StandardWebhooks"}}}, durability="Memory")

    hours = tuple(number * 3600 for number in (2, 5, 10, 14, 20, 24))
    assert policy.retry.backoff.schedule == (5, 300, 1800, *hours)
    assert policy.retry.max_attempts == 10
    assert policy.timeouts.total == 5 + 300 + 1800 + sum(hours) + 3600


DISABLED = {"mode": "Disabled"}
ON = {
    "retry": {"budget": {"percent": 50}},
    "bulkhead": {"adaptive": {"max": 10}},
    "rateLimit": {"requests": 5},
    "ordering": {"keyAttribute": "subject"},
    "circuitBreaker": {"slowCallDuration": "1s"},
}
OFF = {
    "retry": {"budget": DISABLED},
    "bulkhead": {"adaptive": DISABLED, "maxConcurrent": 4},
    "rateLimit": DISABLED,
    "ordering": DISABLED,
    "circuitBreaker": {"slowCallDuration": "0s"},
}


def test_a_target_switches_off_what_its_route_switched_on() -> None:
    policy = resolved(OFF, route=ON)

    assert (policy.retry.budget, policy.bulkhead.adaptive, policy.rate_limit) == (None, None, None)
    assert policy.ordering is None
    assert policy.circuit_breaker.slow_call_duration == 0


def test_a_target_switches_on_again_what_its_route_switched_off_and_keeps_the_figures() -> None:
    enabled = {"mode": "Enabled"}
    policy = resolved(
        {"retry": {"budget": enabled}, "bulkhead": {"adaptive": enabled}, "rateLimit": enabled},
        route={
            "retry": {"budget": DISABLED | {"percent": 50}},
            "bulkhead": {"adaptive": DISABLED | {"max": 10}},
            "rateLimit": DISABLED | {"requests": 5, "per": "1m"},
        },
    )

    assert policy.retry.budget == plan.Budget(percent=50, min_retries_per_second=10)
    assert policy.bulkhead == plan.Bulkhead(max_concurrent=64, adaptive=plan.Adaptive(min=1, initial=10, max=10))
    assert policy.rate_limit == plan.RateLimit(requests=5, per=60, burst=1)


def test_ordering_is_replaced_whole() -> None:
    policy = resolved(
        {"ordering": {"keyExpression": "data.order"}},
        route={"ordering": {"keyAttribute": "subject", "afterDeath": "PassOver"}},
    )

    assert policy.ordering == plan.Ordering(key_attribute=None, key_expression="data.order", after_death="Block")


def test_a_window_is_replaced_whole() -> None:
    policy = resolved(
        {"circuitBreaker": {"window": {"type": "Count"}}}, route={"circuitBreaker": {"window": {"duration": "9s"}}}
    )

    assert policy.circuit_breaker.window == plan.Window(type="Count", size=100)


def test_a_list_is_replaced_whole_also_by_an_empty_one() -> None:
    policy = resolved(
        {"retry": {"on": [], "giveUpOn": [404]}}, route={"retry": {"on": ["5xx"], "giveUpOn": [410, 501]}}
    )

    assert (policy.retry.on_status, policy.retry.on_fault) == ((), ())
    assert policy.retry.give_up_on == ((404, 404),)


def test_an_honest_zero_is_not_taken_for_unset() -> None:
    policy = resolved(
        {"timeouts": {"attempt": "0s", "total": "0s"}, "circuitBreaker": {"consecutiveFailures": 0}},
        route={"timeouts": {"attempt": "5s", "total": "9s"}, "circuitBreaker": {"consecutiveFailures": 7}},
    )

    assert (policy.timeouts.attempt, policy.timeouts.total) == (0, 0)
    assert policy.circuit_breaker.consecutive_failures == 0


def test_what_nobody_says_is_the_table_of_the_design() -> None:
    faults = ("NameFailure", "ConnectFailure", "TlsFailure", "Reset", "Timeout", "ProtocolError")

    assert resolved() == plan.Policy(
        timeouts=plan.Timeouts(connect=2, attempt=10, total=86400),
        retry=plan.Retry(
            max_attempts=None,
            backoff=plan.Backoff(type="Exponential", base_delay=0.5, multiplier=2, max_delay=300, jitter="Full"),
            on_status=((408, 408), (425, 425), (429, 429), (500, 500), (502, 504), (506, 599)),
            on_fault=faults,
            success_on=(),
            give_up_on=((410, 410),),
            retry_after=True,
            retry_after_max=3600,
            budget=plan.Budget(percent=20, min_retries_per_second=10),
        ),
        circuit_breaker=plan.CircuitBreaker(
            enabled=True,
            window=plan.Window(type="Time", size=30),
            minimum_calls=20,
            failure_rate_threshold=50,
            consecutive_failures=5,
            open_duration=30,
            max_open_duration=300,
            half_open=plan.HalfOpen(max_calls=3, success_threshold=3, max_wait=60),
            fail_on_status=((429, 429), (500, 599)),
            fail_on_fault=faults,
            mode="Auto",
            slow_call_duration=0,
            slow_call_rate_threshold=100,
        ),
        bulkhead=plan.Bulkhead(max_concurrent=64, adaptive=None),
        rate_limit=None,
        ordering=None,
        batch=None,
        queue=plan.Queue(max_bytes=None, on_full="Reject"),
        dead_letter=plan.DeadLetters(keep=604800, max_bytes=2**30, on_full="Reject"),
    )


SCHEDULE = {"type": "Schedule", "schedule": ["1s"]}


def test_memory_gives_up_sooner() -> None:
    assert resolved(durability="Memory").timeouts.total == 30


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [
        ({"timeouts": {"attempt": "1s"}}, "timeouts.connect", 1),
        ({"timeouts": {"attempt": "0s"}}, "timeouts.connect", 2),
        ({"timeouts": {"attempt": "48h"}}, "timeouts.total", 48 * 3600),
        ({"timeouts": {"total": "3s"}}, "timeouts.attempt", 3),
        ({"timeouts": {"total": "0s"}}, "timeouts.attempt", 10),
        ({"retry": {"backoff": {"baseDelay": "10m"}}}, "retry.backoff.max_delay", 600),
        ({"retry": {"backoff": {"maxDelay": "100ms"}}}, "retry.backoff.base_delay", 0.1),
        ({"circuitBreaker": {"openDuration": "10m"}}, "circuit_breaker.max_open_duration", 600),
        ({"circuitBreaker": {"maxOpenDuration": "4s"}}, "circuit_breaker.open_duration", 4),
        ({"circuitBreaker": {"halfOpen": {"maxCalls": 1}}}, "circuit_breaker.half_open.success_threshold", 1),
        ({"circuitBreaker": {"halfOpen": {"successThreshold": 9}}}, "circuit_breaker.half_open.max_calls", 9),
        ({"circuitBreaker": {"window": {"type": "Count", "size": 8}}}, "circuit_breaker.minimum_calls", 8),
        ({"circuitBreaker": {"mode": "Disabled"}}, "circuit_breaker.enabled", False),
        ({"circuitBreaker": {"mode": "ForcedOpen"}}, "circuit_breaker.enabled", True),
        ({"circuitBreaker": {"mode": "DryRun"}}, "circuit_breaker.mode", "DryRun"),
        ({"retry": {"retryAfter": {"mode": "Ignore"}}}, "retry.retry_after", False),
        ({"retry": {"backoff": {"type": "Schedule", "schedule": ["1s"]}}}, "timeouts.total", 3601),
        ({"timeouts": {"attempt": "2h"}, "retry": {"backoff": SCHEDULE}}, "timeouts.total", 7200),
        ({"timeouts": {"total": "9s"}, "retry": {"backoff": SCHEDULE}}, "timeouts.total", 9),
        ({"bulkhead": {"adaptive": {}}}, "bulkhead.adaptive", plan.Adaptive(min=1, initial=20, max=64)),
        ({"bulkhead": {"adaptive": {"min": 30}}}, "bulkhead.adaptive.initial", 30),
        ({"bulkhead": {"adaptive": {"max": 200}}}, "bulkhead.max_concurrent", 200),
        ({"bulkhead": {"adaptive": {"initial": 100}}}, "bulkhead.adaptive.max", 100),
        ({"bulkhead": {"maxConcurrent": 7, "adaptive": {}}}, "bulkhead.adaptive.initial", 7),
        ({"rateLimit": {"requests": 5}}, "rate_limit", plan.RateLimit(requests=5, per=1, burst=1)),
        ({"rateLimit": {"requests": 500}}, "rate_limit.burst", 50),
        ({"rateLimit": {"requests": 500, "per": "1m"}}, "rate_limit.burst", 1),
        ({"ordering": {"keyAttribute": "subject"}}, "ordering.after_death", "Block"),
        ({"ordering": {"keyAttribute": "id", "afterDeath": "PassOver"}}, "ordering.after_death", "PassOver"),
        ({"hedge": {"delay": "50ms"}}, "hedge", plan.Hedge(delay=0.05, max_extra=1)),
        ({"hedge": {"delay": "50ms", "maxExtra": 3}}, "hedge.max_extra", 3),
        ({"hedge": {"mode": "Disabled"}}, "hedge", None),
        ({"hedge": {"delay": "20s"}, "timeouts": {"attempt": "0s"}}, "hedge.delay", 20.0),
    ],
)
def test_a_built_in_default_gives_way_to_what_is_said_beside_it(said: Json, field: str, value: object) -> None:
    found: object = resolved(said)
    for name in field.split("."):
        found = getattr(found, name)

    assert found == value


@pytest.mark.parametrize(
    ("target", "route", "says"),
    [
        (
            {"circuitBreaker": {"openDuration": "10m"}},
            {"circuitBreaker": {"maxOpenDuration": "1m"}},
            "spec.targets[0].policy.circuitBreaker.openDuration: openDuration must not be longer than maxOpenDuration,"
            " once what it inherits is merged in",
        ),
        (
            {"circuitBreaker": {"minimumCalls": 30}},
            {"circuitBreaker": {"window": {"type": "Count", "size": 20}}},
            "spec.targets[0].policy.circuitBreaker.minimumCalls: minimumCalls must not be more than window.size: the"
            " rate would never be taken, once what it inherits is merged in",
        ),
        (
            {"circuitBreaker": {"halfOpen": {"maxCalls": 1}}},
            {"circuitBreaker": {"halfOpen": {"successThreshold": 2}}},
            "spec.targets[0].policy.circuitBreaker.halfOpen.successThreshold: successThreshold must not be more than"
            " maxCalls: the circuit could never close, once what it inherits is merged in",
        ),
        (
            {"timeouts": {"attempt": "10m"}},
            {"timeouts": {"total": "1m"}},
            "spec.targets[0].policy.timeouts.attempt: attempt must not be longer than total, once what it inherits is"
            " merged in",
        ),
        (
            {"retry": {"backoff": SCHEDULE}},
            {"retry": {"maxAttempts": 3}},
            "spec.targets[0].policy.retry.maxAttempts: maxAttempts does not go with a backoff of type Schedule: the"
            " length of the schedule says how many attempts there are, once what it inherits is merged in",
        ),
        (
            {"bulkhead": {"adaptive": {"max": 30}}},
            {"bulkhead": {"maxConcurrent": 20}},
            "spec.targets[0].policy.bulkhead.adaptive: min, initial and max of adaptive must not be more than"
            " maxConcurrent, once what it inherits is merged in",
        ),
        (
            {"rateLimit": {"per": "1m"}},
            {"rateLimit": {"burst": 20}},
            "spec.targets[0].policy.rateLimit.requests: requests is needed: how many may start in the time that per"
            " says",
        ),
        (
            {"hedge": {"maxExtra": 2}},
            None,
            "spec.targets[0].policy.hedge.delay: delay is needed: how long the first try may take before there is a"
            " second",
        ),
        (
            {"hedge": {"delay": "10s"}},
            None,
            "spec.targets[0].policy.hedge.delay: must be shorter than the policy's timeouts.attempt, 10s",
        ),
        (
            {"hedge": {"delay": "2s"}},
            {"timeouts": {"attempt": "1s"}},
            "spec.targets[0].policy.hedge.delay: hedge.delay must be shorter than timeouts.attempt, after which all"
            " tries are over, once what it inherits is merged in",
        ),
        (
            {"ordering": {"keyAttribute": "subject"}},
            {"hedge": {"delay": "1s"}},
            "spec.targets[0].policy.hedge: hedge does not go with ordering: a try that was cancelled may still"
            " arrive, after the next one of its key, once what it inherits is merged in",
        ),
        (
            {"circuitBreaker": {"slowCallRateThreshold": 50}},
            None,
            "spec.targets[0].policy.circuitBreaker.slowCallRateThreshold: slowCallRateThreshold needs"
            " slowCallDuration, which says what a slow call is",
        ),
    ],
)
def test_two_levels_that_contradict_each_other_are_refused_where_the_target_stands(
    target: Json, route: Json, says: str
) -> None:
    with pytest.raises(Invalid) as refused:
        resolved(target, route=route)

    assert [str(fault) for fault in refused.value.faults] == [says]


@pytest.mark.parametrize(
    ("target", "route"),
    [
        ({"rateLimit": {"burst": 5}}, {"rateLimit": {"requests": 10}}),
        ({"circuitBreaker": {"slowCallRateThreshold": 5}}, {"circuitBreaker": {"slowCallDuration": "2s"}}),
    ],
)
def test_what_one_level_leaves_out_another_may_say(target: Json, route: Json) -> None:
    resolved(target, route=route)
