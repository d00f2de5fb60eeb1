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
OF_AN_EVENT: typing.Final = frozenset({"event", "data", "headers", "path", "query"})
WITH_ANSWERS: typing.Final = OF_AN_EVENT | {"targets"}  # of which ones, whoever knows the whole route sees to
_ELSEWHERE: typing.Final = {
    "targets": "no target has answered yet when an event is accepted",
}


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """*gives* completes "must give …"; *variables* are those at hand; *unsettled*: a target may have no answer yet."""

    gives: Gives
    variables: frozenset[str] = OF_AN_EVENT
    unsettled: bool = False

    def missing(self, name: str) -> str | None:
        """Say why *name*, a variable of other places, is not at hand here; None when it is."""
        return (
            None if name in self.variables or name not in _ELSEWHERE else f"{name} is not at hand: {_ELSEWHERE[name]}"
        )


WHEN: typing.Final = Scope(gives="true or false", variables=WITH_ANSWERS)
PATH: typing.Final = Scope(gives="a string or a list of strings", variables=WITH_ANSWERS)
VALUE: typing.Final = Scope(gives="a string, a number, a boolean or null", variables=WITH_ANSWERS)
BODY: typing.Final = Scope(gives="any value", variables=WITH_ANSWERS)
KEY: typing.Final = Scope(gives="a string")
QUESTION: typing.Final = Scope(gives="a string", variables=WITH_ANSWERS)

ANSWER_STATUS: typing.Final = Scope(gives="a whole number", variables=WITH_ANSWERS, unsettled=True)
ANSWER_VALUE: typing.Final = Scope(
    gives="a string, a number, a boolean or null", variables=WITH_ANSWERS, unsettled=True
)
ANSWER_BODY: typing.Final = Scope(gives="any value", variables=WITH_ANSWERS, unsettled=True)
