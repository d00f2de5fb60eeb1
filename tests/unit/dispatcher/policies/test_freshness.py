"""How long an answer may be used again, by what its target says of it: RFC 9111, a row for each."""

import email.utils
import typing

import pytest

from fanout_dispatcher.policies.freshness import lifetime
from fanout_dispatcher.values.answer import Captured

TTL: typing.Final = 60.0
WALL: typing.Final = 1_800_000_000.0


def date(after: float) -> str:
    return email.utils.formatdate(WALL + after, usegmt=True)


def lasts(*headers: tuple[str, str], status: int = 200, truncated: bool = False) -> float:
    answer = Captured(status, headers, b"x", truncated)
    return lifetime(answer, TTL, lambda name: name in {"accept-language", "ce-subject"}, WALL)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_target_that_says_nothing_leaves_it_to_the_manifest(status: int) -> None:
    assert lasts(("etag", '"7"'), status=status) == TTL


@pytest.mark.parametrize(
    "said",
    [
        "no-store",
        "NO-STORE",
        "max-age=30, no-store",
        "no-cache",
        'no-cache="set-cookie"',
        "private",
        'private="x-user", max-age=30',
        "public,,private",
        'ext="a, max-age=9", private',
    ],
)
def test_what_is_not_for_others_is_never_used_again(said: str) -> None:
    assert lasts(("cache-control", said)) == 0.0


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("max-age=30", 30.0),
        ("max-age=3600", TTL),  # the manifest is stricter
        ("max-age=99999999999999", TTL),
        ("max-age=0", 0.0),
        ("max-age=30, s-maxage=10", 10.0),
        ("s-maxage=50, max-age=30", 50.0),  # it is said to shared caches, as ours is
        ("s-maxage=0, max-age=30", 0.0),
        ('max-age="30"', 30.0),
        ("Max-Age = 30", 30.0),
        ("max-age=30, max-age=10", 10.0),
        ("max-age=10, max-age=30", 10.0),
        ("max-age=-1", 0.0),
        ("max-age=1.5", 0.0),
        ("max-age", 0.0),
        ("max-age=soon", 0.0),
        ("public, must-revalidate", TTL),  # nothing stale is ever given out
        ("max-age=30, stale-while-revalidate=600", 30.0),
        ('ext="no-store", max-age=30', 30.0),
        ('ext="a\\", no-store, b", max-age=30', 30.0),
        ("immutable", TTL),
        ("", TTL),
        (",", TTL),
    ],
)
def test_a_lifetime_that_the_target_gives_counts_where_it_is_shorter(said: str, seconds: float) -> None:
    assert lasts(("cache-control", said)) == seconds


@pytest.mark.parametrize(
    ("age", "seconds"), [("10", 20.0), ("30", 0.0), ("31", 0.0), ("0", 30.0), ("-5", 30.0), ("x", 30.0), ("", 30.0)]
)
def test_what_it_spent_in_other_caches_is_taken_off(age: str, seconds: float) -> None:
    assert lasts(("cache-control", "max-age=30"), ("age", age)) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((("expires", date(30)), ("date", date(0))), 30.0),
        ((("expires", date(30)), ("date", date(20))), 10.0),  # its clock, not ours
        ((("expires", date(30)),), 30.0),
        ((("expires", date(3600)),), TTL),
        ((("expires", date(-30)),), 0.0),
        ((("expires", "0"),), 0.0),
        ((("expires", ""),), 0.0),
        ((("expires", date(30)), ("date", "today")), 0.0),
        ((("expires", date(30)), ("cache-control", "max-age=20")), 20.0),
        ((("expires", "0"), ("cache-control", "max-age=20")), 20.0),
        ((("expires", "Sunday, 06-Nov-94 08:49:37 GMT"),), 0.0),
    ],
)
def test_expires_counts_where_cache_control_says_nothing_of_it(
    headers: tuple[tuple[str, str], ...], seconds: float
) -> None:
    assert lasts(*headers) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("vary", "seconds"),
    [
        ("*", 0.0),
        ("Accept-Language", 0.0),
        ("accept-encoding, ACCEPT-LANGUAGE", 0.0),
        ("accept-encoding, *", 0.0),
        ("Accept-Encoding, Origin", TTL),  # all our requests are alike in these
        ("", TTL),
    ],
)
def test_what_differs_by_a_header_in_which_requests_differ_is_not_used_again(vary: str, seconds: float) -> None:
    assert lasts(("vary", vary)) == seconds


def test_a_part_of_an_answer_is_not_one() -> None:
    assert (lasts(truncated=True), lasts(status=206)) == (0.0, 0.0)
