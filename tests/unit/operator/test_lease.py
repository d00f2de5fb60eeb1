"""The rules of election: who may write the Lease, and from when until when its writer leads."""

import itertools
from typing import Any

import pytest

from fanout_operator.kube import Document
from fanout_operator.lease import BadTerms, Election, Place, Terms

TERMS = Terms(duration=10.0, deadline=7.0, retry=2.0)


def candidate(identity: str = "a") -> Election:
    clock = itertools.count(1)
    place = Place(namespace="fanout", name="fanout-operator", identity=identity)
    return Election(place, TERMS, lambda: f"2026-01-01T00:00:{next(clock):02}.000000Z")


def held(by: str = "b", version: int = 1, **spec: Any) -> Document:
    metadata = {"namespace": "fanout", "name": "fanout-operator", "resourceVersion": str(version), "uid": "u"}
    times = {"acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": f"2026-01-01T00:01:{version:02}.000000Z"}
    common = {"holderIdentity": by, "leaseDurationSeconds": 10, "leaseTransitions": 3}
    return {"metadata": metadata, "spec": {**common, **times, **spec}}


def test_the_first_candidate_makes_the_lease() -> None:
    election = candidate()
    election.see(None, now=0.0)
    lease = election.claim(now=0.0)

    assert lease == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": "fanout", "name": "fanout-operator"},
        "spec": {
            "holderIdentity": "a",
            "leaseDurationSeconds": 10,
            "acquireTime": "2026-01-01T00:00:01.000000Z",
            "renewTime": "2026-01-01T00:00:01.000000Z",
            "leaseTransitions": 0,
        },
    }
    assert not election.leads(now=0.0), "nobody leads on an answer that has not come"


def test_a_lease_that_another_holds_is_left_alone_until_its_holder_was_silent_for_long_enough() -> None:
    election = candidate()
    election.see(held(version=1), now=100.0)
    election.see(held(version=2), now=102.0)
    election.see(held(version=2), now=111.0)

    assert election.claim(now=111.9) is None
    lease = election.claim(now=112.0)
    assert lease
    assert lease["metadata"]["resourceVersion"] == "2", "so that of two who write at once one is refused"
    assert lease["spec"]["leaseTransitions"] == 4


@pytest.mark.parametrize("renewed", ["2025-12-31T23:00:00.000000Z", "2026-01-01T01:00:00.000000Z", None])
def test_the_clock_of_the_holder_does_not_matter(renewed: str | None) -> None:
    election = candidate()
    election.see(held(renewTime=renewed), now=0.0)

    assert election.claim(now=9.9) is None
    assert election.claim(now=10.0) is not None


def test_a_holder_is_believed_for_as_long_as_it_promised_itself() -> None:
    election = candidate()
    election.see(held(leaseDurationSeconds=60), now=0.0)

    assert election.claim(now=59.0) is None
    assert election.claim(now=60.0) is not None


def test_what_somebody_else_writes_on_the_lease_is_no_sign_of_its_holder() -> None:
    election = candidate()
    election.see(held(version=1), now=0.0)
    annotated = held(version=1)
    annotated["metadata"] |= {"resourceVersion": "2", "annotations": {"note": "?"}}
    election.see(annotated, now=5.0)

    assert election.claim(now=10.0) is not None


def test_a_leader_leads_from_the_answer_on_and_counts_from_before_it_asked() -> None:
    election = candidate()
    election.see(None, now=0.0)
    election.granted(held("a"), asked_at=1.0, now=4.0)

    assert election.leads(now=4.0)
    assert election.leads(now=1.0 + TERMS.deadline - 0.01)
    assert not election.leads(now=1.0 + TERMS.deadline)


def test_a_renewal_keeps_what_tells_people_since_when() -> None:
    election = candidate()
    election.granted(held("a"), asked_at=0.0, now=0.0)
    lease = election.claim(now=2.0)

    assert lease
    assert lease["spec"]["acquireTime"] == held()["spec"]["acquireTime"]
    assert lease["spec"]["leaseTransitions"] == 3
    assert lease["spec"]["renewTime"] != held()["spec"]["renewTime"]


def test_who_sees_that_another_holds_it_does_not_lead() -> None:
    election = candidate()
    election.granted(held("a"), asked_at=0.0, now=0.0)
    election.see(held("b", version=2), now=1.0)

    assert not election.leads(now=1.0)
    assert election.claim(now=1.0) is None


def test_a_lease_that_vanished_still_binds_because_its_holder_cannot_know_yet() -> None:
    election = candidate()
    election.see(held(), now=0.0)
    election.see(None, now=5.0)

    assert election.claim(now=5.0) is None
    lease = election.claim(now=10.0)
    assert lease
    assert "resourceVersion" not in lease["metadata"], "it is made anew"


def test_a_released_lease_is_free_at_once() -> None:
    leader, other = candidate("a"), candidate("b")
    leader.granted(held("a"), asked_at=0.0, now=0.0)
    lease = leader.resign()
    other.see(held("a"), now=0.0)
    other.see(lease, now=1.0)

    assert not leader.leads(now=0.0)
    assert lease["spec"]["leaseTransitions"] == 3
    assert other.claim(now=1.0) is not None


def test_a_container_that_was_restarted_in_its_pod_goes_on_with_its_own_lease() -> None:
    election = candidate("a")
    election.see(held("a"), now=0.0)

    assert not election.leads(now=0.0)
    assert election.claim(now=0.0) is not None


def test_a_standby_wakes_when_the_lease_runs_out_and_looks_often_enough_before() -> None:
    election = candidate()
    election.see(held(), now=0.0)

    assert election.pause(now=0.0, chance=0.0) == TERMS.retry
    assert election.pause(now=9.5, chance=0.0) == 0.5
    assert election.pause(now=11.0, chance=0.0) == TERMS.retry, "a claim that failed is not tried again at once"


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"deadline": 8.0}, "renew deadline must be less than the lease's duration 8s"),
        ({"retry": 7.0}, "retry period must be above 0s and less than the renew deadline 7s, got 7s"),
        ({"retry": 0.0}, "retry period must be above 0s"),
        ({"duration": 9.5}, "whole seconds, from 1s to 300s, got 9.5s"),
        ({"duration": 301.0}, "whole seconds, from 1s to 300s, got 301s"),
    ],
)
def test_terms_under_which_two_could_lead_are_refused(terms: dict[str, float], says: str) -> None:
    with pytest.raises(BadTerms, match=says):
        Terms(**terms)
