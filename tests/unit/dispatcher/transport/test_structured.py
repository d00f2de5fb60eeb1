"""Events as one JSON object: whatever came in, its data are in it byte for byte, and its attributes as text."""

import base64
import json
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds.plan import Mapping
from fanout_dispatcher.ingress import attributes
from fanout_dispatcher.ingress import structured as coming_in
from fanout_dispatcher.transport.headers import Blocks
from fanout_dispatcher.transport.mapping import Mapped
from fanout_dispatcher.transport.origin import parse
from fanout_dispatcher.transport.structured import structured
from tests.unit.dispatcher.transport.support import event, span_ids, target

URL = "http://payment.shop.svc/charges"
NEEDED: typing.Final = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "placed"}
TRACED: typing.Final = b"traceparent: 00-1-1-01\r\nx-request-id: r-1\r\n"


def block(found: dict[str, str], content_type: str | None = "application/json", more: bytes = b"") -> bytes:
    """An event's own header lines, as the data port writes them."""
    lines = [b"ce-%b: %b\r\n" % (name.encode(), attributes.encode(text)) for name, text in found.items()]
    typed = [] if content_type is None else [b"content-type: %b\r\n" % content_type.encode()]
    return b"".join([*lines, *typed, more])


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (b"application/json;\tcharset=utf-8", {"datacontenttype": "application/json; charset=utf-8", "data": 1}),
        (b"application/json; a=\x80", {"data_base64": "MQ=="}),
    ],
)
def test_a_content_type_holds_no_control_characters_as_an_attribute(said: bytes, wanted: dict[str, object]) -> None:
    """CloudEvents 1.0.2 §2: who reads the event by the specification would refuse it."""
    _, body = structured(block(NEEDED, None, b"content-type: %b\r\n" % said), b"1")

    assert json.loads(body) == NEEDED | wanted


def test_json_stands_in_the_object_byte_for_byte() -> None:
    data = b'{ "total":\t99.00, "total": 1e400 ,"z":"\\u00e4" }'

    lines, body = structured(block(NEEDED, more=TRACED), data)

    assert body == (
        b'{"specversion":"1.0","id":"7","source":"/shop","type":"placed","datacontenttype":"application/json",'
        b'"data":' + data + b"}"
    )
    assert lines == TRACED + b"content-type: application/cloudevents+json\r\n"


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", None])
def test_whatever_is_not_json_is_base64(content_type: str | None) -> None:
    _, body = structured(block(NEEDED, content_type), b"\x00\xff")

    found = json.loads(body)
    assert base64.b64decode(found.pop("data_base64")) == b"\x00\xff"
    assert found == NEEDED | ({"datacontenttype": content_type} if content_type else {})


@pytest.mark.parametrize("body", [b"{", b'"\xff"', b"[" * 100_000])
def test_what_only_says_it_is_json_is_base64(body: bytes) -> None:
    _, written = structured(block(NEEDED), body)

    assert base64.b64decode(json.loads(written)["data_base64"]) == body


def test_an_event_without_data_has_none() -> None:
    assert json.loads(structured(block(NEEDED, None), b"")[1]) == NEEDED


@given(
    body=st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(msgspec.json.encode),
    content_type=st.sampled_from(["application/json", "application/vnd.x+json; v=1", "text/plain", None]),
    subject=st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20),
)
def test_what_goes_out_comes_in_as_the_same_event(body: bytes, content_type: str | None, subject: str) -> None:
    found = NEEDED | {"subject": subject}

    _, written = structured(block(found, content_type), body)
    again = coming_in.read(written)

    assert again.attributes == found
    assert again.content_type == (None if content_type is None else content_type.encode())
    assert again.body == (body.strip(b" \t\r\n") if b'"data":' in written else body)


def test_a_target_that_takes_structured_events_is_sent_one() -> None:
    said = msgspec.structs.replace(target(URL), mapping=Mapping(method="PUT", structured=True))
    made = Mapped(said, parse(URL), token=b"s3cret", blocks=Blocks(span_ids))

    first, body = made.render(event(b'{"a": 1}', attributes=block(NEEDED)), 3)

    lines = first.split(b"\r\n")
    assert lines[0] == b"PUT /charges HTTP/1.1"
    assert b"content-type: application/cloudevents+json" in lines
    assert b"content-length: %d" % len(body) in lines
    assert not [line for line in lines if line.startswith(b"ce-")]
    assert json.loads(body)["data"] == {"a": 1}
