"""What is kept of the address that an event was sent to."""

import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_dispatcher.engine.route import parameters, reads
from fanout_dispatcher.values.parameters import Parameters, Unreadable, segments
from tests.support.plans import a_plan, a_target

texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda one: one not in {".", ".."})
named = st.dictionaries(texts, st.text(st.characters(exclude_categories=("Cs", "Cc"))), max_size=8)


def kept(path: str, *expressions: str) -> Parameters | None:
    plan = a_plan(*(a_target(f"t{place}", when=text) for place, text in enumerate(expressions)), path=path)
    return parameters(plan, reads(plan))


def of_query(query: bytes, *names: str) -> dict[str, str]:
    wanted = frozenset(names) if names else None
    return dict(Parameters(segments=(), query=wanted).read("/x", query)[1])


def test_a_route_whose_expressions_read_neither_keeps_nothing() -> None:
    assert kept("/shop/{id}", "event.type == 'a'") is None


def test_what_expressions_name_is_kept_and_no_other_parameter() -> None:
    found = kept("/shop/{shop}/{id}", "query.q == 'a'", "'page' in query && path.id == '7'")

    assert found is not None
    assert found.read("/shop/hamburg/7", b"q=a&token=secret&page=2") == (
        (("shop", "hamburg"), ("id", "7")),
        (("q", "a"), ("page", "2")),
    )


def test_an_expression_that_reads_the_whole_query_gets_all_of_it() -> None:
    found = kept("/shop/x", "size(query) > 1")

    assert found == Parameters(segments=(), query=None)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (b"", {}),
        (b"q=a&q=b", {"q": "a"}),
        (b"q=a+b%2Bc", {"q": "a b+c"}),
        (b"q=%2541", {"q": "%41"}),
        (b"q", {"q": ""}),
        (b"q=", {"q": ""}),
        (b"q=a=b", {"q": "a=b"}),
        (b"&&q=a", {"q": "a"}),
        (b"q=%C3%BC", {"q": "ü"}),
    ],
)
def test_a_query_is_read_as_forms_write_it(query: bytes, wanted: dict[str, str]) -> None:
    assert of_query(query) == wanted


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (b"q=%ff", "the query is not percent-encoded UTF-8"),
        (b"q=\xff", "the query is not percent-encoded UTF-8"),
        (b"q=a%00b", "the query holds a NUL character, which expressions cannot take"),
        (b"&".join([b"a=1"] * 257), "the query has more than 256 parameters"),
    ],
)
def test_a_query_that_is_no_text_is_refused_in_words(query: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=f"^{says}$"):
        of_query(query)


@given(pairs=named)
def test_what_is_encoded_is_read_back(pairs: dict[str, str]) -> None:
    assert of_query(urllib.parse.urlencode(pairs).encode()) == pairs


@given(parts=st.lists(texts, min_size=1, max_size=5))
def test_a_segment_means_what_was_encoded_into_it(parts: list[str]) -> None:
    path = "".join(f"/{urllib.parse.quote(one, safe='')}" for one in parts)

    assert segments(path) == tuple(parts)
