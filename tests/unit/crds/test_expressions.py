"""Expressions: what compiles, what is said of the rest, what is read, what it may cost, and values for events."""

import pathlib
import re
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds import expressions
from fanout_crds.expressions import ANSWER_BODY, KEY, WHEN, Failed, Scope, Unusable, activate, limits, reading, runtime
from fanout_crds.expressions.sentences import FUNCTIONS

ANY = Scope(gives="any value")
STRING = Scope(gives="a string")
NUL = "the data it reads hold a NUL character, which expressions cannot take"


def value(text: str, data: object = None, scope: Scope = ANY, **event: str) -> object:
    expression = expressions.compile(text, scope)
    given = {"event": {"type": "order.placed", **event}, "headers": {"x-shop": "7", "x-other": "not read"}}
    return expression.value(activate(expression.reads, {"data": data, "targets": {}, "path": {}, "query": {}} | given))


# --- what does not compile --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("event.type == 'a' && ", "at 1:22: it ends too early"),
        ("evnt.type == 'a'", 'at 1:1: unknown name evnt; did you mean "event"?'),
        ("data.x > 1\n && evnt.y", 'at 2:5: unknown name evnt; did you mean "event"?'),
        ("'ä' == evnt", 'at 1:8: unknown name evnt; did you mean "event"?'),
        ("data.a.startWith('x')", 'at 1:8: unknown function startWith; did you mean "startsWith"?'),
        ("foo(1)", "at 1:1: unknown function foo; no known name is near it"),
        ("1 + 'a' == 2", "at 1:3: + does not take (int, string): convert with int(), double() or string()"),
        ("size(1) == 1", "at 1:5: size does not take (int)"),
        ("data.a ? 1 : 'b'", "at 1:8: ? : does not take (dyn, int, string): write dyn() around one of the two results"),
        (
            "has(query.a) ? query.a : null",
            "at 1:14: ? : does not take (bool, string, null): write dyn() around one of the two results",
        ),
        ("query.a ? 1 : 2", "at 1:9: ? : does not take (string, int, int): its condition must be true or false"),
        ("((1)", "at 1:5: syntax error at ')'"),
        ("data.a @ 1", "at 1:8: syntax error at '@'"),
        ("data.total", None),
        ("1 + 1", "must give true or false, it gives an int"),
        ("event.type", "must give true or false, it gives a string"),
        (
            "+".join("1" * 60) + " == 60",
            "nested more than 32 levels deep: a chain of + or of fields counts a level each",
        ),
        ("'" + "x" * 2100 + "' == ''", "must not be longer than 2048 characters, it has 2108"),
        ("headers.all(name, true)", 'headers are read one by one and by name, such as headers["x-shop"]'),
        ("headers['X-Shop'] == ''", 'header names are in lower case here: write headers["x-shop"]'),
        (
            "headers.cookie == ''",
            "the header cookie is not at hand: it is a credential, the connection's, or Fanout's own",
        ),
        ("headers['ce-id'] == ''", 'the header ce-id is an attribute of the event: write event["id"]'),
        (
            "data.a.all(a, a.all(b, b.all(c, c.all(d, d))))",
            "loops (all, exists, map, filter …) are nested more than 3 deep",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_its_position_and_the_nearest_name(text: str, says: str | None) -> None:
    if says is None:
        assert expressions.compile(text, WHEN).text == text
        return
    with pytest.raises(Unusable) as refused:
        expressions.compile(text, WHEN)

    assert str(refused.value) == says


def test_where_no_target_has_answered_yet_none_is_at_hand() -> None:
    with pytest.raises(Unusable) as refused:
        expressions.compile("targets.a.body", KEY)

    assert str(refused.value) == "targets is not at hand: no target has answered yet when an event is accepted"


def documented() -> list[str]:
    """Every function and macro that docs/expressions.md names under Functions."""
    page = (pathlib.Path(__file__).parents[3] / "docs" / "expressions.md").read_text(encoding="utf-8")
    section = page.partition("\n## Functions\n")[2].partition("\n## ")[0].partition("\nas in `")[0]
    words = " ".join(re.findall(r"`([^`]*)`", section.partition("; the macros ")[2])).split()
    return [word for word in words if word.isidentifier()]


USES: typing.Final = {
    "has": "has(data.a)",
    "all": "[1].all(x, x > 0)",
    "exists": "[1].exists(x, x > 0)",
    "exists_one": "[1].exists_one(x, x > 0)",
    "map": "[1].map(x, x + 1)",
    "filter": "[1].filter(x, x > 1)",
    "int": "int('7')",
    "uint": "uint(7)",
    "double": "double('1.5')",
    "string": "string(7)",
    "bool": "bool('true')",
    "bytes": "bytes('a')",
    "timestamp": "timestamp('2026-01-31T00:00:00Z')",
    "duration": "duration('90s')",
    "dyn": "dyn(7)",
    "type": "type(7) == int",
    "size": "size('ab')",
    "matches": "'ab'.matches('^a')",
    "contains": "'ab'.contains('a')",
    "startsWith": "'ab'.startsWith('a')",
    "endsWith": "'ab'.endsWith('b')",
    "charAt": "'ab'.charAt(1)",
    "indexOf": "'ab'.indexOf('b')",
    "lastIndexOf": "'aa'.lastIndexOf('a')",
    "join": "['a', 'b'].join('-')",
    "split": "'a-b'.split('-')",
    "replace": "'ab'.replace('a', 'b')",
    "substring": "'ab'.substring(1)",
    "lowerAscii": "'A'.lowerAscii()",
    "upperAscii": "'a'.upperAscii()",
    "trim": "' a '.trim()",
    "reverse": "'ab'.reverse()",
    "format": "'%d'.format([7])",
} | {
    f"get{part}": f"timestamp('2026-01-31T00:00:00Z').get{part}()"
    for part in ("FullYear", "Month", "Date", "DayOfWeek", "DayOfMonth", "DayOfYear", "Hours", "Minutes", "Seconds")
}


@pytest.mark.parametrize("name", documented())
def test_each_function_that_is_documented_is_there(name: str) -> None:
    value(USES[name], {})


def test_all_that_is_known_when_a_name_is_looked_for_is_there_and_documented() -> None:
    """The nearest name that a sentence gives has to be one that there is; only parts of a date may stay unnamed."""
    unnamed = set(FUNCTIONS) - set(documented())

    assert {one for one in unnamed if not one.startswith("get")} == set()
    assert set(documented()) <= set(FUNCTIONS)
    for name in unnamed - {"getMilliseconds"}:
        value(USES[name], {})


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "data", "wanted"),
    [
        ("event.type == 'order.placed' && data.total > 10", {"total": 11}, True),
        ("data.total > 10.5", {"total": 11}, True),
        ("has(data.total) && data.total > 0", {}, False),
        ("headers['x-shop'] + headers['x-shop']", None, "77"),
        ("has(headers.missing)", None, False),
        ("data == 'a text'", "a text", True),
        ("size(data)", b"\xff\x80", 2),
        (
            "data.items.filter(i, i.n > 1).map(i, {'sku': i.sku})",
            {"items": [{"n": 1}, {"n": 2, "sku": "s"}]},
            [{"sku": "s"}],
        ),
        ("'%s of %d'.format([data.name.upperAscii(), data.n])", {"name": "x", "n": 3}, "X of 3"),
        ("data", {"a": [1, 2.5, None, True]}, {"a": [1, 2.5, None, True]}),
        ("timestamp('2026-01-31T00:00:00Z').getMonth()", None, 0),
        ("data.missing == 1 || true", {}, True),
    ],
)
def test_an_expression_gives_its_value_for_an_event(text: str, data: object, wanted: object) -> None:
    assert value(text, data) == wanted


@pytest.mark.parametrize(
    ("text", "data", "scope", "says"),
    [
        ("data.missing > 1", {}, ANY, 'there is no "missing" in data; has() asks whether there is'),
        ("data.item.sku", {"item": {}}, ANY, 'there is no "sku" in data.item; has() asks whether there is'),
        ("data['a b'].c", {"a b": {}}, ANY, 'there is no "c" in data["a b"]; has() asks whether there is'),
        ("event.subject", {}, ANY, 'there is no "subject" in event; has() asks whether there is'),
        ("headers['x-none']", {}, ANY, 'there is no "x-none" in headers; has() asks whether there is'),
        (
            "has(data.a.n) ? data.a.n : data.b.n",
            {"a": {}, "b": {}},
            ANY,
            'there is no "n" in data.a or data.b; has() asks whether there is',
        ),
        ("data.list[0].sku", {"list": [{}]}, ANY, 'there is no "sku"; has() asks whether there is'),
        ("'/x/' + data.id", {"id": 7}, ANY, "+ does not take (string, int): convert with int(), double() or string()"),
        ("data.a.b", {"a": "text"}, ANY, "a field is read of a value that has none"),
        ("data.a.b", {"a": [1]}, ANY, "a field is read of a value that has none"),
        ("1 / 0", None, ANY, "divide by zero"),
        ("data.s == 'admin'", {"s": "admin\0x"}, ANY, NUL),
        ("data", {"k\0": 1}, ANY, NUL),
        ("data", b"\0", ANY, NUL),
        ("data.total", {"total": 1}, WHEN, "it must give true or false, it gave an int"),
        ("data.id", {"id": None}, STRING, "it must give a string, it gave null"),
        (
            "data",
            list(range(6000)),
            ANY,
            "the data it reads have more than 5000 values: name the parts that are needed",
        ),
        ("data.l.map(x, x)", {"l": [1] * 600}, ANY, "a list or map has 600 elements; with this expression 512 may be"),
        (
            "data.s + data.s",
            {"s": "x" * 2**21},
            ANY,
            "the data it reads have 2097153 bytes; with this expression 1048576 may be",
        ),
    ],
)
def test_what_fails_for_an_event_fails_with_a_sentence(text: str, data: object, scope: Scope, says: str) -> None:
    with pytest.raises(Failed) as failed:
        value(text, data, scope)

    assert str(failed.value) == says


def test_data_that_are_nested_too_deeply_are_not_handed_in() -> None:
    deep: object = 1
    for _ in range(limits.DEEPEST + 2):
        deep = [deep]

    with pytest.raises(Failed, match="nested more than 64 levels deep"):
        value("size(data) == 1", deep)


def test_the_steps_of_loops_end_an_evaluation() -> None:
    """The runtime's own bound, should a tree be one that our estimate takes for cheaper than it is."""
    expression = expressions.compile("data.a.all(x, true)", ANY)
    everything = expressions.Activation(runtime.bind({"data": {"a": [1] * 10_001}}), 0, 0, {})

    with pytest.raises(Failed, match="its loops took more than 10000 steps"):
        expression.value(everything)


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("event.id", {}),
        ("data", None),
        ("data.a.b > data.a.c", {"a": {"b": None, "c": None}}),
        ("data['a']['b c'] + data.a", {"a": None}),
        ("data.items[0].sku", {"items": None}),
        ("data.items.exists(data, data.x == event.id)", {"items": None}),  # a loop's own name is not ours
        ("has(data.a) ? data.b : data.c", {"a": None, "b": None, "c": None}),
        ("{'k': [data.k]}", {"k": None}),
        ("data[data.which]", None),
        ("'a' in data", None),
    ],
)
def test_only_the_parts_of_the_data_that_are_named_are_read(text: str, parts: reading.Parts) -> None:
    assert expressions.compile(text, ANY).reads.data == parts


def test_what_several_expressions_read_is_put_together() -> None:
    one = expressions.compile("data.a.b + headers['x-shop']", ANY).reads
    other = expressions.compile("data.a.c + event.id", ANY).reads

    both = expressions.together([one, other])

    assert both.data == {"a": {"b": None, "c": None}}
    assert both.targets == {}
    assert both.headers == {"x-shop"}
    assert both.variables == {"data", "headers", "event"}


def test_of_targets_only_the_parts_that_are_named_are_read() -> None:
    one = expressions.compile("targets.a.body.x", ANSWER_BODY).reads
    other = expressions.compile("has(targets.b.status) ? targets['a'].status : 0", ANSWER_BODY).reads
    every = expressions.compile("targets.map(name, targets[name].status)", ANSWER_BODY).reads

    assert expressions.together([one, other]).targets == {
        "a": {"body": {"x": None}, "status": None},
        "b": {"status": None},
    }
    assert every.targets is None


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON, st.lists(st.sampled_from("abcd"), max_size=3))
def test_handing_in_only_what_is_named_changes_no_value(data: object, path: list[str]) -> None:
    """The same expression, once with what it names and once with everything."""
    expression = expressions.compile(".".join(["data", *path]), ANY)
    some = activate(expression.reads, {"data": data})
    everything = activate(reading.Reads(variables=frozenset({"data"}), data=None), {"data": data})

    assert _outcome(expression, some) == _outcome(expression, everything)


def _outcome(expression: expressions.Expression, activation: expressions.Activation) -> object:
    try:
        return expression.value(activation)
    except Failed:
        return Failed


# --- what it may cost -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "length", "size"),
    [
        ("event.type == 'a' && data.total > 0", 4096, 1 << 20),
        ("data.items.exists(i, i.price > 9)", 4096, 1 << 20),
        ("data.items.map(i, i.price)", 512, 1 << 20),  # each step copies what there is so far
        ("data.a.all(x, data.b.all(y, x != y))", 64, 1 << 16),
        ("data.l.map(a, data.l.map(b, data.l.map(c, [a, b, c])))", 16, 1 << 9),
        ("data.s.split(',').map(one, one.trim())", 4096, 1 << 9),
    ],
)
def test_an_expression_may_be_given_as_much_as_it_can_bear(text: str, length: int, size: int) -> None:
    assert expressions.compile(text, ANY).reach == limits.Reach(length, size)


@pytest.mark.parametrize(
    "text",
    [
        "[data.s]" + ".map(a, a + a + a + a + a + a + a + a)" * 9,
        "data.s" + ".replace('x', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')" * 8,
    ],
)
def test_one_that_costs_too_much_with_the_least_data_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match="costs too much: with lists of 16 elements and 512 bytes of text"):
        expressions.compile(text, ANY)


def test_an_expression_says_what_it_is() -> None:
    assert repr(expressions.compile("event.id", STRING)) == "Expression('event.id')"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("'x-shop' in headers", {"x-shop"}),
        ("'x-shop' in headers && headers['x-shop'] == '7'", {"x-shop"}),
        ("[{'x-shop': 7}].all(headers, 'x-shop' in headers)", set()),
    ],
)
def test_to_ask_for_a_name_reads_no_other(text: str, wanted: set[str]) -> None:
    reads = expressions.compile(text, expressions.WHEN).reads

    assert reads.headers == wanted


def test_of_path_and_query_the_names_are_known_that_are_read() -> None:
    reads = expressions.compile("'page-size' in query && query.q == path.id", expressions.WHEN).reads

    assert (reads.query, reads.path) == ({"page-size": None, "q": None}, {"id": None})


def test_a_query_that_is_looked_through_is_read_as_a_whole() -> None:
    assert expressions.compile("query.exists(name, name == 'q')", expressions.WHEN).reads.query is None
