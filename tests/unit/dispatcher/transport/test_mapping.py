"""Requests made of events: every byte that an expression brings is where it may be, or nobody is asked."""

import json
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds.expressions import Unusable
from fanout_crds.plan import Mapping, Value
from fanout_dispatcher.transport.headers import Blocks, Illegal
from fanout_dispatcher.transport.mapping import Mapped, Unmade
from fanout_dispatcher.transport.origin import parse
from fanout_dispatcher.transport.request import Template
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Heard
from fanout_dispatcher.values.earlier import Earlier, packed
from fanout_dispatcher.values.event import Replay, State
from fanout_dispatcher.values.jsonvalue import NotJson, written
from tests.unit.dispatcher.transport.support import event, span_ids, target

URL = "http://payment.shop.svc:8080/charges?x=1"
BODY = b'{"id": "a/b", "total": 7, "big": true, "none": null, "bad": "x\\r\\ny: 1", "n": 1.5, "umlaut": "\xc3\xa4"}'

MAPPED = ["YWI=", "2026-01-02T03:04:05.500000Z", "90.5s", {"2": True, "true": None}]
PATH = "request.pathExpression"
MADE = "request.bodyExpression"
HEADER = (
    "request.headers[x-a].valueExpression: its value holds characters that a header cannot carry: visible ASCII only"
)


def mapped(
    *, literal: tuple[tuple[str, str], ...] = (), forward: tuple[str, ...] = (), **mapping: typing.Any
) -> Mapped:
    said = target(URL, headers=literal, forward=forward)
    said = msgspec.structs.replace(said, mapping=Mapping(**{"method": "POST"} | mapping))
    return Mapped(said, parse(URL), token=b"s3cret", blocks=Blocks(span_ids))


def head_of(request: bytes) -> dict[bytes, bytes]:
    """The header lines, and under no name the first line."""
    first, *lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    return {b"": first, **{name: value for name, _, value in (line.partition(b": ") for line in lines)}}


def asked(made: Mapped, body: bytes = BODY, **more: typing.Any) -> bytes:
    """The request's first line."""
    return made.render(event(body, **more), 1)[0].partition(b"\r\n")[0]


def test_a_mapped_request_reads_like_this() -> None:
    made = mapped(
        literal=(("X-Shop", "7"),),
        forward=("x-github-*",),
        method="PUT",
        path="['orders', data.id]",
        query=(Value(name="a b", value="c&d"), Value(name="total", expression="data.total")),
        body="{'amount': data.total, 'type': event.source}",
    )

    first, rest = made.render(event(BODY, forwarded=((b"X-GitHub-Event", b"push"), (b"x-other", b"no"))), 3)

    lines = first.split(b"\r\n")
    assert lines[:10] == [
        b"PUT /orders/a%2Fb?x=1&a%20b=c%26d&total=7 HTTP/1.1",
        b"host: payment.shop.svc:8080",
        b"x-shop: 7",
        b"authorization: Bearer s3cret",
        b"ce-id: 7",
        b"ce-source: /shop",
        b"x-request-id: 7",
        b"content-type: application/json",
        b"user-agent: fanout",
        b"x-github-event: push",
    ]
    assert lines[10] == b"fanout-attempt: 3"
    assert lines[12:] == [b"content-length: 27", b"", b""]
    assert json.loads(rest) == {"amount": 7, "type": "/shop"}


def test_a_compensation_names_the_key_of_what_it_undoes() -> None:
    undo = msgspec.structs.replace(target(URL, name="payment.compensate"), compensates="payment")
    original = Template(target(URL, name="payment"), parse(URL), token=None, blocks=Blocks(span_ids))

    asked = head_of(Mapped(undo, parse(URL), token=None, blocks=Blocks(span_ids)).render(event(BODY), 1)[0])
    before = head_of(original.render(event(BODY), 2)[0])

    assert asked[b"fanout-compensates"] == before[b"idempotency-key"] != asked[b"idempotency-key"]
    assert b"fanout-compensates" not in before
    assert asked[b""] == before[b""] == b"POST /charges?x=1 HTTP/1.1", "all else is as the event came"


def test_what_is_not_mapped_is_as_it_came() -> None:
    first, rest = mapped(query=(Value(name="q", value="1"),)).render(event(BODY), 1)

    assert first.startswith(b"POST /charges?x=1&q=1 HTTP/1.1\r\n")
    assert b"content-type: application/json\r\nce-id: 7\r\n" in first
    assert rest == BODY


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_get_and_a_delete_have_no_body_and_no_words_about_one(method: str) -> None:
    first, rest = mapped(method=method).render(event(BODY), 1)

    assert rest == b""
    assert b"content-length" not in first
    assert b"content-type" not in first
    assert first.startswith(method.encode() + b" /charges?x=1 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("'/orders/' + data.id", b"/orders/a/b"),  # a string's slashes are its own
        ("['orders', data.id]", b"/orders/a%2Fb"),  # a list's are data
        ("'/x/' + data.umlaut + '?a=1#f%2e'", b"/x/%C3%A4%3Fa=1%23f%252e"),
        ("'/'", b"/"),
        ("'/' + string(data.total) + '/'", b"/7/"),
    ],
)
def test_a_path_is_percent_encoded(path: str, sent: bytes) -> None:
    assert asked(mapped(path=path)) == b"POST " + sent + b"?x=1 HTTP/1.1"


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"path": "'orders'"}, f"{PATH}: a path starts with /; segments without slashes are written as a list"),
        ({"path": "'/a/../' + data.id"}, f'{PATH}: "." and ".." are no segments of a path: they would lead elsewhere'),
        ({"path": "['a', '..']"}, f'{PATH}: "." and ".." are no segments of a path: they would lead elsewhere'),
        ({"path": "['a', '']"}, f"{PATH}: it must give a string, or a list of strings that are not empty"),
        ({"path": "[data.total]"}, f"{PATH}: it must give a string, or a list of strings that are not empty"),
        ({"path": "data.total"}, f"{PATH}: it must give a string or a list of strings, it gave an int"),
        ({"path": "data.missing"}, f'{PATH}: there is no "missing" in data; has() asks whether there is'),
        ({"headers": (Value(name="x-a", expression="data.bad"),)}, HEADER),
        ({"headers": (Value(name="x-a", expression="data.umlaut"),)}, HEADER),
        (
            {"query": (Value(name="a", value="1"), Value(name="b", expression="data"))},
            "request.query[1].valueExpression: it must give a string, a number, a boolean or null, it gave a map",
        ),
        ({"body": "0.0 / 0.0"}, f"{MADE}: it gives a number that JSON does not have (infinite, or none)"),
        ({"body": "type(1)"}, f"{MADE}: it gives something that JSON does not have, such as a type"),
    ],
)
def test_what_cannot_be_sent_is_not_made(mapping: dict[str, typing.Any], says: str) -> None:
    with pytest.raises(Unmade) as unmade:
        mapped(**mapping).render(event(BODY), 1)

    assert str(unmade.value) == says


def test_what_is_too_long_or_too_large_is_not_made() -> None:
    long = b'{"s": "' + b"x" * 9000 + b'"}'
    with pytest.raises(Unmade, match=r"^request: path and query have 9005 bytes, 8192 may be$"):
        mapped(path="[data.s]").render(event(long), 1)

    large = b'{"s": "' + b"x" * 600_000 + b'"}'
    with pytest.raises(Unmade, match=r"^request\.bodyExpression: it makes a body of 1200002 bytes, 1048576 may be$"):
        mapped(body="data.s + data.s").render(event(large), 1)

    with pytest.raises(Unmade, match=r"^request: the data are not the JSON that their content type says$"):
        mapped(body="data").render(event(b"{"), 1)


def test_values_are_written_as_people_write_them_and_null_leaves_out() -> None:
    fields = {"a": "data.total", "b": "data.big", "c": "data.n", "d": "2.0", "e": "data.none", "f": "'x y'"}
    query = tuple(Value(name=name, expression=text) for name, text in fields.items())
    headers = tuple(Value(name=f"x-{name}", expression=text) for name, text in fields.items())

    first, _ = mapped(query=query, headers=headers).render(event(BODY), 1)

    assert first.startswith(b"POST /charges?x=1&a=7&b=true&c=1.5&d=2&f=x%20y HTTP/1.1\r\n")
    assert b"x-a: 7\r\nx-b: true\r\nx-c: 1.5\r\nx-d: 2\r\nx-f: x y\r\n" in first


def test_a_header_that_an_expression_sets_stands_in_for_the_producers() -> None:
    made = mapped(forward=("x-*",))
    both = msgspec.structs.replace(
        target(URL, forward=("x-*",)),
        mapping=Mapping(method="POST", headers=(Value(name="X-A", expression="data.none"),)),
    )
    strict = Mapped(both, parse(URL), token=None, blocks=Blocks(span_ids))
    came = ((b"x-a", b"the-producers"), (b"x-b", b"2"))

    assert b"x-a: the-producers" in made.render(event(BODY, forwarded=came), 1)[0]
    assert b"the-producers" not in strict.render(event(BODY, forwarded=came), 1)[0]
    assert b"x-b: 2" in strict.render(event(BODY, forwarded=came), 1)[0]


def test_a_schema_that_described_other_data_is_not_sent_with_new_ones() -> None:
    attributes = b"ce-id: 7\r\nce-dataschema: http://x\r\nce-note: content-type: y\r\ncontent-type: text/plain\r\n"
    came = msgspec.structs.replace(event(b"x"), head=msgspec.structs.replace(event().head, attributes=attributes))

    first, rest = mapped(body="data").render(came, 1)

    assert b"ce-id: 7\r\nce-note: content-type: y\r\n" in first
    assert [line for line in first.split(b"\r\n") if line.startswith(b"content-type")] == [
        b"content-type: application/json"
    ]
    assert b"dataschema" not in first
    assert rest == b'"x"'  # a string too is JSON


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("data", json.loads(BODY)),
        ("[b'ab', timestamp('2026-01-02T03:04:05.5Z'), duration('1m30.5s'), {2: true, true: null}]", MAPPED),
    ],
)
def test_values_become_json_as_cel_maps_them(body: str, wanted: object) -> None:
    _, rest = mapped(body=body).render(event(BODY), 1)

    assert json.loads(rest) == wanted


def test_a_body_that_is_made_again_is_the_same_byte_for_byte() -> None:
    """The runtime gives the keys of a map in another order each time."""
    body = "{'order': 1, 'amount': 2, 'currency': 3, 'country': {'b': 1, 'a': 2}}"
    bodies = {mapped(body=body).render(event(BODY), number)[1] for number in range(20)}

    assert bodies == {b'{"amount":2,"country":{"a":2,"b":1},"currency":3,"order":1}'}


def test_a_map_whose_keys_are_no_names_is_no_json() -> None:
    with pytest.raises(NotJson, match="neither a string nor a whole number nor a boolean"):
        written({1.5: 2})


def test_a_mapping_that_does_not_compile_or_names_what_no_manifest_may_is_refused() -> None:
    with pytest.raises(Unusable, match="unknown name dta"):
        mapped(path="dta.x")
    with pytest.raises(Illegal, match="the header cookie is not one that a manifest may set"):
        _with_header("cookie")


def _with_header(name: str) -> Mapped:
    said = msgspec.structs.replace(
        target(URL), mapping=Mapping(method="POST", headers=(Value(name=name, expression="'x'"),))
    )
    return Mapped(said, parse(URL), token=None, blocks=Blocks(span_ids))


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_no_data_change_how_a_request_is_framed_or_what_it_asks_for(text: str) -> None:
    """Whatever a producer sends: one request line of three words, and a path of as many segments as are written."""
    made = mapped(path="['orders', data]", query=(Value(name="q", expression="data"),))
    try:
        first, _ = made.render(event(json.dumps(text).encode()), 1)
    except Unmade:
        return
    line = first.partition(b"\r\n")[0]

    method, wanted, version = line.split(b" ")
    path, _, query = wanted.partition(b"?")
    assert (method, version) == (b"POST", b"HTTP/1.1")
    assert (path.count(b"/"), query.count(b"&"), query.count(b"=")) == (2, 1, 2)
    assert first.count(b"\r\n\r\n") == 1


# --- what earlier targets answered ------------------------------------------------------------------------------------

ANSWERED = Captured(201, (("content-type", "application/json"), ("location", "/r/7")), b'{"id": "r/7"}')
EARLIER = Earlier((Heard("reserve", State.DELIVERED, answer=ANSWERED), Heard("mail", State.DEAD, "Expired")))
READING: dict[str, typing.Any] = {
    "path": "['charges', targets.reserve.body.id]",
    "query": (Value(name="s", expression="targets.reserve.status"),),
    "headers": (Value(name="x-for", expression="targets.reserve.headers.location"),),
    "body": "{'mail': targets.mail.reason}",
}


def test_a_request_is_made_of_what_earlier_targets_answered() -> None:
    first, rest = mapped(**READING).render(event(BODY), 1, EARLIER)

    assert first.startswith(b"POST /charges/r%2F7?x=1&s=201 HTTP/1.1\r\n")
    assert b"\r\nx-for: /r/7\r\n" in first
    assert rest == b'{"mail":"Expired"}'


def test_a_replay_is_made_of_what_its_dead_letter_could_read() -> None:
    came = event(BODY)
    came = msgspec.structs.replace(
        came, head=msgspec.structs.replace(came.head, replay=Replay(first=1, earlier=packed(EARLIER)))
    )

    assert mapped(**READING).render(came, 1) == mapped(**READING).render(event(BODY), 1, EARLIER)


def test_without_the_answer_that_it_reads_nobody_is_asked() -> None:
    with pytest.raises(Unmade, match=r'request\.bodyExpression: there is no "mail" in targets; has'):
        mapped(**READING).render(event(BODY), 1)
    with pytest.raises(Unmade, match=r'request\.bodyExpression: there is no "body" in targets\.mail; has'):
        mapped(body="targets.mail.body").render(event(BODY), 1, EARLIER)
