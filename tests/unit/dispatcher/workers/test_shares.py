"""What a dispatcher may use is divided among its workers: nothing is lost, nothing is gained, nobody goes without."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fanout_crds.plan import AcceptRate, Adaptive, Budget, Plan, RateLimit
from fanout_dispatcher.workers.shares import Share, shares
from tests.support.plans import a_plan, a_target

LIMITS = some.integers(1, 1 << 40)
WORKERS = some.integers(1, 64)


def divided(concurrent: int = 64, queue: int | None = None, letters: int = 1 << 30) -> Plan:
    policy = {"bulkhead": {"max_concurrent": concurrent}, "queue": {"max_bytes": queue}}
    return a_plan("crm", a_target(policy=policy | {"dead_letter": {"max_bytes": letters}}))


@given(whole=some.integers(0, 1 << 50), of=WORKERS)
def test_all_shares_together_are_the_whole_and_no_two_differ_by_more_than_one(whole: int, of: int) -> None:
    parts = [share.part(whole) for share in shares(of)]

    assert sum(parts) == whole
    assert max(parts) - min(parts) <= 1
    assert parts == sorted(parts, reverse=True), "the first ones have one more"


@given(concurrent=LIMITS, queue=LIMITS, letters=LIMITS, of=WORKERS)
def test_a_plan_is_divided_so_that_no_limit_is_exceeded_and_none_is_nothing(
    concurrent: int, queue: int, letters: int, of: int
) -> None:
    plan = divided(concurrent, queue, letters)
    goes_round = min(concurrent, queue, letters) >= of
    assert (Share(0, of).why_not(plan) is None) == goes_round
    if not goes_round:
        return

    policies = [share(plan).targets[1].policy for share in shares(of)]

    assert sum(one.bulkhead.max_concurrent for one in policies) == concurrent
    assert sum(one.queue.max_bytes or 0 for one in policies) == queue
    assert sum(one.dead_letter.max_bytes for one in policies) == letters
    assert all(one.bulkhead.max_concurrent and one.queue.max_bytes and one.dead_letter.max_bytes for one in policies)


@given(
    requests=some.integers(1, 1_000_000), per=some.floats(0.001, 86400), burst=some.integers(64, 1 << 20), of=WORKERS
)
def test_a_rate_is_divided_exactly_and_so_is_its_burst(requests: int, per: float, burst: int, of: int) -> None:
    limit = RateLimit(requests=requests, per=per, burst=burst)
    plan = a_plan(a_target(policy={"rate_limit": limit}))

    limits = [share(plan).targets[0].policy.rate_limit for share in shares(of)]

    assert sum(one.requests / one.per for one in limits if one) == pytest.approx(requests / per)
    assert sum(one.burst for one in limits if one) == burst


@given(requests=some.integers(1, 1_000_000), burst=some.integers(1, 1 << 20), of=WORKERS)
def test_a_limit_of_what_comes_in_is_divided_too_and_a_burst_that_does_not_go_round_is_refused(
    requests: int, burst: int, of: int
) -> None:
    plan = a_plan(rate=AcceptRate(requests=requests, per=1.0, burst=burst, key="Client"))

    rates = [share(plan).rate for share in shares(of)]
    why = Share(0, of).why_not(plan)

    assert sum(one.requests / one.per for one in rates if one) == pytest.approx(requests)
    assert sum(one.burst for one in rates if one) == max(burst, of)
    assert (why is None) == (burst >= of)
    assert why is None or why.startswith(f"spec.accept.rateLimit.burst: {burst} cannot be divided among the {of} ")


@given(least=some.integers(1, 20), highest=some.integers(64, 4096), of=WORKERS)
def test_an_adaptive_limit_stays_in_order_and_never_goes_beyond_the_whole(least: int, highest: int, of: int) -> None:
    adaptive = Adaptive(min=least, initial=20, max=highest)
    plan = a_plan(a_target(policy={"bulkhead": {"max_concurrent": highest, "adaptive": adaptive}}))

    limits = [share(plan).targets[0].policy.bulkhead.adaptive for share in shares(of)]

    assert all(one and 1 <= one.min <= one.initial <= one.max for one in limits)
    assert sum(one.max for one in limits if one) == highest


def test_a_budgets_minimum_is_divided_to_the_fraction_and_its_percentage_is_everybodys() -> None:
    plan = a_plan(a_target(policy={"retry": {"budget": Budget(percent=20, min_retries_per_second=10)}}))
    none = a_plan(a_target(policy={"retry": {"budget": None}}))

    assert Share(1, 4)(plan).targets[0].policy.retry.budget == Budget(percent=20, min_retries_per_second=2.5)
    assert Share(1, 4)(none).targets[0].policy.retry.budget is None


def test_one_worker_has_everything_and_a_queue_without_a_bound_keeps_its_quarter_of_each_journal() -> None:
    plan = divided()

    assert Share(0, 1)(plan) is plan
    assert Share(1, 2)(plan).targets[1].policy.queue.max_bytes is None


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (
            divided(concurrent=2),
            r"^spec\.targets\[1\]\.policy\.bulkhead\.maxConcurrent: 2 cannot be divided",
        ),
        (
            a_plan(a_target(policy={"rate_limit": RateLimit(requests=5, per=1.0, burst=2)})),
            r"^spec\.targets\[0\]\.policy\.rateLimit\.burst: 2 cannot",
        ),
        (divided(queue=1), r"^spec\.targets\[1\]\.policy\.queue\.maxBytes: 1 cannot"),
        (
            divided(letters=2),
            r"^spec\.targets\[1\]\.policy\.deadLetter\.maxBytes: 2 cannot .* the 3 .* at least 3,",
        ),
    ],
)
def test_a_target_with_a_limit_that_does_not_go_round_is_held_in_every_worker_with_the_path(
    plan: Plan, sentence: str
) -> None:
    for share in shares(3):
        *others, held = share(plan).targets

        assert (held.held, re.search(sentence, held.held_message or "") is not None) == ("LimitTooSmall", True)
        assert share.why_not(plan) == held.held_message
        assert all(other.held is None for other in others), "what has its share runs on"


def test_of_a_route_that_another_worker_owns_nothing_is_held_so_that_what_is_left_gets_out() -> None:
    plan = divided(concurrent=3)

    limits = [share.of_another(plan).targets[1] for share in shares(4)]

    assert [one.policy.bulkhead.max_concurrent for one in limits] == [1, 1, 1, 1]
    assert {one.held for one in limits} == {None}
    assert Share(0, 1).of_another(plan) is plan


def test_journals_that_were_left_behind_are_named_with_what_has_to_happen() -> None:
    why = Share(0, 2, ("journal-1.db",)).why_not(a_plan(a_target(policy={"bulkhead": {"max_concurrent": 1}})))

    assert why is not None
    assert why.endswith(
        "give at least 2, or start again when no deliveries, dead letters and idempotency keys are left in"
        " journal-1.db, which an earlier start with more workers left behind"
    )


def test_a_target_that_is_held_already_keeps_its_reason() -> None:
    plan = a_plan(a_target(policy={"bulkhead": {"max_concurrent": 1}}, held="ServiceNotFound"))

    assert Share(0, 2)(plan).targets[0].held == "ServiceNotFound"


def test_what_is_not_a_limit_is_the_same_for_everybody() -> None:
    plan = divided()

    first, second = (share(plan) for share in shares(2))

    assert (first.revision, first.path, first.targets[0].url) == (plan.revision, plan.path, plan.targets[0].url)
    assert first.targets[1].policy.timeouts == second.targets[1].policy.timeouts == plan.targets[1].policy.timeouts


@pytest.mark.parametrize(("whole", "parts"), [(None, [None, None, None]), (0, [0, 0, 0]), (4, [2, 1, 1])])
def test_places_in_line_are_divided_also_where_there_are_fewer_than_workers(
    whole: int | None, parts: list[int | None]
) -> None:
    plan = a_plan(a_target(policy={"bulkhead": {"max_queue": whole}}))

    assert [share(plan).targets[0].policy.bulkhead.max_queue for share in shares(3)] == parts
