"""Where an expression stands: which names are at hand there, and what it must give."""

import typing

import msgspec

Gives = typing.Literal[
    "true or false",
    "a string",
    "a whole number",
    "a string, a number, a boolean or null",
    "a string or a list of strings",
    "any value",
]

VARIABLES: typing.Final = ("event", "data", "headers", "path", "query", "targets")
OF_AN_EVENT: typing.Final = frozenset({"event", "data", "headers"})
OF_ITS_TURN: typing.Final = OF_AN_EVENT | {
    "targets"
}  # of which targets, the check of the whole route sees (answers.py)
_ELSEWHERE: typing.Final = {
    "path": "this version has no path templates",
    "query": "this version keeps nothing of the query that an event was sent with",
    "targets": "no target has answered yet when an event is accepted",
}


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """*gives* completes "must give …"; *variables* are those at hand."""

    gives: Gives
    variables: frozenset[str] = OF_AN_EVENT

    def missing(self, name: str) -> str | None:
        """Say why *name*, a variable of other places, is not at hand here; None when it is."""
        return (
            None if name in self.variables or name not in _ELSEWHERE else f"{name} is not at hand: {_ELSEWHERE[name]}"
        )


WHEN: typing.Final = Scope(gives="true or false", variables=OF_ITS_TURN)
PATH: typing.Final = Scope(gives="a string or a list of strings", variables=OF_ITS_TURN)
VALUE: typing.Final = Scope(gives="a string, a number, a boolean or null", variables=OF_ITS_TURN)
BODY: typing.Final = Scope(gives="any value", variables=OF_ITS_TURN)
KEY: typing.Final = Scope(gives="a string")

_OF_AN_ANSWER: typing.Final = OF_AN_EVENT | {"targets"}
ANSWER_STATUS: typing.Final = Scope(gives="a whole number", variables=_OF_AN_ANSWER)
ANSWER_VALUE: typing.Final = Scope(gives="a string, a number, a boolean or null", variables=_OF_AN_ANSWER)
ANSWER_BODY: typing.Final = Scope(gives="any value", variables=_OF_AN_ANSWER)
