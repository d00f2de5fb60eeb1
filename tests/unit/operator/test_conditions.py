"""From finding and view to conditions: one test per reason."""

import msgspec
import pytest

from fanout_crds.references import Unresolved
from fanout_crds.report import RouteReport, SourceReport, TargetReport
from fanout_operator import reasons
from fanout_operator.conditions import (
    Condition,
    Finding,
    InForce,
    coarse,
    conditions,
    programmed_generation,
    stalled,
    summed,
)
from fanout_operator.fleet import View
from fanout_operator.reasons import say

GOOD = Finding(uid="u", generation=2, objection=None, targets=("crm",), path="/shop/orders", in_force=InForce("r2", 2))
NOBODY = View(complete=True)


def runs(revision: str = "r2", refused: str | None = None, generation: int = 2, **target: object) -> RouteReport:
    targets = (TargetReport(name="crm", **target),)  # type: ignore[arg-type]
    return RouteReport(route="shop/orders", revision=revision, generation=generation, refused=refused, targets=targets)


def fetches(held: str | None, **target: object) -> RouteReport:
    source = SourceReport(name="postgresOutbox", held=held, last_error="the database is away" if held else None)
    return msgspec.structs.replace(runs(**target), source=source)  # type: ignore[arg-type]


def view(*reports: RouteReport | None, silent: tuple[str, ...] = ()) -> View:
    return View(complete=True, silent=silent, reports=tuple((f"d{n}", one) for n, one in enumerate(reports)))


def lacking(last: RouteReport, *reports: RouteReport, silent: tuple[str, ...] = ()) -> View:
    """A fleet in which one is absent, and what it said last."""
    return msgspec.structs.replace(view(*reports, silent=silent), remembered=(("d9", last),))


def said(finding: Finding, seen: View) -> dict[str, str]:
    return {one.type: f"{one.status}/{one.reason}" for one in conditions(finding, seen)}


def test_all_is_well() -> None:
    assert said(GOOD, view(runs(), runs())) == {
        "Accepted": "True/Accepted",
        "ResolvedRefs": "True/ResolvedRefs",
        "Programmed": "True/Programmed",
        "Ready": "True/Ready",
        "Healthy": "True/Healthy",
    }


@pytest.mark.parametrize(
    ("seen", "programmed"),
    [
        (NOBODY, "Unknown/NoDispatcher"),
        (view(None), "False/Waiting"),
        (view(runs("r1")), "False/Waiting"),
        (view(runs(), runs("r1")), "False/Waiting"),
        (view(runs(), runs("r1", refused="too new")), "False/PlanRefused"),
        (view(runs("r2", refused="an older complaint")), "True/Programmed"),
        (view(runs(), silent=("d9",)), "Unknown/DispatcherSilent"),
        (view(silent=("d9",)), "Unknown/DispatcherSilent"),
        (view(runs("r1"), silent=("d9",)), "False/Waiting"),
    ],
)
def test_programmed_says_what_is_known_of_every_dispatcher_and_ready_follows(seen: View, programmed: str) -> None:
    found = said(GOOD, seen)

    assert found["Programmed"] == programmed
    assert found["Ready"] == programmed.replace("True/Programmed", "True/Ready")


@pytest.mark.parametrize(
    ("seen", "healthy"),
    [
        (NOBODY, "Unknown/NoDispatcher"),
        (view(runs(), runs(circuit="Open")), "False/CircuitOpen"),
        (view(runs(circuit="HalfOpen")), "True/Healthy"),
        (view(runs(circuit="Open", dry_run=True)), "True/Healthy"),
        (view(runs(circuit="Open", dry_run=True), runs(circuit="Open")), "False/CircuitOpen"),
        (view(runs(dead_letters=1)), "False/DeadLetters"),
        (view(runs(circuit="Open", dead_letters=1)), "False/CircuitOpen"),
        (view(runs(), runs(stuck=2)), "False/SagaStuck"),
        (view(runs(circuit="Open", dead_letters=1, stuck=1)), "False/SagaStuck"),
        (view(runs(), fetches("ConnectFailure")), "False/SourceFailed"),
        (view(fetches("ConnectFailure", dead_letters=1)), "False/SourceFailed"),
        (view(fetches("QueueFull")), "True/Healthy"),  # it waits, as producers do
        (view(fetches("SecretNotFound")), "True/Healthy"),  # ResolvedRefs tells it
        (view(fetches(None)), "True/Healthy"),
        (view(runs(), silent=("d9",)), "Unknown/DispatcherSilent"),
        (lacking(runs(dead_letters=1)), "False/DeadLetters"),  # they lie in its journal all the same
        (lacking(runs(stuck=1), runs()), "False/SagaStuck"),
        (lacking(runs(dead_letters=1), runs(), silent=("d9",)), "False/DeadLetters"),
        (lacking(runs(circuit="Open"), silent=("d9",)), "Unknown/DispatcherSilent"),  # it may have closed by now
        (lacking(runs(circuit="Open")), "Unknown/NoDispatcher"),
        (lacking(runs(circuit="Open"), runs()), "True/Healthy"),
    ],
)
def test_healthy_says_what_waits_for_people_and_ready_does_not_follow(seen: View, healthy: str) -> None:
    assert said(GOOD, seen)["Healthy"] == healthy


KEYED = msgspec.structs.replace(GOOD, keyed=("accept.idempotency", "ordering of target crm"))


@pytest.mark.parametrize(
    ("finding", "seen", "healthy"),
    [
        (KEYED, view(runs(), runs()), "False/KeyedPerReplica"),
        (KEYED, view(runs("r1"), runs("r0")), "False/KeyedPerReplica"),  # whichever revision: events come to both
        (KEYED, view(runs()), "True/Healthy"),
        (KEYED, view(runs(), None), "True/Healthy"),
        (KEYED, view(runs(), runs("", refused="too new")), "True/Healthy"),
        (KEYED, lacking(runs(pending=1), runs()), "True/Healthy"),
        (KEYED, view(runs(), runs(dead_letters=1)), "False/DeadLetters"),
        (GOOD, view(runs(), runs()), "True/Healthy"),
    ],
)
def test_what_is_keyed_is_told_where_more_than_one_dispatcher_runs_it(
    finding: Finding, seen: View, healthy: str
) -> None:
    assert said(finding, seen)["Healthy"] == healthy


def test_what_is_keyed_is_told_by_its_fields_and_ready_does_not_follow() -> None:
    found = {one.type: one for one in conditions(KEYED, view(runs(), runs()))}

    assert found["Healthy"].message == (
        "each of 2 dispatchers keeps for itself, so that it does not hold across them:"
        " accept.idempotency, ordering of target crm"
    )
    assert found["Ready"].status == "True"


def test_healthy_says_whose_last_words_are_counted_in_and_for_how_long() -> None:
    quiet, busy = (conditions(GOOD, lacking(runs(pending=pending), runs()))[-1].message for pending in (0, 5))

    assert quiet == say("Healthy").message
    assert busy == f"{quiet}; counters include what d9 said last, until it is heard again or not ready for 60 minutes"


def test_a_sentence_about_last_words_fits_too() -> None:
    many = tuple(f"{number}-{'x' * 300}" for number in range(5))
    view_ = msgspec.structs.replace(view(runs()), remembered=tuple((name, runs(pending=1)) for name in many))

    assert len(conditions(GOOD, view_)[-1].message) == reasons.LONGEST


def test_that_another_installation_serves_it_too_waits_for_a_person_and_is_told_before_what_passes() -> None:
    twice = msgspec.structs.replace(GOOD, rival="b/fanout-report")

    assert said(twice, view(runs(circuit="Open")))["Healthy"] == "False/ClassContested"
    assert said(twice, view(runs(stuck=1)))["Healthy"] == "False/SagaStuck"
    assert said(twice, view(runs()))["Ready"] == "True/Ready"


def test_a_refusal_names_everybody_who_says_the_same_so_that_each_can_be_upgraded() -> None:
    seen = view(runs("r1", refused="too old"), runs(), runs("", refused="too old"), runs("r1", refused="too small"))
    (said,) = (one for one in conditions(GOOD, seen) if one.type == "Programmed")

    assert said.message == "d0, d2 refused this revision: too old"


def test_a_service_with_nobody_there_resolves_with_a_warning_and_what_does_not_resolve_is_told_first() -> None:
    nobody = msgspec.structs.replace(GOOD, without_endpoints=(("crm", "shop/crm"),))
    missing = (("mail", Unresolved("SecretNotFound", "there is no Secret shop/mail")),)
    found = {one.type: one for one in conditions(nobody, view(runs()))}
    both = said(msgspec.structs.replace(nobody, unresolved=missing), view(runs()))

    assert found["ResolvedRefs"].message == (
        "all references resolve, but no endpoint is ready for target crm (Service shop/crm)"
    )
    assert (found["ResolvedRefs"].status, found["ResolvedRefs"].reason) == ("True", "NoReadyEndpoints")
    assert (found["Ready"].status, found["Ready"].reason) == ("True", "Ready")
    assert both["ResolvedRefs"] == "False/SecretNotFound"


def test_what_will_surprise_is_said_of_a_route_that_is_accepted_all_the_same() -> None:
    cautioned = msgspec.structs.replace(GOOD, cautions=("spec.a: ask first", "spec.b: ask too"))
    found = {one.type: one for one in conditions(cautioned, view(runs()))}

    assert (found["Accepted"].status, found["Accepted"].reason) == ("True", "Cautioned")
    assert found["Accepted"].message == "the spec is understood, and may surprise: spec.a: ask first; spec.b: ask too"
    assert (found["Ready"].status, found["Ready"].reason) == ("True", "Ready")


def test_an_objection_keeps_the_last_good_plan_and_says_which() -> None:
    objected = Finding(
        uid="u", generation=3, objection=say("PathContested", path="/x", holder="a/b"), in_force=InForce("r2", 2)
    )
    found = {one.type: one for one in conditions(objected, view(runs()))}

    assert found["Accepted"].reason == found["Ready"].reason == "PathContested"
    assert found["Programmed"].reason == "LastGoodPlan"
    assert "generation 2" in found["Programmed"].message
    assert found["ResolvedRefs"].status == "Unknown"


def test_an_objection_without_an_earlier_plan_programs_nothing() -> None:
    objected = Finding(uid="u", generation=1, objection=say("Invalid", faults="spec.targets: is required"))

    assert said(objected, view(None))["Programmed"] == "False/NoPlan"


def test_unresolved_references_are_all_told_with_their_targets() -> None:
    why = (
        ("crm", Unresolved("ServiceNotFound", "there is no Service shop/crm")),
        ("mail", Unresolved("SecretNotFound", "there is no Secret shop/mail")),
    )
    found = conditions(
        Finding(uid="u", generation=2, objection=None, unresolved=why, in_force=InForce("r2", 2)), view(runs())
    )

    assert found[1] == Condition(
        "ResolvedRefs",
        "False",
        "ServiceNotFound",
        "target crm: there is no Service shop/crm; target mail: there is no Secret shop/mail",
    )


@pytest.mark.parametrize(
    ("finding", "seen", "reasons"),
    [
        (Finding(uid="u", generation=3, objection=say("Invalid", faults="no")), view(runs()), ["Invalid"]),
        (GOOD, view(runs("r1", refused="too new")), ["PlanRefused"]),
        (GOOD, view(runs("r1")), []),
        (GOOD, NOBODY, []),
        (GOOD, view(runs(circuit="Open")), []),
        (msgspec.structs.replace(GOOD, unresolved=(("crm", Unresolved("ServiceNotFound", "")),)), view(runs()), []),
    ],
    ids=["refused by us", "refused by a dispatcher", "not yet there", "no dispatcher", "open circuit", "held"],
)
def test_only_what_a_person_has_to_change_stalls_a_route(finding: Finding, seen: View, reasons: list[str]) -> None:
    said = stalled(conditions(finding, seen))

    assert [one.reason for one in said] == reasons
    assert all((one.type, one.status) == ("Stalled", "True") for one in said)


def test_targets_are_summed_over_dispatchers_and_the_worst_circuit_is_told() -> None:
    first = runs(circuit="Closed", pending=2, dead_letters=1)
    second = runs(circuit="HalfOpen", pending=3, last_error="connect failed")

    assert summed(view(first, None, second)) == (
        TargetReport(name="crm", circuit="HalfOpen", pending=5, dead_letters=1, last_error="connect failed"),
    )


def test_a_circuits_word_that_only_a_newer_dispatcher_knows_is_told_as_unknown() -> None:
    assert [one.circuit for one in summed(view(runs(circuit="Bent")))] == ["Unknown"]
    assert [one.circuit for one in summed(view(runs(circuit="Bent"), runs(circuit="Closed")))] == ["Closed"]


@pytest.mark.parametrize(
    ("seen", "generation"),
    [
        (view(runs(generation=3)), 3),
        (view(runs(generation=3), runs(generation=2)), 2),
        (view(runs(generation=3), None), None),
        (view(runs(generation=3), runs("", refused="format 9", generation=0)), None),
        (view(runs(generation=3), silent=("d9",)), None),
        (view(), None),
    ],
    ids=["all", "one behind", "one runs nothing", "one refused its first", "one is silent", "nobody"],
)
def test_the_programmed_generation_is_one_that_every_ready_dispatcher_runs(seen: View, generation: int | None) -> None:
    assert programmed_generation(seen) == generation


@pytest.mark.parametrize(("count", "told"), [(0, 0), (7, 7), (99, 99), (123, 120), (98765, 98000)])
def test_counts_are_coarse_but_nothing_and_something_never_look_alike(count: int, told: int) -> None:
    assert coarse(count) == told


def test_a_reason_is_a_word_and_its_sentence_fits() -> None:
    long = say("Invalid", faults="x" * 5000)

    assert all(reason.isalpha() and reason[0].isupper() for reason in reasons.REASONS)
    assert len(long.message) == reasons.LONGEST
