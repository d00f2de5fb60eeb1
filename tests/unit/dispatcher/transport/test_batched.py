"""A batch as a target reads it: a JSON array of structured events, data byte for byte, bytes that stay the same."""

import base64
import json
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds.plan import Mapping, Value
from fanout_dispatcher.transport.batched import batched, written
from fanout_dispatcher.transport.headers import Blocks
from fanout_dispatcher.transport.mapping import Mapped
from fanout_dispatcher.transport.origin import parse
from fanout_dispatcher.transport.request import Template
from fanout_dispatcher.values.event import Event
from tests.unit.dispatcher.transport.support import event, span_ids, target

URL = "http://crm.shop.svc:8080/batches"
ATTRIBUTES = (
    b"ce-specversion: 1.0\r\nce-id: 7\r\nce-source: /shop/%C3%A4\r\nce-type: order.placed\r\n"
    b"content-type: application/json; charset=utf-8\r\ntraceparent: 00-ab-cd-01\r\nx-request-id: r-1\r\n"
)


def the(text: bytes) -> typing.Any:
    return json.loads(text)


def test_an_event_in_a_batch_reads_like_this() -> None:
    body = b'{ "total":1.50,\n"a":1,"a":2 }'

    text = written(event(body, attributes=ATTRIBUTES), "crm")

    assert text.endswith(b',"data":' + body + b"}"), "byte for byte"
    members = the(text)
    del members["data"], members["idempotencykey"]
    assert members == {
        "specversion": "1.0",
        "id": "7",
        "source": "/shop/ä",
        "type": "order.placed",
        "datacontenttype": "application/json; charset=utf-8",
        "traceparent": "00-ab-cd-01",
        "xrequestid": "r-1",
    }


def test_an_event_without_a_request_id_has_its_own_id_as_one_and_no_trace_is_made() -> None:
    members = the(written(event(attributes=b"ce-id: 7\r\nce-source: /shop\r\n"), "crm"))

    assert (members["xrequestid"], "traceparent" in members) == ("7", False)


@pytest.mark.parametrize("said", [b"a\x80", b"a\t1", b"a b", b"\xe4", b"", b"a" * 129])
def test_a_request_id_that_is_no_plain_word_gives_way_to_the_events_own_id(said: bytes) -> None:
    block = b"ce-id: 7\r\nce-source: /shop\r\nx-request-id: %b\r\n" % said

    assert the(written(event(attributes=block), "crm"))["xrequestid"] == "7"


def test_a_trace_that_no_attribute_may_hold_is_left_out_and_a_tab_in_it_is_white_space() -> None:
    """CloudEvents 1.0.2 §2 (type system): a string holds no control characters, which a header's value may hold."""
    for said, wanted in ((b"a=\x801", None), (b"a=\x9f", None), (b"a=1,\tb=2", "a=1, b=2"), (b"a=\xff", "a=ÿ")):
        block = b"ce-id: 7\r\ntraceparent: 00-ab-cd-01\r\ntracestate: %b\r\n" % said
        members = the(written(event(attributes=block), "crm"))

        assert (members["traceparent"], members.get("tracestate")) == ("00-ab-cd-01", wanted)


def test_data_that_are_no_json_are_base64_whatever_their_type_says() -> None:
    for kind, body in (("text/plain", b"7"), ("application/json", b"\xff{"), ("application/json", b'"\xff"')):
        block = b"ce-id: 7\r\ncontent-type: %b\r\n" % kind.encode()
        members = the(written(event(body, attributes=block), "crm"))

        assert "data" not in members
        assert base64.b64decode(members["data_base64"]) == body


def test_data_without_a_type_are_base64_since_json_would_be_assumed() -> None:
    assert "data_base64" in the(written(event(b"{}", attributes=b"ce-id: 7\r\n"), "crm"))


def test_an_event_without_data_has_none() -> None:
    assert {"data", "data_base64"}.isdisjoint(the(written(event(b"", attributes=ATTRIBUTES), "crm")))


def test_each_event_has_the_key_that_it_has_as_a_request_of_its_own() -> None:
    one = event(b"{}", attributes=ATTRIBUTES)
    alone, _ = Template(target(URL), parse(URL), token=None, blocks=Blocks(span_ids)).render(one, 1)
    key = the(written(one, target(URL).name))["idempotencykey"]

    assert b"idempotency-key: " + key.encode() + b"\r\n" in alone


def a_batch(*bodies: bytes) -> Event:
    events = [event(body, attributes=ATTRIBUTES) for body in bodies]
    return batched(events, [written(one, "crm") for one in events])


def test_the_request_says_that_it_is_a_batch_and_nothing_of_a_single_event() -> None:
    whole = a_batch(b"1", b"2")

    first, rest = Template(target(URL), parse(URL), token=b"t", blocks=Blocks(span_ids)).render(whole, 3)

    head, _, body = (first + rest).partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")]
    assert head.startswith(b"POST /batches HTTP/1.1\r\n")
    assert b"content-type: application/cloudevents-batch+json" in head
    assert b"fanout-attempt: 3" in head
    assert not [name for name in names if name.startswith((b"ce-", b"trace", b"x-request-id"))]
    assert [one["data"] for one in the(body)] == [1, 2]


def test_the_same_events_make_the_same_bytes_and_key_and_others_make_another() -> None:
    template = Template(target(URL), parse(URL), token=None, blocks=Blocks(span_ids))
    a = event(b"1", attributes=ATTRIBUTES, identity=b"a" * 16)
    b = event(b"2", attributes=ATTRIBUTES, identity=b"b" * 16)

    def asked(*events: Event) -> bytes:
        return b"".join(template.render(batched(events, [written(one, "crm") for one in events]), 1))

    assert asked(a, b) == asked(a, b)
    keys = {asked(*some).partition(b"idempotency-key: ")[2][:32] for some in ((a, b), (b, a), (a,), (b,))}
    assert len(keys) == 4


def test_a_mapped_target_gets_it_by_its_method_and_with_its_query() -> None:
    mapping = Mapping(method="PUT", query=(Value(name="shop", value="7"),))
    said = msgspec.structs.replace(target(URL), mapping=mapping)

    first, rest = Mapped(said, parse(URL), token=None, blocks=Blocks(span_ids)).render(a_batch(b"1"), 1)

    assert (first + rest).startswith(b"PUT /batches?shop=7 HTTP/1.1\r\n")
    assert b"content-type: application/cloudevents-batch+json\r\n" in first


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8), st.sampled_from([b"application/json", b"text/plain"]))
def test_whatever_the_bytes_the_whole_is_json_and_gives_them_back(bodies: list[bytes], kind: bytes) -> None:
    block = b"ce-id: 7\r\ncontent-type: %b\r\n" % kind
    events = [event(body, attributes=block) for body in bodies]

    found = the(batched(events, [written(one, "crm") for one in events]).body)

    assert len(found) == len(bodies)
    for one, body in zip(found, bodies, strict=True):
        if "data" in one:
            assert one["data"] == json.loads(body)
        else:
            assert base64.b64decode(one.get("data_base64", "")) == body
