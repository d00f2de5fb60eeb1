"""The answer that a route makes of what its targets said."""

import json
import re
import typing

import pytest

from fanout_crds import plan
from fanout_crds import shape as said
from fanout_crds.shape import AnswerHeader
from fanout_dispatcher.policies.shape import LARGEST, Shape, Shaped, Unshaped, shaped
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Heard
from fanout_dispatcher.values.event import Head, State
from tests.support.plans import a_wait

JSON: typing.Final = (("content-type", "application/json"),)
HEAD: typing.Final = Head(
    id="7", source="/x", type="t", identity=b"", attributes=b"ce-id: 7\r\ncontent-type: application/json\r\n",
    forwarded=((b"x-shop", b"north"),),
)  # fmt: skip
EVENT: typing.Final = b'{"order": 7}'
A: typing.Final = Heard("a", State.DELIVERED, answer=Captured(201, (*JSON, ("etag", '"v1"')), b'{"amount": 7.5}'))
B: typing.Final = Heard("b", State.DEAD, "TargetRejected", "the target answered 402", Captured(402))
SILENT: typing.Final = Heard("c")


def of(*heard: Heard, headers: tuple[AnswerHeader, ...] = (), **more: typing.Any) -> Shaped:
    return Shape(said.Shape(headers=headers, **more)).of(HEAD, EVENT, heard or (A, B, SILENT))


def body(text: str, *heard: Heard) -> tuple[bytes, bytes | None]:
    """The content type and the body that an expression makes."""
    made = of(*heard, body_expression=text)
    return made.headers[b"content-type"], made.body


def answered(content: bytes, *headers: tuple[str, str], truncated: bool = False) -> Heard:
    return Heard("a", State.DELIVERED, answer=Captured(200, headers, content, truncated))


def test_a_route_that_says_nothing_of_it_has_no_shape() -> None:
    assert shaped(None) is None
    assert shaped(a_wait("a")) is None
    assert isinstance(shaped(plan.Respond(**_fields(a_wait("a")), shape=said.Shape(status=201))), Shape)


def _fields(wait: plan.Respond) -> dict[str, typing.Any]:
    return {"wait_for": wait.wait_for, "quorum": wait.quorum, "timeout": wait.timeout, "partial": wait.partial}


@pytest.mark.parametrize(
    ("text", "content_type", "content"),
    [
        ("{'price': targets.a.body.amount}", b"application/json", b'{"price":7.5}'),
        ("[targets.a.status, targets.b.status]", b"application/json", b"[201,402]"),
        ("targets.a.status", b"application/json", b"201"),
        ("null", b"application/json", b"null"),
        ("'order ' + string(data.order)", b"text/plain; charset=utf-8", b"order 7"),
        ("b'\\x01\\xff'", b"application/octet-stream", b"\x01\xff"),
        ("event.id + headers['x-shop'] + targets.a.headers.etag", b"text/plain; charset=utf-8", b'7north"v1"'),
    ],
)
def test_a_body_is_sent_as_what_it_is(text: str, content_type: bytes, content: bytes) -> None:
    assert body(text) == (content_type, content)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[targets.a.state, targets.b.state, targets.c.state]", b'["Delivered","Dead","Pending"]'),
        ("[has(targets.b.body), has(targets.c.body), has(targets.c.status)]", b"[false,false,false]"),
        ("[has(targets.a.reason), has(targets.b.reason)]", b"[false,true]"),
        ("targets.filter(n, targets[n].state == 'Delivered').map(n, targets[n].body.amount)", b"[7.5]"),
        ("has(targets.c.body) ? targets.c.body.amount : 0", b"0"),
    ],
)
def test_what_is_not_there_can_be_asked_for(text: str, wanted: bytes) -> None:
    assert body(text)[1] == wanted


@pytest.mark.parametrize(
    ("heard", "wanted"),
    [
        (answered(b'{"a": 1}', *JSON), b'{"a":1}'),
        (answered(b"{", *JSON), b"{"),
        (answered(b'"\xff"', *JSON), b'"\xff"'),
        (answered(b'{"a": 1}', ("content-type", "text/plain")), b'{"a": 1}'),
        (answered(b"7"), b"7"),
        (answered(b"\xff\x01"), b"\xff\x01"),
        (answered(b"coded", *JSON, ("content-encoding", "gzip")), b"coded"),
    ],
    ids=["JSON", "broken JSON", "JSON, not UTF-8", "text", "no type", "binary", "coded"],
)
def test_the_body_of_a_target_is_json_or_text_or_bytes(heard: Heard, wanted: bytes) -> None:
    assert body("targets.a.body", heard)[1] == wanted


def test_of_an_answer_that_was_cut_off_there_is_no_body() -> None:
    cut = answered(b'{"amount": 7', *JSON, truncated=True)

    assert body("[targets.a.truncated, has(targets.a.body)]", cut)[1] == b"[true,false]"
    with pytest.raises(Unshaped, match=r'respond.bodyExpression: there is no "body"'):
        body("targets.a.body.amount", cut)


def test_a_body_that_nothing_is_read_of_is_not_even_parsed() -> None:
    """It is nested deeper than may be handed in."""
    deep = answered(b"[" * 100 + b"]" * 100, *JSON)

    assert body("targets.a.status", deep)[1] == b"200"
    with pytest.raises(Unshaped, match="respond: the data it reads are nested more than 64 levels deep"):
        body("targets.a.body", deep)


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, 200), ({"status": 201}, 201), ({"status_expression": "targets.b.status"}, 402)],
)
def test_the_status_is_fixed_or_comes_out_of_an_expression(fields: dict[str, typing.Any], status: int) -> None:
    assert of(**fields).status == status


def test_headers_stand_as_they_are_or_come_out_of_expressions_and_null_leaves_one_out() -> None:
    made = of(
        headers=(
            AnswerHeader(name="Cache-Control", value="no-store"),
            AnswerHeader(name="x-total", value_expression="targets.a.body.amount"),
            AnswerHeader(name="x-none", value_expression="null"),
        )
    )

    assert made.headers == {b"content-type": b"application/json", b"cache-control": b"no-store", b"x-total": b"7.5"}
    assert made.body is None, "what every target said is for the port to write"


def test_a_content_type_that_is_set_stands_in_for_ours() -> None:
    html = AnswerHeader(name="Content-Type", value="text/html")

    assert of(headers=(html,), body_expression="'<p>'").headers == {b"content-type": b"text/html"}


@pytest.mark.parametrize("text", ["", " ", "json", "/", "text/html; charset", "text/html charset=utf-8"])
def test_a_content_type_that_is_none_is_not_sent(text: str) -> None:
    """A sender must not generate what does not match its grammar (RFC 9110 §2.2, §8.3.1)."""
    typed = AnswerHeader(name="Content-Type", value_expression=f"'{text}'")

    with pytest.raises(Unshaped) as refused:
        of(headers=(typed,), body_expression="'<p>'")

    assert str(refused.value) == (
        'respond.headers[Content-Type].valueExpression: a Content-Type is a media type, such as "text/html" (RFC 9110'
        f" §8.3); it gives {json.dumps(text.strip())}, and null leaves it to Fanout"
    )


@pytest.mark.parametrize("text", ["text/html", 'a/b+c; q="x;\\"y";v=1', "text/plain ; charset=utf-8"])
def test_any_media_type_is_sent_as_it_stands(text: str) -> None:
    typed = AnswerHeader(name="Content-Type", value_expression="data.type")
    event = json.dumps({"type": text}).encode()

    made = Shape(said.Shape(headers=(typed,))).of(HEAD, event, (A,))

    assert made.headers == {b"content-type": text.encode()}


def test_an_answer_whose_status_allows_no_body_has_none() -> None:
    assert of(status_expression="204", body_expression="targets.a.body").body == b""


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status_expression": "targets.a.status - 200"}, "statusExpression: it gives 1, and a status is a whole"),
        ({"status_expression": "data.order == 7 ? dyn('ok') : 200"}, "statusExpression: it must give a whole number"),
        (
            {"body_expression": "targets.a.body.total"},
            'bodyExpression: there is no "total" in targets.a.body; has() asks',
        ),
        ({"body_expression": "targets.c.body"}, 'bodyExpression: there is no "body" in targets.c; has() asks'),
        ({"body_expression": "1.0 / 0.0"}, "bodyExpression: it gives a number that JSON does not have"),
        (
            {"headers": (AnswerHeader(name="X-A", value_expression="'a\\r\\nb: c'"),)},
            "headers[x-a].valueExpression: its value holds characters that a header cannot carry",
        ),
        (
            {"headers": (AnswerHeader(name="X-A", value_expression="targets.a.body"),)},
            "headers[X-A].valueExpression: it must give a string, a number, a boolean or null, it gave a map",
        ),
    ],
)
def test_what_cannot_be_made_is_said_with_the_field(fields: dict[str, typing.Any], says: str) -> None:
    with pytest.raises(Unshaped, match=f"^{re.escape(f'respond.{says}')}"):
        of(**fields)


def test_a_body_has_a_bound() -> None:
    half = answered(b"x" * (LARGEST // 2 + 1))

    with pytest.raises(Unshaped, match=r"respond.bodyExpression: it makes a body of 1048578 bytes, 1048576 may be"):
        body("targets.a.body + targets.a.body", half)
