"""The reference for readers: every field has its row, every link its section, and nothing is lost in Markdown."""

import re
import typing

import pytest

from fanout_crds import apidocs
from fanout_crds.breaker import CircuitBreaker
from fanout_crds.faults import Faults
from fanout_crds.kinds import Duration, Integer, Kind, Schema
from fanout_crds.objects import Field, fields
from fanout_crds.policy import Adaptive, Bulkhead, RateLimit, Timeouts
from fanout_crds.retry import Backoff, Budget, RetryAfter
from fanout_crds.route import SPEC

PAGE = apidocs.text()


def keys(schema: typing.Any) -> typing.Iterator[str]:
    """Give every field name of a schema."""
    for key, inner in schema.get("properties", {}).items():
        yield key
        yield from keys(inner)
    if "items" in schema:
        yield from keys(schema["items"])


def test_every_field_of_the_schema_has_a_row() -> None:
    rows = {match[1] for match in re.finditer(r"^\| \[?`(\w+)`.* \| .+ \| .+ \|$", PAGE, re.MULTILINE)}

    assert set(keys(SPEC.schema())) == rows


def told() -> typing.Iterator[tuple[str, Field]]:
    """Give every field of the spec once, with its object's name."""
    for struct in apidocs._places():
        for field in fields(struct).values():
            yield f"{struct.__name__}.{field.key}", field


def test_every_field_that_may_be_left_out_tells_what_that_means() -> None:
    assert [at for at, field in told() if not field.required and "Unset" not in field.says] == []


def test_every_field_that_may_be_zero_tells_what_that_means() -> None:
    """Of whole numbers and durations; a size of zero is refused, and so is a rate."""

    def may_be_zero(kind: Kind) -> bool:
        return (isinstance(kind, Duration) and kind.zero) or (isinstance(kind, Integer) and kind.least == 0)

    assert [at for at, field in told() if may_be_zero(field.kind) and not re.search(r"\b0s?\b", field.says)] == []


def test_a_policys_parts_name_the_source_of_their_meaning() -> None:
    parts = (Timeouts, Backoff, RetryAfter, Budget, CircuitBreaker, Bulkhead, Adaptive, RateLimit)
    named = re.compile(r"Source: |RFC |Netflix")

    assert [part.__name__ for part in parts if not named.search(part.__doc__ or "")] == []


def test_every_link_leads_to_a_section_and_every_section_stands_once() -> None:
    headings = [heading.lower() for heading in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)]
    anchors = [re.sub(r"[^a-z0-9]", "", heading) for heading in headings]

    assert set(re.findall(r"\(#(\w+)\)", PAGE)) <= set(anchors)
    assert len(set(anchors)) == len(anchors)


def test_a_policy_is_told_once_with_the_places_where_it_stands() -> None:
    assert "It stands at `spec.defaults.policy`, `spec.targets[].policy`." in PAGE
    assert PAGE.count("| `maxAttempts` |") == 1
    assert "\n## policy.circuitBreaker.halfOpen\n" in PAGE


def test_no_paragraph_is_taken_for_code() -> None:
    assert [line for line in PAGE.splitlines() if line.startswith("    ")] == []


def test_nothing_is_swallowed_as_html() -> None:
    prose = re.sub(r"<!--.*?-->|`[^`]*`", "", PAGE)

    assert "&lt;namespace>" in prose
    assert "<" not in prose


def test_a_kind_without_words_is_refused_so_that_nobody_forgets_it() -> None:
    class Odd:
        def schema(self) -> Schema:
            return {}

        def read(self, value: object, path: str, faults: Faults) -> object:
            return value

    with pytest.raises(TypeError, match="no words for"):
        apidocs._words(Odd())
