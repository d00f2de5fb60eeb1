"""A table of events in each content mode: what the targets will see, byte for byte."""

import base64
import json

import pytest

from fanout_dispatcher.ingress import cloudevents
from fanout_dispatcher.ingress.attributes import Invalid
from fanout_dispatcher.ingress.cloudevents import NotJson, Reader
from fanout_dispatcher.ingress.request import Request, read
from fanout_dispatcher.values.event import Head
from tests.unit.dispatcher.ingress.stub import StubRoute, route

ROUTE = route()
BINARY = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/shop", "ce-type": "order.placed"}
JSON = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "order.placed"}


def request(headers: dict[str, str], body: bytes = b"") -> Request:
    lines = [(name.encode(), value.encode("latin-1")) for name, value in {"host": "x", **headers}.items()]
    made = read(b"POST", b"/shop/orders", "1.1", lines, keep_alive=True)
    assert made.refusal is None
    made.body = body
    return made


def event(headers: dict[str, str], body: bytes = b"", *, at: StubRoute = ROUTE) -> tuple[Head, bytes]:
    return Reader(lambda: "made-1").read(request(headers, body), at)


def as_sent(raw: bytes) -> tuple[Head, bytes]:
    return event({"content-type": "application/cloudevents+json; charset=utf-8"}, raw)


def structured(**members: object) -> tuple[Head, bytes]:
    return as_sent(json.dumps({**JSON, **members}).encode())


def lines(head: Head) -> list[bytes]:
    assert head.attributes.endswith(b"\r\n")
    return head.attributes.split(b"\r\n")[:-1]


def test_a_binary_event_keeps_its_headers_as_they_came() -> None:
    headers = {
        **BINARY,
        "ce-subject": "a%20b%C3%A9",
        "ce-quoted": '"x y"',
        "content-type": "text/plain; charset=latin1",
    }

    head, body = event(headers, b"\x00\xff")

    assert body == b"\x00\xff"
    assert lines(head) == [
        b"ce-specversion: 1.0",
        b"ce-id: 7",
        b"ce-source: /shop",
        b"ce-type: order.placed",
        b"ce-subject: a%20b%C3%A9",
        b'ce-quoted: "x y"',
        b"content-type: text/plain; charset=latin1",
    ]
    assert (head.id, head.source, head.type) == ("7", "/shop", "order.placed")


def test_a_binary_event_may_have_no_body_and_no_content_type() -> None:
    head, body = event(BINARY)

    assert body == b""
    assert not any(line.startswith(b"content-type") for line in lines(head))


def test_a_binary_event_without_data_may_name_json() -> None:
    assert event({**BINARY, "content-type": "application/json"})[1] == b""


@pytest.mark.parametrize("name", ["ce-specversion", "ce-id", "ce-source", "ce-type"])
def test_a_binary_event_without_a_required_attribute_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match=f"attribute {name[3:]} is missing"):
        event({key: value for key, value in BINARY.items() if key != name})


@pytest.mark.parametrize(
    "more",
    [
        {"ce-specversion": "0.3"},
        {"ce-id": ""},
        {"ce-my_ext": "1"},
        {"ce-": "1"},
        {"ce-datacontenttype": "text/plain"},
        {"ce-data": "x"},
        {"ce-ext": "\xe9"},
        {"ce-ext": "%ff"},
        {"ce-time": "noon"},
        {"ce-ext": "a%0Ab"},
    ],
)
def test_a_binary_event_that_breaks_the_specification_is_refused(more: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        event({**BINARY, **more})


@pytest.mark.parametrize("mode", [{}, BINARY])
def test_a_truncated_json_body_is_refused_with_its_place(mode: dict[str, str]) -> None:
    with pytest.raises(NotJson, match="line 1 column 7"):
        event({**mode, "content-type": "application/json"}, b'{"id":')


def test_a_plain_json_request_without_a_body_is_refused() -> None:
    with pytest.raises(NotJson, match="empty"):
        event({"content-type": "application/json"})


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream", None])
def test_a_plain_request_becomes_an_event_of_ours(content_type: str | None) -> None:
    head, body = event({} if content_type is None else {"content-type": content_type}, b"[1, 2]")

    assert body == b"[1, 2]"
    assert (head.id, head.source, head.type) == ("made-1", "/shop/orders", "dev.fanout.request")
    assert lines(head)[:4] == [
        b"ce-specversion: 1.0",
        b"ce-id: made-1",
        b"ce-source: /shop/orders",
        b"ce-type: dev.fanout.request",
    ]
    assert lines(head)[4:] == ([] if content_type is None else [f"content-type: {content_type}".encode()])


def test_a_structured_event_leaves_in_binary_mode_with_its_data_byte_for_byte() -> None:
    data = b'{ "total" : 12.50, "n":\t1e2,"dup":1,"dup":2, "s":"\\u00e9" }'
    raw = (
        b'{"specversion":"1.0","id":"7","source":"/shop", "type":"order.placed","data": '
        + data
        + b' ,"sequence":42,"ok":true}'
    )

    head, body = as_sent(raw)

    assert body == data
    assert lines(head) == [
        b"ce-specversion: 1.0",
        b"ce-id: 7",
        b"ce-source: /shop",
        b"ce-type: order.placed",
        b"ce-sequence: 42",
        b"ce-ok: true",
        b"content-type: application/json",
    ]


def test_a_structured_attribute_outside_ascii_is_percent_encoded() -> None:
    head, _ = structured(subject='größe "100%"')

    assert b"ce-subject: gr%C3%B6%C3%9Fe%20%22100%25%22" in lines(head)


@pytest.mark.parametrize(
    ("members", "body", "content_type"),
    [
        ({"data": {"a": 1}}, b'{"a": 1}', b"application/json"),
        ({"data": "text"}, b'"text"', b"application/json"),
        ({"data": "text", "datacontenttype": "application/x+json"}, b'"text"', b"application/x+json"),
        ({"data": "<a>\u00e9</a>", "datacontenttype": "text/xml"}, "<a>é</a>".encode(), b"text/xml"),
        ({"data": {"a": 1}, "datacontenttype": "text/xml"}, b'{"a": 1}', b"text/xml"),
        ({"data": None}, b"null", b"application/json"),
        ({}, b"", None),
        ({"datacontenttype": "text/plain"}, b"", b"text/plain"),
        ({"data_base64": base64.b64encode(b"\x00\x01").decode()}, b"\x00\x01", None),
        ({"data_base64": "AAE=", "datacontenttype": "image/png"}, b"\x00\x01", b"image/png"),
        ({"datacontenttype": None, "subject": None, "data": 1}, b"1", b"application/json"),
    ],
)
def test_structured_data_becomes_the_body(members: dict[str, object], body: bytes, content_type: bytes | None) -> None:
    head, got = structured(**members)

    assert got == body
    typed = [line.removeprefix(b"content-type: ") for line in lines(head) if line.startswith(b"content-type")]
    assert typed == ([] if content_type is None else [content_type])
    assert b"ce-subject" not in head.attributes


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"data": 1, "data_base64": "AA=="}, "exclude each other"),
        ({"data_base64": "!"}, "Base64"),
        ({"data_base64": 7}, "Base64"),
        ({"id": None}, "id is missing"),
        ({"id": ""}, "id is empty"),
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": 1.0}, "expected a string"),
        ({"ext": {"a": 1}}, "expected a string"),
        ({"ext": 2**31}, "32 bits"),
        ({"Ext": "x"}, "lower-case"),
        ({"ext": "a\r\nb"}, "control"),
        ({"datacontenttype": "text/plain\u00e9"}, "media type"),
        ({"datacontenttype": "text/plain\r\nx: y"}, "control"),
        ({"time": "noon"}, "RFC 3339"),
        ({"subject": "x" * 40_000}, "larger than"),
        ({f"e{number}": 1 for number in range(200)}, "at most 100"),
    ],
)
def test_a_structured_event_that_breaks_the_specification_is_refused(members: dict[str, object], sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        structured(**members)


@pytest.mark.parametrize("raw", [b"[]", b'"x"', b"null", b"7"])
def test_a_structured_event_must_be_an_object(raw: bytes) -> None:
    with pytest.raises(Invalid, match="JSON object"):
        as_sent(raw)


def test_a_flood_of_members_is_refused_before_it_is_built() -> None:
    flood = {f"e{number}": number for number in range(40_000)}

    with pytest.raises(Invalid, match="larger than"):
        structured(**flood)


def test_large_data_is_no_flood() -> None:
    data = ["x" * 1000] * 500

    _, body = structured(data=data)

    assert json.loads(body) == data


def test_both_modes_of_one_event_have_one_identity() -> None:
    binary, _ = event({**BINARY, "ce-id": "a%20b"})
    as_json, _ = structured(id="a b")

    assert binary.identity == as_json.identity
    assert binary.id == as_json.id == "a b"


def test_identity_cannot_be_shifted_between_its_parts() -> None:
    made = {
        cloudevents.identity(*parts)
        for parts in [("a/b", "c", "d"), ("a/", "bc", "d"), ("a/b", "cd", ""), ("a/b", "", "cd")]
    }

    assert len(made) == 4


def test_trace_context_and_request_id_go_to_every_target() -> None:
    trace = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=1",
        "x-request-id": "r7",
    }

    head, _ = event({**BINARY, **trace, "x-other": "1"})

    assert lines(head)[4:] == [f"{name}: {value}".encode() for name, value in trace.items()]


def test_an_empty_request_id_is_left_to_be_made() -> None:
    head, _ = event({**BINARY, "x-request-id": ""})

    assert len(lines(head)) == 4


IDS = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"00-{IDS}-00", f"00-{IDS}-00"),
        (f"00-{IDS}-03", f"00-{IDS}-03"),  # sampled, and a random trace-id (Level 2)
        (f"00-{IDS}-ff", f"00-{IDS}-03"),  # flags that nobody knows have to be 0
        (f"01-{IDS}-01", f"00-{IDS}-01"),  # a later version is written as the one that we know
        (f"01-{IDS}-01-what.ever", f"00-{IDS}-01"),
        (f"00-{IDS}-01-what.ever", None),
        (f"01-{IDS}-01what.ever", None),
        (f"ff-{IDS}-01", None),
        (f"00-{IDS.upper()}-01", None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", None),
        (f"00-{IDS}-1", None),
        (f"0-{IDS}-01", None),
        (f" 00-{IDS}-01", None),
        ("", None),
    ],
)
def test_a_trace_is_read_as_the_specification_says_and_one_that_is_none_goes_no_further(
    said: str, kept: str | None
) -> None:
    """W3C Trace Context §3.2.2 to §3.2.4; the attribute of the event is the producer's in any case."""
    trace = {"ce-traceparent": "as it came", "tracestate": "a=1", "x-request-id": "r7"}

    head, _ = event({**BINARY, "traceparent": said, **trace})

    context = [] if kept is None else [f"traceparent: {kept}", "tracestate: a=1"]
    assert lines(head)[4:] == [b"ce-traceparent: as it came", *map(str.encode, context), b"x-request-id: r7"]


def test_the_state_of_a_trace_is_one_line_and_none_without_a_trace() -> None:
    states = [(b"tracestate", value) for value in (b"a=1", b"", b"b=2")]
    trace = {"traceparent": f"00-{IDS}-01"}
    made = [request({**BINARY, **headers}) for headers in (trace, trace, {})]
    made[0].lines += states
    for one in made[1:]:
        one.lines += [(b"tracestate", b"")] if one is made[1] else states
    for one in made:
        one.fields = dict(one.lines)

    heads = [Reader(lambda: "made-1").read(one, ROUTE)[0] for one in made]

    assert [lines(one)[5:] for one in heads] == [[b"tracestate: a=1,b=2"], [], []]
    assert b"traceparent" not in heads[2].attributes


def test_only_headers_that_a_target_asks_for_are_kept() -> None:
    at = route(forward=("x-one", "x-github-*", "cookie", "authorization", "idempotency-key", "connection", "x-hop"))
    headers = {
        "x-one": "1",
        "x-github-event": "push",
        "x-two": "2",
        "cookie": "c",
        "authorization": "Bearer s",
        "idempotency-key": "k",
        "connection": "keep-alive, X-Hop",
        "x-hop": "h",
    }

    head, _ = event(headers, at=at)

    assert head.forwarded == ((b"x-one", b"1"), (b"x-github-event", b"push"))


def test_an_empty_prefix_keeps_back_what_is_never_forwarded() -> None:
    secret = {
        "cookie": "c",
        "authorization": "s",
        "content-type": "a/b",
        "transfer-encoding": "chunked",
        "proxy-authorization": "p",
    }

    head, _ = event({**secret, **BINARY, "x-any": "1"}, at=route(forward=("*",)))

    assert head.forwarded == ((b"x-any", b"1"),)
