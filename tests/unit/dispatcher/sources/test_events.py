"""From rows to events: the rules of the data port, in its words."""

import typing

import msgspec
import pytest

from fanout_crds import plan
from fanout_dispatcher.ingress.cloudevents import identity
from fanout_dispatcher.sources.events import Unfit, read
from fanout_dispatcher.sources.table import Row
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.standing import Standing
from tests.unit.crds.test_plan import some_plan


class Route(msgspec.Struct, frozen=True):
    """A route at the door, some of whose targets ask for x-shop."""

    plan: plan.Plan
    forwardable: frozenset[bytes] = frozenset({b"x-shop"})
    forward_prefixes: tuple[bytes, ...] = ()
    meter: RouteMeter = msgspec.field(default_factory=lambda: RouteMeter(route="shop/order-placed"))
    turnstile: None = None
    shape: None = None
    keyed_by: None = None
    posted: bool = True
    source: str | None = "/shop/order-placed"
    parameters: None = None
    owner: None = None
    standing: Standing = msgspec.field(default_factory=Standing)


ROUTE: typing.Final = Route(some_plan())
PLAIN: typing.Final = Row(
    id="7",
    type="order.placed",
    source=None,
    subject=None,
    time=None,
    content_type=None,
    headers=None,
    size=8,
    data=b'{"n": 7}',
)


def row(**changes: object) -> Row:
    return msgspec.structs.replace(PLAIN, **changes)


def test_a_row_is_the_event_that_its_service_would_have_posted() -> None:
    head, body = read(PLAIN, ROUTE)

    assert (head.id, head.source, head.type, body) == ("7", "/shop/order-placed", "order.placed", b'{"n": 7}')
    assert head.identity == identity("shop/order-placed", "/shop/order-placed", "7")
    assert head.attributes == (
        b"ce-specversion: 1.0\r\nce-id: 7\r\nce-source: /shop/order-placed\r\nce-type: order.placed\r\n"
        b"content-type: application/json\r\n"
    )


def test_its_headers_are_those_of_a_producer() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    said = f'{{"Traceparent": "{trace}", "X-Shop": "7", "x-other": "8", "ce-tenant": "\\u00e4"}}'

    head, _ = read(row(headers=said), ROUTE)

    assert f"traceparent: {trace}\r\n".encode() in head.attributes
    assert b"ce-tenant: %C3%A4\r\n" in head.attributes
    assert head.forwarded == ((b"x-shop", b"7"),)
    assert b"x-other" not in head.attributes


def test_a_row_without_data_is_an_event_without_data() -> None:
    assert read(row(data=None, size=0), ROUTE)[1] == b""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"type": None}, "the type is null"),
        ({"type": ""}, "type is empty"),
        ({"time": "yesterday"}, "time: expected an RFC 3339 timestamp such as 2026-11-23T01:04:00Z"),
        ({"subject": "a\r\nb"}, "subject holds control characters"),
        ({"data": b"{"}, "the body is not valid JSON"),
        ({"size": 2**21, "data": None}, "the data has 2097152 bytes; this route takes 1048576"),
        ({"content_type": "text/plain\r\nx: y"}, "content_type is no header value"),
        ({"content_type": "Application/CloudEvents+json"}, "the content type is that of a whole event"),
        ({"headers": "[]"}, "the headers are no JSON object whose values are strings"),
        ({"headers": '{"x": 1}'}, "the headers are no JSON object whose values are strings"),
        ({"headers": '{"x y": "1"}'}, "the headers have a name that is none"),
        ({"headers": '{"x": "1\\r\\ny: 2"}'}, "x is no header value"),
        ({"headers": '{"CE-Id": "8"}'}, "the headers set ce-id, which has a column or is HTTP's own"),
        ({"headers": '{"Host": "a"}'}, "the headers set host, which has a column or is HTTP's own"),
        ({"subject": "x" * 40_000}, "its attributes and headers are larger than 32768 bytes"),
    ],
)
def test_a_row_that_breaks_a_rule_is_unfit(changes: dict[str, object], why: str) -> None:
    with pytest.raises(Unfit) as found:
        read(row(**changes), ROUTE)

    assert str(found.value).startswith(why)
