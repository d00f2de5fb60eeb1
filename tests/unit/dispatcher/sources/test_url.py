"""The URL of a database: what is understood, and sentences that never repeat it."""

import pytest

from fanout_dispatcher.sources.trouble import Trouble
from fanout_dispatcher.sources.url import Server, read


def test_a_url_says_where_and_who() -> None:
    found = read(b"postgresql://me%40home:p%40ss%2Fword@db.example:6543/shop%20one?sslmode=require\n")

    assert (found.host, found.port, found.user) == ("db.example", 6543, "me@home")
    assert (found.password, found.database, found.mode) == ("p@ss/word", "shop one", "require")
    assert repr(found) == "Server(db.example:6543/shop one, require)"


def test_what_a_url_leaves_out_is_the_usual_and_the_server_is_verified() -> None:
    assert read(b"postgres://me@db") == Server(
        host="db", port=5432, user="me", password="", database="me", mode="verify-full"
    )


def test_an_address_of_version_6_stands_in_brackets() -> None:
    assert read(b"postgresql://me@[2001:db8::1]/shop").host == "2001:db8::1"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (b"mysql://me:secret@db/shop", "it does not begin with postgresql://"),
        (b"postgresql://me:secret@db:port/shop", "it is no URL with a host and a port"),
        (b"postgresql://me:secret@/shop", "it needs a host, and one only"),
        (b"postgresql://me:secret@a,b/shop", "it needs a host, and one only"),
        (b"postgresql://:secret@db/shop", "it names no user"),
        (
            b"postgresql://me:secret@db?sslmode=prefer",
            "sslmode must be one of disable, require, verify-ca, verify-full",
        ),
        (b"postgresql://me:secret@db?host=/run/secret", "of parameters only sslmode is understood"),
        (b"\xff\xfe secret", "it is no URL with a host and a port"),
        (b"host=db password=secret", "it does not begin with postgresql://"),
    ],
)
def test_what_is_not_understood_is_refused_without_being_repeated(url: bytes, why: str) -> None:
    with pytest.raises(Trouble) as found:
        read(url)

    assert found.value.cause.reason == "UrlUnusable"
    assert found.value.cause.says == f"the URL in urlSecret cannot be used: {why}"
    assert "secret@" not in repr(found.value)
