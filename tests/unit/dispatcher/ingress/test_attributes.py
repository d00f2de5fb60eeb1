"""CloudEvents attributes keep their meaning between text and header (HTTP binding 1.0.2 §3.1.3.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_dispatcher.ingress import attributes
from fanout_dispatcher.ingress.attributes import Invalid

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("order.placed", b"order.placed"),
        ("a b", b"a%20b"),
        ('"', b"%22"),
        ("100%", b"100%25"),
        ("Euro € 😀", b"Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ("/a?b=c&d#e", b"/a?b=c&d#e"),
        ("", b""),
    ],
)
def test_text_is_encoded_as_the_binding_says(text: str, value: bytes) -> None:
    assert attributes.encode(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"with space", "with space"),
        (b"%E2%82%AC", "€"),
        (b"%e2%82%ac", "€"),
        (b"%41", "A"),
        (b'"quoted \\"x\\" %20"', 'quoted "x"  '),
        (b'"', '"'),
        (b"100%", "100%"),
    ],
)
def test_values_are_decoded_as_the_binding_says(value: bytes, text: str) -> None:
    assert attributes.decode("id", value) == text


@pytest.mark.parametrize("value", [b"%C0%A0", b"%FF", b"\xc3\xa9"])
def test_values_that_are_no_text_are_refused(value: bytes) -> None:
    with pytest.raises(Invalid):
        attributes.decode("id", value)


@given(TEXT)
def test_what_is_encoded_comes_back(text: str) -> None:
    value = attributes.encode(text)

    assert attributes.decode("x", value) == text
    assert all(0x21 <= byte <= 0x7E for byte in value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("Id", "1", "lower-case"),
        ("my_ext", "1", "lower-case"),
        ("", "1", "lower-case"),
        ("id", "", "empty"),
        ("subject", "", "empty"),
        ("specversion", "0.3", "only"),
        ("specversion", "1.0.2", "only"),
        ("time", "yesterday", "RFC 3339"),
        ("time", "2026-11-23 01:04:00Z", "RFC 3339"),
        ("time", "2026-13-23T01:04:00Z", "RFC 3339"),
        ("ext", "a\nb", "control"),
        ("ext", "a\x85b", "control"),
    ],
)
def test_what_cloudevents_does_not_allow_is_refused(name: str, value: str, sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        attributes.check(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time", "2026-11-23T01:04:00Z"),
        ("time", "1985-04-12t23:20:50.52+01:00"),
        ("time", "1990-12-31T23:59:60Z"),
        ("ext", ""),
        ("comexampleextension1", "value"),
        ("subject", "größe\u200b"),
    ],
)
def test_what_cloudevents_allows_is_let_through(name: str, value: str) -> None:
    attributes.check(name, value)
