"""The order of adoption: who leaves a path goes before who takes it."""

import pytest

from fanout_dispatcher.plans.conflicts import turns


@pytest.mark.parametrize(
    ("wanted", "owners", "rooms", "ordered"),
    [
        ({}, {}, [], []),
        ({"a": "/1", "b": "/2"}, {}, [], ["a", "b"]),
        ({"a": "/1", "b": "/2"}, {"/1": "a", "/2": "b"}, [], ["a", "b"]),
        ({"a": "/2", "b": "/3", "c": "/4"}, {"/1": "a", "/2": "b", "/3": "c"}, [], ["c", "b", "a"]),
        ({"a": "/2"}, {"/1": "a", "/2": "b"}, [], ["a"]),
        ({"a": "/2", "b": "/1"}, {"/1": "a", "/2": "b"}, ["a"], ["b", "a"]),
        (
            {"a": "/2", "b": "/1", "c": "/4", "d": "/3", "e": "/5"},
            {"/1": "a", "/2": "b", "/3": "c", "/4": "d"},
            ["a", "c"],
            ["e", "b", "a", "d", "c"],
        ),
    ],
    ids=["nobody", "free", "unchanged", "chain", "refused", "swap", "two-rings"],
)
def test_turns(wanted: dict[str, str], owners: dict[str, str], rooms: list[str], ordered: list[str]) -> None:
    assert turns(wanted, owners) == (rooms, ordered)
