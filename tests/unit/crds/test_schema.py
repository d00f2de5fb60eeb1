"""What the CRD promises to the API server and to people, whatever fields it has."""

import json
import re
from collections.abc import Iterator
from typing import Any

from fanout_crds import generate
from fanout_crds.rules import ordered, validations
from fanout_crds.schema import crd

LIMIT = 262_144  # bytes of an annotation: what `kubectl apply` can hold


def version() -> dict[str, Any]:
    spec: Any = crd()["spec"]
    return dict(spec["versions"][0])


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, one in schema.get("properties", {}).items():
        yield from schemas(one, f"{path}.{name}")
    if "items" in schema:
        yield from schemas(schema["items"], f"{path}[]")


def every(schema: dict[str, Any] | None = None) -> list[tuple[str, dict[str, Any]]]:
    return list(schemas(schema or version()["schema"]["openAPIV3Schema"]))


def test_the_file_is_what_the_types_say() -> None:
    assert generate.FILE.read_text(encoding="utf-8") == generate.text(), "run `make crd`"


def test_it_fits_into_an_annotation_with_room_to_spare() -> None:
    assert len(json.dumps(crd())) < LIMIT * 3 / 4


def test_nothing_in_a_policy_has_a_default_which_would_mask_what_is_inherited() -> None:
    masked = [path for path, schema in every() if ".policy" in path and "default" in schema]

    assert masked == []


def test_defaults_stand_where_they_mask_nothing() -> None:
    found = [path for path, schema in every() if "default" in schema]

    outbox = [path for path in found if path.startswith(".spec.sources.postgresOutbox.")]  # nothing inherits these
    assert [path for path in found if path not in outbox] == [
        ".spec.className",
        ".spec.suspend",
        ".spec.durability",
        ".spec.respond.mode",
        ".status",
    ]


def test_every_list_has_an_end_and_a_way_to_merge() -> None:
    lists = [(path, schema) for path, schema in every() if schema.get("type") == "array"]

    assert [path for path, one in lists if "maxItems" not in one or "x-kubernetes-list-type" not in one] == []
    assert {path for path, one in lists if one["x-kubernetes-list-type"] == "map"} == {
        ".spec.targets",
        ".spec.targets[].request.headers",
        ".spec.targets[].compensate.request.headers",
        ".spec.targets[].fallback.static.headers",
        ".spec.targets[].fallback.target.request.headers",
        ".spec.finally",
        ".spec.finally[].request.headers",
        ".spec.respond.headers",
        ".status.conditions",
        ".status.targets",
    }


def test_every_text_has_an_end() -> None:
    texts = [(path, one) for path, one in every() if one.get("type") == "string" or "x-kubernetes-int-or-string" in one]

    assert len(texts) > 50
    assert [path for path, one in texts if not {"maxLength", "enum", "format"} & one.keys()] == []


def test_every_field_tells_what_it_means() -> None:
    fields = [(path, one) for path, one in every() if path.startswith((".spec", ".status")) and not path.endswith("[]")]

    silent = [path for path, one in fields if not one.get("description", "").endswith((".", ")"))]
    explained = re.compile(
        r"\.spec\.(targets\[\]\.(compensate|fallback\.target)|finally\[\])\.(service|request|authentication|tls|policy)\."
    )
    assert [path for path in silent if not explained.match(path)] == [], "what is the same for a target is told there"


def test_every_optional_field_of_a_policy_tells_what_unset_means() -> None:
    policy = version()["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["defaults"]["properties"][
        "policy"
    ]
    values = [(path, one) for path, one in every(policy) if "properties" not in one and not path.endswith("[]")]

    assert [path for path, one in values if "Unset: " not in one["description"]] == []


def test_every_rule_has_a_sentence() -> None:
    rules = [rule for _, one in every() for rule in one.get("x-kubernetes-validations", [])]

    assert len(rules) > 30
    assert all(rule["message"] and "\n" not in rule["message"] for rule in rules)


def test_a_rule_is_told_at_the_field_to_mend() -> None:
    spec = dict(every())[".spec"]
    told = {rule.get("fieldPath") for rule in spec["x-kubernetes-validations"]}

    assert told == {
        ".accept.batches",
        ".accept.idempotency",
        ".defaults.policy.bulkhead.maxQueue",
        ".durability",
        ".listen.methods",
        ".listen.path",
        ".respond.quorum",
        ".respond.waitFor",
        ".targets",
    }
    assert validations([ordered("min", "max", "…")])["x-kubernetes-validations"] == [
        {"rule": "!has(self.min) || !has(self.max) || self.min <= self.max", "message": "…", "fieldPath": ".min"}
    ]


def test_get_shows_the_columns_of_the_design() -> None:
    columns = version()["additionalPrinterColumns"]

    assert [one["name"] for one in columns if "priority" not in one] == [
        "READY",
        "REASON",
        "HEALTHY",
        "TARGETS",
        "PENDING",
        "DEAD",
        "AGE",
    ]
    assert [one["name"] for one in columns if one.get("priority") == 1] == ["URL", "OPEN"]


def test_a_new_route_waits_for_the_operator_and_says_so_in_the_condition_that_tools_go_by() -> None:
    default = version()["schema"]["openAPIV3Schema"]["properties"]["status"]["default"]

    assert [(one["type"], one["status"], one["reason"]) for one in default["conditions"]] == [
        ("Accepted", "Unknown", "Pending"),
        ("Ready", "Unknown", "Pending"),
    ]


def test_explain_tells_units_the_story_of_an_object_and_the_rules_between_its_fields() -> None:
    policy = version()["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["defaults"]["properties"][
        "policy"
    ]
    said = {path: one.get("description", "") for path, one in every(policy)}

    assert said[".timeouts.attempt"].endswith("A duration such as 250ms, 30s or 1h30m.")
    assert said[".queue.maxBytes"].endswith("A size such as 4096 (bytes), 64Ki or 1Gi.")
    assert said[".retry.successOn"].endswith("Each a status such as 429 or a class such as 5xx.")
    assert "First attempts never wait for it." in said[".retry.budget"]
    assert "- baseDelay must not be longer than maxDelay." in said[".retry.backoff"].splitlines()
