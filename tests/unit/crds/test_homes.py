"""The hint after an unknown field: where a field of that name belongs, else what looks like it at this level."""

import pytest

from fanout_crds.faults import Invalid
from fanout_crds.route import HOMES, parse
from tests.unit.crds.corpus import Json, changed, good
from tests.unit.crds.test_route import faults_of

TWO: Json = [{"name": name, "url": f"https://{name}.example.com/"} for name in ("billing", "crm")]


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("spec.targets[0].policy.cache", '"cache" belongs to spec.targets[0]'),
        ("spec.targets[0].retry", '"retry" belongs to spec.targets[0].policy'),
        ("spec.targets[0].policy.retry.baseDelay", '"baseDelay" belongs to spec.targets[0].policy.retry.backoff'),
        ("spec.targets[0].maxConcurrent", '"maxConcurrent" belongs to spec.targets[0].policy.bulkhead'),
        ("spec.cache", '"cache" belongs to spec.targets[]'),
        ("spec.retry", '"retry" belongs to spec.defaults.policy or spec.targets[].policy'),
        ("targets", '"targets" belongs to spec'),
        ("spec.apiVersion", "known here: className"),
        ("spec.spec", '"spec" belongs to the document itself'),
    ],
)
def test_a_field_at_the_wrong_level_is_told_the_right_one(at: str, says: str) -> None:
    [found] = faults_of(changed(good(), at, {}))

    assert found.startswith(f"{at}: unknown field; {says}")


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("spec.targets[0].polcy", 'did you mean "policy"?'),
        ("spec.targets[0].depends_on", 'did you mean "dependsOn"?'),
        ("spec.targets[0].policy.retries", 'did you mean "retry"?'),
        ("spec.listen.method", 'did you mean "methods"?'),
        ("spec.targets[0].timeout", 'did you mean "timeouts", which belongs to spec.targets[0].policy?'),
    ],
)
def test_one_that_is_mistyped_is_told_what_it_was_meant_for(at: str, says: str) -> None:
    assert faults_of(changed(good(), at, {})) == [f"{at}: unknown field; {says}"]


def test_what_is_only_a_little_alike_is_not_suggested() -> None:
    """Half the letters of "cache" are in "batch": that was a misleading hint once."""
    [found] = faults_of(changed(good(), "spec.defaults.policy.throttle", {}))

    assert found.startswith("spec.defaults.policy.throttle: unknown field; known here: timeouts, retry, ")


def test_a_field_far_away_is_another_one_of_that_name() -> None:
    assert HOMES.nearest("spec.targets[3]", "orderBy") == ""
    assert HOMES.nearest("spec", "postgresOutbox") == '"postgresOutbox" belongs to spec.sources'


def test_places_in_lists_are_those_of_the_manifest_also_in_an_item_of_a_list() -> None:
    document = changed(good(), "spec.targets", [TWO[0], TWO[1] | {"policy": {"when": "true"}}])

    with pytest.raises(Invalid) as refused:
        parse(document, at="items[1]")

    assert [str(fault) for fault in refused.value.faults] == [
        'items[1].spec.targets[1].policy.when: unknown field; "when" belongs to items[1].spec.targets[1]'
    ]
