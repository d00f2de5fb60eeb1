"""An event as expressions read it, made from what the journal keeps of it."""

import typing

import pytest

from fanout_crds import expressions
from fanout_crds.expressions import Failed, Scope
from fanout_dispatcher.ingress import attributes
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.facts import Facts, attributes_of, facts

ANY = Scope(gives="any value")


def value(text: str, body: bytes = b"", *lines: bytes, **more: typing.Any) -> object:
    head = Head(
        id="7",
        source="/x",
        type="t",
        identity=b"",
        attributes=b"".join(line + b"\r\n" for line in lines),
        **more,
    )
    expression = expressions.compile(text, ANY)
    return expression.value(facts(expression.reads, head, body))


def test_attributes_are_texts_without_the_spelling_of_headers() -> None:
    lines = (b"ce-shop: a%20b", b'ce-subject: "c \\" d"', b"ce-tenant: acme", b"content-type: text/plain")

    assert value("[event.shop, event.subject, event.tenant, event.datacontenttype]", b"", *lines) == [
        "a b", 'c " d', "acme", "text/plain",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spelt", "text"),
    [
        (b"a%20b", "a b"),
        (rb'"a\b"', "ab"),
        (rb'"a\\b"', "a\\b"),
        (rb'"\\\"x\""', '\\"x"'),
        (rb'"\%41"', "A"),
        (rb"a\b", "a\\b"),
    ],
)
def test_an_attribute_is_the_same_text_at_the_door_and_in_an_expression(spelt: bytes, text: str) -> None:
    """A backslash in a quoted string makes any character stand for itself (RFC 9110 §5.6.4)."""
    assert attributes.decode("subject", spelt) == text
    assert value("event.subject", b"", b"ce-subject: " + spelt) == text
    assert attributes_of(b"ce-subject: %b\r\n" % spelt) == {"subject": text}


@pytest.mark.parametrize(
    ("content_type", "body", "wanted"),
    [
        (b"application/json", b'{"a": [1, 2.5]}', {"a": [1, 2.5]}),
        (b"application/vnd.x+json; charset=utf-8", b"7", 7),
        (b"text/plain", b"7", "7"),
        (b"application/octet-stream", b"\xff\x01", b"\xff\x01"),
        (b"application/json", b"", None),
    ],
)
def test_data_are_json_or_text_or_bytes(content_type: bytes, body: bytes, wanted: object) -> None:
    assert value("data", body, b"content-type: " + content_type) == wanted


def test_data_without_a_content_type_are_text() -> None:
    assert value("data", b"7") == "7"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "the data are not the JSON that their content type says"),
        (b'"' + b"x" * (1 << 20) + b'"', "the data have 1048578 bytes; expressions read up to 1048576"),
        (b'"\xff"', "the data are not the JSON that their content type says"),
        (b"[" * 5000 + b"]" * 5000, "the data are nested too deeply"),
        (b'{"a":1e999}', "the data hold a number that is out of range"),
        (b"9" * 5000, "the data hold a number that is out of range"),
    ],
)
def test_data_that_cannot_be_read_are_a_failure(body: bytes, says: str) -> None:
    with pytest.raises(Failed) as failed:
        value("data", body, b"content-type: application/json")

    assert str(failed.value) == says


def test_headers_are_those_that_were_kept_and_one_that_came_twice_is_a_list() -> None:
    came = ((b"X-Shop", b"7"), (b"x-shop", b"8"))

    assert value("headers['x-shop']", forwarded=came) == "7, 8"
    assert value("headers['content-type']", b"", b"content-type: text/plain") == "text/plain"


def test_what_no_expression_reads_is_not_taken_apart() -> None:
    assert value("1 + 1", b"{", b"content-type: application/json") == 2


def test_path_and_query_are_texts_by_name() -> None:
    found = value("[path.id, query['q'], has(query.page)]", path=(("id", "7/8"),), query=(("q", "a b"),))

    assert found == ["7/8", "a b", False]


def test_a_parameter_that_was_not_there_is_a_failure() -> None:
    with pytest.raises(Failed, match=r'^there is no "q" in query; has\(\) asks whether there is$'):
        value("query.q")


def test_an_event_without_an_address_has_neither() -> None:
    assert value("[size(path), size(query)]") == [0, 0]


def test_what_a_query_brings_is_measured_as_data_are() -> None:
    with pytest.raises(Failed, match=r"^the data it reads have 65536 bytes"):
        value("query.q.replace('a', query.q)", query=(("q", "a" * 65535),))


@pytest.mark.parametrize("text", ["headers['x-a'].replace('a', headers['x-a'])", "event.a.replace('a', event.a)"])
def test_what_headers_and_attributes_bring_is_measured_too(text: str) -> None:
    """20,000 characters would have taken six seconds of the loop."""
    long = b"a" * 20_000

    with pytest.raises(Failed, match=r"^the data it reads have 20\d\d\d bytes; with this expression 4096 may be"):
        value(text, b"", b"ce-a: " + long, forwarded=((b"x-a", long),))


def test_headers_that_no_expression_reads_are_not_measured() -> None:
    assert value("headers['x-b'] + 'x'", forwarded=((b"x-a", b"a" * 20_000), (b"x-b", b"7"))) == "7x"


def test_of_attributes_those_are_handed_in_that_are_named_unless_all_are_read() -> None:
    lines = (b"ce-id: 7", b"ce-source: /x", b"ce-type: t", b"ce-a: " + b"a" * 20_000, b"content-type: text/plain")

    assert value("event.type + event.id + event.source + event.datacontenttype + 'x'", b"", *lines) == "t7/xtext/plainx"
    assert value("'a' in event && !('b' in event) && !has(event.b)", b"", *lines) is True
    assert value("size(event)", b"", *lines) == 5


# --- several expressions of one event ---------------------------------------------------------------------------------


def together(body: bytes, *texts: str) -> tuple[Facts, list[expressions.Expression]]:
    made = [expressions.compile(text, ANY) for text in texts]
    head = Head(
        id="7", source="/x", type="t", identity=b"", attributes=b"ce-type: t\r\ncontent-type: application/json\r\n"
    )
    return Facts(head, body, expressions.together(one.reads for one in made)), made


def test_data_are_only_parsed_when_they_are_read() -> None:
    known, (of_type,) = together(b"{", "event.type")

    assert known.value(of_type) == "t"


def test_several_expressions_share_what_is_handed_in() -> None:
    known, (one, other) = together(b'{"a": 1, "b": 2}', "data.a", "data.b")

    assert [known.value(one), known.value(other)] == [1, 2]
    assert known.read(one.reads).length == 1, "alone, each is handed in what it reads"


def test_an_expression_that_reads_what_can_be_read_has_its_value_beside_one_that_does_not() -> None:
    known, (broken, of_type) = together(b"{", "data.a", "event.type")

    with pytest.raises(Failed, match="not the JSON"):
        known.value(broken)

    assert known.value(of_type) == "t"


def test_what_one_expression_reads_is_not_too_much_for_another_that_does_not_read_it() -> None:
    """A loop that copies may be given 512 elements; the list beside it has more, and is none of its business."""
    body = b'{"long": [%b1], "short": [1]}' % (b"1," * 999)
    known, (size, loop) = together(body, "size(data.long)", "data.short.map(x, x)")

    assert [known.value(size), known.value(loop)] == [1000, [1]]


def test_what_is_too_much_for_an_expression_alone_fails() -> None:
    known, (loop,) = together(b'{"long": [%b1]}' % (b"1," * 999), "data.long.map(x, x)")

    with pytest.raises(Failed, match="a list or map has 1000 elements"):
        known.value(loop)
