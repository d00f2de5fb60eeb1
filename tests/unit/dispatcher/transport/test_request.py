"""What goes out: every byte of a request's head is asked for, and nothing can add to it."""

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds.headers import CREDENTIALS, FRAMING, OURS, encoded
from fanout_dispatcher.transport.headers import Blocks, Illegal
from fanout_dispatcher.transport.mapping import Mapped
from fanout_dispatcher.transport.origin import parse
from fanout_dispatcher.transport.request import Template
from tests.unit.dispatcher.transport.support import event, span_ids, target

URL = "http://payment.shop.svc:8080/charges?x=1"


def template(
    *,
    name: str = "payment",
    headers: tuple[tuple[str, str], ...] = (),
    forward: tuple[str, ...] = (),
    token: bytes | None = None,
) -> Template:
    said = target(URL, name=name, headers=headers, forward=forward)
    return Template(said, parse(URL), token=token, blocks=Blocks(span_ids))


def head_of(made: bytes) -> list[bytes]:
    return made.partition(b"\r\n\r\n")[0].split(b"\r\n")


def test_a_request_reads_like_this() -> None:
    written = template(headers=(("X-Shop", "7"),), forward=("x-github-*",), token=b"s3cret\n")

    first, rest = written.render(event(b"{}", forwarded=((b"X-GitHub-Event", b"push"), (b"x-other", b"no"))), 3)

    head, _, body = first.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /charges?x=1 HTTP/1.1",
        b"host: payment.shop.svc:8080",
        b"x-shop: 7",
        b"authorization: Bearer s3cret",
        b"content-type: application/json",
        b"ce-id: 7",
        b"ce-source: /shop",
        b"x-request-id: 7",
        b"user-agent: fanout",
        b"x-github-event: push",
        b"fanout-attempt: 3",
        b"idempotency-key: " + hashlib.blake2b(b"payment" + b"i" * 16, digest_size=16).hexdigest().encode(),
        b"content-length: 2",
    ]
    assert (body, rest) == (b"{}", b"")


def test_the_idempotency_key_is_the_same_for_every_attempt_and_another_for_every_target_and_event() -> None:
    def key(made: Template, identity: bytes, number: int) -> bytes:
        return next(line for line in head_of(made.render(event(identity=identity), number)[0]) if b"idem" in line)

    payment, crm = template(), template(name="crm")

    assert key(payment, b"a" * 16, 1) == key(payment, b"a" * 16, 9)
    assert len({key(payment, b"a" * 16, 1), key(payment, b"b" * 16, 1), key(crm, b"a" * 16, 1)}) == 3


def test_a_large_body_is_not_copied() -> None:
    body = b"x" * 100_000

    first, rest = template().render(event(body), 1)

    assert first.endswith(b"content-length: 100000\r\n\r\n")
    assert rest is body


@pytest.mark.parametrize("name", [*sorted(encoded(FRAMING | CREDENTIALS | OURS)), b"fanout-attempt"])
def test_what_is_ours_or_hop_by_hop_is_never_taken_from_the_producer(name: bytes) -> None:
    made, _ = template(forward=("*", name.decode())).render(
        event(forwarded=((name.upper(), b"EVIL"), (b"x-a", b"1"))), 1
    )

    assert b"EVIL" not in made
    assert b"x-a: 1" in head_of(made)


@pytest.mark.parametrize("name", [b"Content-Type", b"ce-id", b"CE-Extra", b"traceparent", b"X-Request-ID"])
def test_what_the_event_carries_itself_is_not_sent_twice(name: bytes) -> None:
    made, _ = template(forward=("*",)).render(event(forwarded=((name, b"TWICE"),)), 1)

    assert b"TWICE" not in made


def test_a_literal_header_stands_in_for_the_producers_and_for_ours() -> None:
    written = template(headers=(("User-Agent", "shop"), ("x-a", "ours")), forward=("x-a", "user-agent"))

    made, _ = written.render(event(forwarded=((b"x-a", b"theirs"), (b"user-agent", b"theirs"))), 1)

    assert [line for line in head_of(made) if line.startswith((b"user-agent", b"x-a"))] == [
        b"user-agent: shop",
        b"x-a: ours",
    ]


@pytest.mark.parametrize(
    ("forward", "forwarded", "sent"),
    [
        ((), (), b"user-agent: fanout"),
        (("user-agent",), (), b"user-agent: fanout"),
        (("x-*",), ((b"user-agent", b"shop"),), b"user-agent: fanout"),
        (("user-*",), ((b"user-agent", b"shop"),), b"user-agent: shop"),
    ],
)
def test_there_is_one_user_agent_the_producers_where_it_is_forwarded(
    forward: tuple[str, ...], forwarded: tuple[tuple[bytes, bytes], ...], sent: bytes
) -> None:
    made, _ = template(forward=forward).render(event(forwarded=forwarded), 1)

    assert [line for line in head_of(made) if line.startswith(b"user-agent")] == [sent]


@pytest.mark.parametrize("name", ["Content-Type", "ce-id", "Cookie", "Host", "Fanout-Attempt"])
def test_a_literal_header_that_no_manifest_may_name_is_not_sent(name: str) -> None:
    with pytest.raises(Illegal, match="not one that a manifest may set"):
        template(headers=((name, "x"),))


@pytest.mark.parametrize(
    "attributes",
    [
        b"ce-id: 7",  # no end of line
        b"ce-id: 7\n",
        b"ce-id: 7\r",
        b"ce-id: a\rb\r\n",
        b"ce-id: a\x00b\r\n",
        b"ce-id: a\x7fb\r\n",
        b"ce-id: 7\r\n\r\n",
        b"\r\nce-id: 7\r\n",
        b"ce id: 7\r\n",
        b"ce-id : 7\r\n",
        b": 7\r\n",
        b"ce-id: 7\r\n folded\r\n",
        b"ce-id: 7\r\ncontent-length: 0\r\n",
        b"ce-id: 7\r\nTransfer-Encoding: chunked\r\n",
        b"Host: evil.example\r\n",
        b"AUTHORIZATION: Bearer x\r\n",
        b"fanout-attempt: 1\r\n",
        b"idempotency-key: k\r\n",
        b"x-of-the-producer: forwarded, or nothing\r\n",
        b"ce-: 7\r\n",
    ],
)
def test_an_event_whose_block_is_not_plain_headers_is_not_sent(attributes: bytes) -> None:
    with pytest.raises(Illegal, match="event's headers"):
        template().render(event(attributes=attributes), 1)


def test_an_events_block_holds_its_attributes_and_what_is_carried() -> None:
    block = b"ce-id: 7\r\nce-x1: %F0\r\ncontent-type: a/b\r\ntraceparent: 0\r\ntracestate:\r\nx-request-id: 1\r\n"

    head, _ = template().render(event(attributes=block), 1)

    assert block in head


TRACE = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-%b-01\r\n"
PRODUCERS = TRACE % b"b7ad6b7169203331"


@pytest.mark.parametrize("size", [0, 2000], ids=["a block that is remembered", "one that is too long for it"])
@pytest.mark.parametrize("kind", [Template, Mapped])
def test_a_trace_is_continued_with_a_parent_of_its_own_for_each_attempt(
    size: int, kind: type[Template] | type[Mapped]
) -> None:
    """Of the lines that say traceparent one is the trace's; the others are the event's, and nobody's to touch."""
    numbers = itertools.count(1)
    before = b"ce-id: 7\r\nce-" + PRODUCERS + b"ce-note: " + PRODUCERS[:-2] + b"x" * size + b"\r\n"
    after = b"tracestate: a=1,b=2\r\nx-request-id: r7\r\n"
    came = event(attributes=before + PRODUCERS + after)
    made = kind(target(URL), parse(URL), token=None, blocks=Blocks(lambda: f"{next(numbers):016x}"))

    sent = [made.render(came, number)[0] for number in (1, 2)]

    assert [b"0000000000000001" in one for one in sent] == [True, False]
    for number, one in enumerate(sent, 1):
        assert before + TRACE % b"%016x" % number + after in one


def test_an_event_without_a_trace_or_a_request_id_is_sent_without_the_one_and_with_its_own_id_as_the_other() -> None:
    made = head_of(template().render(event(), 1)[0])

    assert [line for line in made if line.startswith((b"trace", b"x-request-id"))] == [b"x-request-id: 7"]


def test_the_producers_request_id_is_sent_as_it_came_also_where_it_stands_first() -> None:
    for block in (b"x-request-id: a b\r\nce-id: 7\r\n", b"ce-id: 7\r\nx-request-id: a b\r\n"):
        made = head_of(template().render(event(attributes=block), 1)[0])

        assert [line for line in made if line.startswith(b"x-request-id")] == [b"x-request-id: a b"]


@pytest.mark.parametrize("header", [(b"x-a", b"1\r\nx: y"), (b"x-a", b"1\x00"), (b"x-a\r\nx", b"1"), (b"x-a b", b"1")])
def test_a_forwarded_header_that_would_break_out_is_not_sent(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(Illegal, match="forwarded header"):
        template(forward=("x-*",)).render(event(forwarded=(header,)), 1)


@given(name=st.binary(max_size=12), value=st.binary(max_size=30), attributes=st.binary(max_size=60))
def test_no_bytes_of_an_event_add_a_line_to_the_head(name: bytes, value: bytes, attributes: bytes) -> None:
    written = template(forward=("*",))
    try:
        made, _ = written.render(event(b"BODY", forwarded=((name, value),), attributes=attributes), 1)
    except Illegal:
        return

    head, _, body = made.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    own = [line for line in lines if line.startswith((b"content-length:", b"host:", b"idempotency-key:"))]
    assert body == b"BODY"
    assert len(own) == 3
    assert not any(character in line for line in lines for character in b"\r\n\x00")
    assert len(lines) <= 7 + 1 + attributes.count(b"\r\n")


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ((("x a", "1"),), "is not a header name"),
        ((("x-a", "1\r\nx: y"),), "holds characters"),
        ((("x-a", "1\x00"),), "holds characters"),
        ((("Host", "evil"),), "not one that a manifest may set"),
        ((("authorization", "x"),), "not one that a manifest may set"),
        ((("Content-Length", "0"),), "not one that a manifest may set"),
        ((("Idempotency-Key", "0"),), "not one that a manifest may set"),
    ],
)
def test_a_target_whose_own_headers_cannot_be_sent_is_refused_in_words(
    headers: tuple[tuple[str, str], ...], sentence: str
) -> None:
    with pytest.raises(Illegal, match=sentence):
        template(headers=headers)


@pytest.mark.parametrize("token", [b"", b"\n", b"a b", b"a\r\nx: y", b"\xff"])
def test_a_token_that_cannot_be_sent_is_refused_without_showing_it(token: bytes) -> None:
    with pytest.raises(Illegal) as refused:
        template(token=token)

    assert str(refused.value) == "the bearer token is empty or holds characters that a header cannot carry"


def test_known_blocks_are_bounded() -> None:
    blocks = Blocks(span_ids)

    for number in range(5000):
        blocks.leaving(event(attributes=b"ce-id: %d\r\n" % number).head)
    blocks.leaving(event(attributes=b"ce-id: %b\r\n" % (b"x" * 5000)).head)

    assert len(blocks._known) <= 1024
