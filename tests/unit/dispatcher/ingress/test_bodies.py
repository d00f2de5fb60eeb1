"""What says it is JSON must be JSON, and finding out must be cheap."""

import pytest

from fanout_dispatcher.ingress import bodies
from fanout_dispatcher.values.media import is_json


@pytest.mark.parametrize(
    "media",
    [
        b"application/json",
        b"Application/JSON; charset=utf-8",
        b"application/cloudevents+json",
        b"text/json ",
        b"application/vnd.x+json;v=1",
    ],
)
def test_json_media_types_are_recognised(media: bytes) -> None:
    assert is_json(media)


@pytest.mark.parametrize("media", [b"", b"text/plain", b"application/json-seq", b"application/x; a=b/json", b"json"])
def test_other_media_types_are_not_json(media: bytes) -> None:
    assert not is_json(media)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b" [1,2.5e3,-0] \n",
        b'"\\ud83d\\ude00"',
        '"käse"'.encode(),
        b"null",
        b'{"a":1,"a":2}',
        b"[" * 500 + b"]" * 500,
    ],
)
def test_json_is_let_through(body: bytes) -> None:
    assert bodies.fault(body) is None


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"id": 7,\n "total": ', "line 2 column 11"),
        (b"[NaN]", "line 1 column 2"),
        (b"[1,]", "line 1 column 3"),
        (b"{} {}", "line 1 column 4"),
        (b'"a\nb"', "control character"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udc00":1}', "surrogate"),
        (b'"\xff"', "UTF-8 at byte 1"),
        (b'"\xed\xa0\x80"', "UTF-8 at byte 1"),
        (b"", "empty"),
        (b"01", "leading zero"),
        (b"\xef\xbb\xbf{}", "BOM"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(body: bytes, where: str) -> None:
    assert where in (bodies.fault(body) or "")


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000])
def test_depth_is_refused_and_not_suffered(body: bytes) -> None:
    assert bodies.fault(body) == "nested too deeply"


def test_a_large_body_is_told_the_byte_instead_of_the_line() -> None:
    body = b"[" + b"1," * 100_000 + b"x]"

    assert "byte 200001" in (bodies.fault(body) or "")


def test_a_million_keys_are_looked_at_and_not_built() -> None:
    body = b"{" + b",".join(b'"k%d":1' % number for number in range(1_000_000)) + b"}"

    assert bodies.fault(body) is None
