"""P18: body, content type and CloudEvents attributes arrive as they came, over a corpus, at every attempt.

Each event is posted three ways: in one piece, in chunks, and structured. Its first attempt is rejected, so that the
second is made of what the journal holds.
"""

import base64
import collections.abc
import json
import typing
import urllib.parse

from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually
from tests.support.figures import Figure
from tests.support.targets import Got

JSON: typing.Final = "application/json"
BYTES: typing.Final = "application/octet-stream"
BODIES: typing.Final[dict[str, tuple[str, bytes]]] = {
    "an object with blanks and tabs that mean nothing": (JSON, b' {\t"a" :  1 }\r\n'),
    "a number that a float would round": (JSON, b'{"n": 12345678901234567890.10}'),
    "the same member twice": (JSON, b'{"a": 1, "a": 2}'),
    "members in no order": (JSON, b'{"b": 1, "a": 2}'),
    "escapes that could be written as they are": (JSON, b'"\\u00e9\\/\\u0041"'),
    "text outside of the basic plane": (JSON, '"𝄞 \U0010ffff"'.encode()),
    "a zero with a sign and an exponent": (JSON, b"-0.0e+00"),
    "JSON with a parameter in upper case": ("Application/JSON; Charset=UTF-8", b"{}"),
    "every byte there is": (BYTES, bytes(range(256))),
    "nothing but NUL": (BYTES, b"\0" * 3),
    "what looks like the end of a head": (BYTES, b"\r\n\r\nPOST / HTTP/1.1\r\nhost: x\r\n\r\n"),
    "what looks like the last chunk": (BYTES, b"5\r\nhello\r\n0\r\n\r\n"),
    "bytes that are no UTF-8": ("text/plain; charset=latin1", b"gr\xf6\xdfe"),
    "a byte order mark": ("text/plain; charset=utf-8", b"\xef\xbb\xbfx"),
    "lines that end in three ways": ("text/plain", b"a\nb\r\nc\r"),
    "a compressed body, as it is": ("application/gzip", b"\x1f\x8b\x08\x00" + bytes(20)),
    "parts with a boundary": ('multipart/mixed; boundary="a b"', b"--a b\r\n\r\n1\r\n--a b--\r\n"),
    "a form": ("application/x-www-form-urlencoded", b"a=%20&b=+&a=1"),
    "a type of its own with a suffix": ("application/vnd.shop.order+json;v=2", b"[1,2]"),
    "one byte below what goes in one write": (BYTES, b"x" * (65_536 - 1)),
    "one byte above it": (BYTES, b"y" * (65_536 + 1)),
    "a million bytes": (BYTES, bytes(range(256)) * 4_000),
}
ATTRIBUTES: typing.Final[dict[str, tuple[str, str]]] = {
    "a subject with blanks and percents, encoded": ("ce-subject", "a%20b%25%22"),
    "a subject outside of ASCII, encoded": ("ce-subject", "gr%C3%B6%C3%9Fe"),
    "an escape in lower case": ("ce-subject", "%c3%b6"),
    "a quoted string, as older producers write": ("ce-subject", '"x y"'),
    "a time with an offset and nine digits": ("ce-time", "2026-11-23T01:04:00.123456789+05:30"),
    "a schema with a fragment": ("ce-dataschema", "https://shop.example/order.json#/v2"),
    "an extension of twenty letters and digits": ("ce-abcdefghij0123456789", "1"),
    "an extension that says true": ("ce-sampled", "true"),
    "an extension with a leading zero": ("ce-sequence", "007"),
    "a partition key with a colon and a slash": ("ce-partitionkey", "eu:1/2=3&x"),
    "where the trace began": ("ce-traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
}
PATIENT: typing.Final = {
    "retry": {"backoff": {"type": "Constant", "baseDelay": "1ms", "jitter": "None"}, "budget": {"mode": "Disabled"}},
    "circuitBreaker": {"mode": "Disabled"},
}

Sent = tuple[str, bytes, dict[str, str]]  # content type, body, attributes


def corpus() -> collections.abc.Iterator[tuple[str, Sent]]:
    """Every event with its sentence, which is its id too."""
    everything: list[tuple[str, str, bytes, dict[str, str]]]
    everything = [(says, content_type, body, {}) for says, (content_type, body) in BODIES.items()]
    everything += [(says, JSON, b"{}", {name: value}) for says, (name, value) in ATTRIBUTES.items()]
    for place, (says, content_type, body, more) in enumerate(everything):
        base = {"ce-specversion": "1.0", "ce-id": f"{place}", "ce-source": "/shop/a%20b", "ce-type": "order.placed"}
        yield says, (content_type, body, base | more)


def arrived(got: Got) -> Sent:
    attributes = {name: value for name, value in got.headers.items() if name.startswith("ce-")}
    return got.headers.get("content-type", ""), got.body, attributes


async def pieces(body: bytes) -> collections.abc.AsyncIterator[bytes]:
    for at in range(0, len(body), 1_000):
        yield body[at : at + 1_000]


async def test_what_is_posted_arrives_byte_for_byte_at_every_attempt(bench: Bench, figure: Figure) -> None:
    a = await bench.target("a")
    a.choose = lambda got: 503 if got.attempt == 1 else 204
    bench.route(a, defaults={"policy": PATIENT}, accept={"maxBodySize": "2Mi"})
    process = await bench.started()
    url = f"{process.listen}/shop/order-placed"
    wanted = {}
    for says, (content_type, body, attributes) in corpus():
        for way in ("whole", "chunked", "structured"):
            named = attributes | {"ce-id": f"{attributes['ce-id']}-{way}"}
            wanted[named["ce-id"]] = (says, (content_type, body, named))
            headers = named | {"content-type": content_type}
            if way == "structured":
                answer = await bench.client.post(
                    url, content=structured(content_type, body, named), headers={"content-type": ENVELOPE}
                )
            else:
                content = pieces(body) if way == "chunked" else body
                answer = await bench.client.post(url, content=content, headers=headers)
            assert answer.status_code == 202, (says, way, answer.text)

    async def twice() -> bool:
        return len(a.got) >= 2 * len(wanted)

    await eventually(twice)
    differing = [
        f"{wanted[got.event][0]} ({got.event}, attempt {got.attempt})"
        for got in a.got
        if arrived(got) != canonical(got.event, wanted[got.event][1])
    ]

    assert differing == []
    assert {(got.event, got.attempt) for got in a.got} == {(event, n) for event in wanted for n in (1, 2)}
    figure("P18", events=len(wanted), requests_compared=len(a.got), differences=len(differing))


ENVELOPE: typing.Final = "application/cloudevents+json"


def structured(content_type: str, body: bytes, attributes: dict[str, str]) -> bytes:
    """The same event as one JSON object, its data as bytes."""
    members = {name.removeprefix("ce-"): decode(value) for name, value in attributes.items()}
    data = base64.b64encode(body).decode()
    return json.dumps(members | {"datacontenttype": content_type, "data_base64": data}).encode()


def decode(value: str) -> str:
    """An attribute as text (CloudEvents HTTP binding 1.0.2 §3.1.3.2)."""
    return urllib.parse.unquote(value.strip('"'), errors="strict")


def encode(value: str) -> str:
    """And as a header."""
    return urllib.parse.quote(value, safe="".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%'))


def canonical(event: str, sent: Sent) -> Sent:
    """What leaves: as it came, but a structured event's attributes in the one spelling that the binding gives them."""
    content_type, body, attributes = sent
    if not event.endswith("-structured"):
        return sent
    return content_type, body, {name: encode(decode(value)) for name, value in attributes.items()}
