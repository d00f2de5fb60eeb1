"""What becomes of a delivery after each way an attempt can end: a row per rule."""

import random
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout_crds import retry
from fanout_crds.builtin import complete
from fanout_crds.policy import Policy
from fanout_dispatcher.policies.decide import DONE, UNASKED, Rules, Standing, decide
from fanout_dispatcher.policies.statuses import statuses
from fanout_dispatcher.values.outcome import Again, Dead, Delivered, Failed, Fault, Outcome, Reason, Refused, Verdict
from tests.support.plans import a_policy, changed

NOW = 1000.0
STEADY: typing.Final = {"backoff": {"jitter": "None"}}  # the first wait is 0.5 s, the second 1 s, …


def standing(attempts: int = 0, *, accepted: float = NOW, probe: bool = False) -> Standing:
    return Standing(attempts=attempts, accepted=accepted, probe=probe, wall=784_111_777.0)


def verdict(outcome: Outcome, at: Standing | None = None, **changes: object) -> Verdict:
    """The default policy's verdict, without jitter and with *changes*."""
    changes["retry"] = STEADY | typing.cast(dict[str, object], changes.get("retry", {}))
    rules = Rules.of(changed(a_policy(), changes))
    return decide(at or standing(), outcome, rules, NOW, random.Random(1))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_success_is_done(status: int) -> None:
    assert verdict(Delivered(status)) is DONE


def test_what_we_chose_not_to_ask_is_due_again_soon_and_spends_nothing() -> None:
    assert verdict(Refused("the plan changed")) == Again(NOW + UNASKED, spent=False)


def test_what_no_request_can_be_made_of_is_dead_and_spends_nothing() -> None:
    unmade = Refused("request.pathExpression: there is no id", Reason.EXPRESSION_FAILED)

    assert verdict(unmade) == Dead(Reason.EXPRESSION_FAILED, "request.pathExpression: there is no id", spent=False)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 506, 520, 599])
def test_these_answers_are_tried_again(status: int) -> None:
    assert verdict(Failed(status=status)) == Again(NOW + 0.5)


@pytest.mark.parametrize(
    "status",
    [
        *(101, 300, 301, 302, 303, 304, 307, 308),
        *(400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451, 499),
        *(501, 505, 600, 999),
    ],
)
def test_these_answers_are_final(status: int) -> None:
    assert verdict(Failed(status=status)) == Dead(Reason.TARGET_REJECTED, f"the target answered {status}")


RETRIED_FAULTS = [Fault.NAME_FAILURE, Fault.CONNECT_FAILURE, Fault.TLS_FAILURE, Fault.RESET, Fault.TIMEOUT]
RETRIED_FAULTS += [Fault.PROTOCOL_ERROR]
FINAL_FAULTS = [Fault.ANSWER_TOO_LARGE, Fault.ADDRESS_REFUSED]


def test_every_fault_has_a_row_below() -> None:
    assert {*RETRIED_FAULTS, *FINAL_FAULTS} == {*Fault}


@pytest.mark.parametrize("fault", RETRIED_FAULTS)
def test_these_faults_are_tried_again(fault: Fault) -> None:
    assert verdict(Failed(fault=fault)) == Again(NOW + 0.5)


@pytest.mark.parametrize("fault", FINAL_FAULTS)
def test_these_faults_are_final_and_say_what_happened(fault: Fault) -> None:
    assert verdict(Failed(fault=fault, detail="over 1 MiB")) == Dead(
        Reason.TARGET_REJECTED, f"{fault.value}: over 1 MiB"
    )


def test_retry_on_is_the_whole_list_of_what_is_tried_again() -> None:
    on = {"on_status": ((404, 404),), "on_fault": ("Reset",)}

    assert type(verdict(Failed(status=404), retry=on)) is Again
    assert type(verdict(Failed(fault=Fault.RESET), retry=on)) is Again
    assert type(verdict(Failed(status=503), retry=on)) is Dead
    assert type(verdict(Failed(fault=Fault.TIMEOUT), retry=on)) is Dead


def test_give_up_on_wins_over_retry_on() -> None:
    found = verdict(Failed(status=503), retry={"give_up_on": ((503, 503),)})

    assert found == Dead(Reason.TARGET_REJECTED, "the target answered 503")


def test_success_on_is_ready_for_whoever_reads_the_answer() -> None:
    """The lane turns such an answer into Delivered before anybody learns from it: a verdict never sees one."""
    rules = Rules.of(a_policy(retry={"success_on": ((409, 409), (304, 304))}))

    assert rules.success == {304, 409}


@pytest.mark.parametrize(
    ("spent_before", "wait"), [(0, 0.5), (1, 1.0), (2, 2.0), (9, 256.0), (10, 300.0), (500, 300.0)]
)
def test_each_attempt_spent_lengthens_the_wait(spent_before: int, wait: float) -> None:
    assert verdict(Failed(status=503), standing(spent_before)) == Again(NOW + wait)


# --- giving up ------------------------------------------------------------------------------------------------------


def test_one_attempt_means_no_retry() -> None:
    found = verdict(Failed(status=503), retry={"max_attempts": 1})

    assert found == Dead(Reason.ATTEMPTS_EXHAUSTED, "1 attempt, the last: the target answered 503")


def test_after_the_last_wait_of_a_schedule_the_attempts_are_exhausted() -> None:
    said = retry.Backoff(type="Schedule", schedule=(5.0, 60.0), jitter="None")
    policy = complete(Policy(retry=retry.Retry(backoff=said)), "Journal")
    rules, failed = Rules.of(policy), Failed(status=503)

    found = [decide(standing(spent), failed, rules, NOW, random.Random(1)) for spent in range(3)]

    assert found[:2] == [Again(NOW + 5.0), Again(NOW + 60.0)]
    assert found[2] == Dead(Reason.ATTEMPTS_EXHAUSTED, "3 attempts, the last: the target answered 503")


@pytest.mark.parametrize(("spent_before", "kind"), [(0, Again), (1, Again), (2, Dead), (7, Dead)])
def test_max_attempts_counts_the_first(spent_before: int, kind: type) -> None:
    assert type(verdict(Failed(status=503), standing(spent_before), retry={"max_attempts": 3})) is kind


def test_a_final_answer_is_a_rejection_even_at_the_last_attempt() -> None:
    found = verdict(Failed(status=404), standing(2), retry={"max_attempts": 3})

    assert type(found) is Dead
    assert found.reason is Reason.TARGET_REJECTED


@pytest.mark.parametrize(("age", "kind"), [(9.4, Again), (9.5, Dead), (9.6, Dead), (100.0, Dead)])
def test_a_retry_that_would_come_after_the_total_time_is_not_waited_for(age: float, kind: type) -> None:
    found = verdict(Failed(status=503), standing(accepted=NOW - age), timeouts={"total": 10.0})

    assert type(found) is kind
    assert type(found) is not Dead or found.reason is Reason.EXPIRED


def test_a_total_of_zero_never_expires() -> None:
    assert verdict(Failed(status=503), standing(accepted=-1e9), timeouts={"total": 0.0}) == Again(NOW + 0.5)


# --- Retry-After ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7.0),
        ("0", 0.5),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("1000000000", 3600.0),
        ("9" * 400, 3600.0),
        ("in a while", 0.5),
        ("-5", 0.5),
    ],
)
def test_the_wait_is_the_longer_of_the_backoff_and_a_capped_retry_after(value: str, wait: float) -> None:
    assert verdict(Failed(status=429, retry_after=value)) == Again(NOW + wait)


def test_a_retry_after_that_is_ignored_changes_nothing() -> None:
    assert verdict(Failed(status=429, retry_after="7"), retry={"retry_after": False}) == Again(NOW + 0.5)


def test_the_cap_of_retry_after_is_the_policys() -> None:
    assert verdict(Failed(status=503, retry_after="3600"), retry={"retry_after_max": 2.0}) == Again(NOW + 2.0)


# --- probes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failed", [Failed(status=503), Failed(status=429), Failed(fault=Fault.TIMEOUT)])
def test_a_failed_probe_spends_no_attempt(failed: Failed) -> None:
    found = verdict(failed, standing(2, probe=True), retry={"max_attempts": 3})

    assert found == Again(NOW, spent=False)


def test_a_failed_probe_still_waits_as_long_as_the_target_asked_for() -> None:
    found = verdict(Failed(status=503, retry_after="120"), standing(probe=True))

    assert found == Again(NOW + 120.0, spent=False)


def test_a_probe_with_a_final_answer_is_final() -> None:
    assert type(verdict(Failed(status=404), standing(probe=True))) is Dead


# --- all of it ------------------------------------------------------------------------------------------------------

outcomes = st.one_of(
    st.builds(Delivered, st.integers(200, 299)),
    st.builds(Failed, status=st.integers(100, 999), retry_after=st.none() | st.text(max_size=12)),
    st.builds(Failed, fault=st.sampled_from(Fault)),
    st.builds(Refused, st.just("closing")),
)


@given(outcome=outcomes, attempts=st.integers(0, 2000), age=st.floats(0, 1e6), probe=st.booleans(), seed=st.integers())
def test_a_verdict_never_points_back_nor_spends_too_much(
    outcome: Outcome, attempts: int, age: float, probe: bool, seed: int
) -> None:
    rules = Rules.of(a_policy(retry={"max_attempts": 1000}))

    found = decide(standing(attempts, accepted=NOW - age, probe=probe), outcome, rules, NOW, random.Random(seed))

    assert (found is DONE) == (type(outcome) is Delivered)
    if type(found) is Again:
        assert found.at >= NOW
        assert not found.spent or (attempts + 1 < 1000 and found.at < NOW - age + rules.total)


FAULTS = tuple(fault.value for fault in Fault)
bands = st.lists(st.sampled_from([(408, 408), (429, 429), (500, 599), (500, 502), (400, 499)]), max_size=3)
retries = st.fixed_dictionaries(
    {
        "max_attempts": st.none() | st.integers(1, 4),
        "on_status": st.just(((408, 408), (500, 599))) | bands.map(tuple),  # mostly some that are tried again
        "give_up_on": bands.map(tuple),
        "on_fault": st.just(FAULTS) | st.lists(st.sampled_from(FAULTS), unique=True).map(tuple),
        "retry_after": st.booleans(),
        "retry_after_max": st.sampled_from([1.0, 60.0]),
        "backoff": st.just({"type": "Constant", "base_delay": 4.0, "jitter": "None"}),
    }
)
failures = st.one_of(
    st.builds(
        Failed, status=st.sampled_from([404, 408, 429, 500, 502, 503, 599]), retry_after=st.sampled_from([None, "30"])
    ),
    st.builds(Failed, fault=st.sampled_from(Fault)),
)


@settings(max_examples=500)
@given(
    failed=failures,
    retry=retries,
    attempts=st.integers(0, 5),
    age=st.sampled_from([0.0, 5.0, 8.0]),
    total=st.sampled_from([0.0, 10.0]),
    probe=st.booleans(),
)
def test_a_failure_is_judged_as_the_api_says(
    failed: Failed, retry: dict[str, typing.Any], attempts: int, age: float, total: float, probe: bool
) -> None:
    """Against docs/api.md read line by line: `on` less `giveUpOn`, the probe, `maxAttempts`, `timeouts.total`."""
    policy = changed(a_policy(), {"retry": retry, "timeouts": {"total": total}})
    found = decide(standing(attempts, accepted=NOW - age, probe=probe), failed, Rules.of(policy), NOW, random.Random(1))

    def listed(bands: tuple[tuple[int, int], ...]) -> bool:
        return any(first <= (failed.status or 0) <= last for first, last in bands)

    by_status = listed(retry["on_status"]) and not listed(retry["give_up_on"])
    again = by_status if failed.fault is None else failed.fault.value in retry["on_fault"]
    asked = min(30.0, retry["retry_after_max"]) if failed.retry_after and retry["retry_after"] else 0.0
    at = NOW + (asked if probe else max(4.0, asked))
    expected: tuple[object, ...] = (Again, at, not probe)
    if not again:
        expected = (Dead, Reason.TARGET_REJECTED, True)
    elif not probe and attempts + 1 >= (retry["max_attempts"] or 1_000):
        expected = (Dead, Reason.ATTEMPTS_EXHAUSTED, True)
    elif not probe and total and at >= NOW - age + total:
        expected = (Dead, Reason.EXPIRED, True)

    said = found.at if isinstance(found, Again) else found.reason if isinstance(found, Dead) else None
    assert (type(found), said, getattr(found, "spent", None)) == expected


def test_ranges_of_statuses_include_both_ends() -> None:
    assert statuses(((429, 429), (500, 503))) == {429, 500, 501, 502, 503}
