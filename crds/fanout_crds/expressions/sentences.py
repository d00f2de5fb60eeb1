"""The runtime's words about an expression, turned into sentences for the person who wrote it.

A sentence has the position (line and column in the expression), what was found there, and the nearest known name. What
we do not know how to say better stays in the runtime's words.
"""

import re
import typing
from collections.abc import Iterator

from fanout_crds.expressions.scope import VARIABLES
from fanout_crds.nearest import hint

LONGEST: typing.Final = 200  # characters of a runtime's message that are repeated
DEEP: typing.Final = "nested more than 32 levels deep: a chain of + or of fields counts a level each"

_PLACED = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")
_UNKNOWN = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"[Nn]o matching overloads? (?:found : |for )'?([^'(]+)'?(?: applied to )?'?(\(.*\))")
_MISSING_KEY = re.compile(r'Key not found in map : "?([^"]*)"?')
_SYNTAX = re.compile(r"Syntax error: (?:mismatched input|extraneous input|token recognition error at:|[^']*) ?'(.*?)'")
_OPERATOR = re.compile(r"_([^_]+)_$|^!_$|^-_$")
_SPELT = {"_?_:_": "? :", "_[_]": "[ ]", "@in": "in"}
_TYPES = {"int64": "int", "uint64": "uint", "null_type": "null", "*": "value"}

MACROS: typing.Final = ("has", "all", "exists", "exists_one", "map", "filter")
FUNCTIONS: typing.Final = (
    *MACROS, "size", "int", "uint", "double", "string", "bool", "bytes", "timestamp", "duration", "type", "dyn",
    "matches", "contains", "startsWith", "endsWith", "charAt", "indexOf", "lastIndexOf", "join", "split", "replace",
    "substring", "lowerAscii", "upperAscii", "trim", "format", "reverse", "getFullYear", "getMonth", "getDate",
    "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds",
)  # fmt: skip


class Unusable(ValueError):
    """An expression that cannot be taken; the text is a sentence, with the position where there is one."""


def refused(words: str, text: str) -> Unusable:
    """Say why *text* does not compile."""
    if "recursion" in words:
        return Unusable(DEEP)
    found = _PLACED.search(words)
    if found is None:
        return Unusable(_plain(words))
    line, column, said = int(found[1]), int(found[2]), found[3]
    if unknown := _UNKNOWN.search(said):
        name = unknown[1]
        column, says = _reference(name, text, line, column)
    elif overload := _OVERLOAD.search(said):
        says = _mismatch(overload[1], overload[2])
    elif syntax := _SYNTAX.search(said):
        says = "it ends too early" if syntax[1] == "<EOF>" else f"syntax error at {syntax[1]!r}"
    else:
        says = _plain(said)
    return Unusable(f"at {line}:{column}: {says}")


class Fault(typing.NamedTuple):
    """One of several things that are wrong; *function* and *types* where one does not take the others, else empty."""

    says: str
    function: str
    types: str


def each(words: str) -> Iterator[Fault]:
    """Take apart what the runtime says of an expression, whose names are all known."""
    for found in _PLACED.finditer(words):
        overload = _OVERLOAD.search(found[3])
        function, types = (overload[1].strip(), overload[2]) if overload else ("", "")
        says = _mismatch(function, types) if overload else _plain(found[3])
        yield Fault(f"at {found[1]}:{found[2]}: {says}", function, types)


def failed(words: str, owners: typing.Callable[[str], tuple[str, ...]] = lambda _: ()) -> str:
    """Say why an evaluation failed; *owners* names all that an expression looks into for a key and that lack it."""
    if missing := _MISSING_KEY.search(words):
        where = " or ".join(owners(missing[1]))
        return f'there is no "{missing[1]}"{where and f" in {where}"}; has() asks whether there is'
    if overload := _OVERLOAD.search(words):
        return _mismatch(overload[1], overload[2])
    if "Iteration budget" in words:
        return "its loops took more than 10000 steps"
    if "Applying SELECT" in words:
        return "a field is read of a value that has none"
    return _plain(words)


def _reference(name: str, text: str, line: int, column: int) -> tuple[int, str]:
    """Say which name is unknown: the runtime points at the dot or the parenthesis after it."""
    row = text.split("\n")[line - 1]
    called = row[column - 1 : column] == "("
    word = name if called else name.partition(".")[0]
    at = row.rfind(word, 0, max(column - 1, len(word)) if row[column - 1 : column] in {"(", "."} else None)
    known: tuple[str, ...] = FUNCTIONS if called else VARIABLES
    what = "function" if called else "name"
    return (column if at < 0 else at + 1), f"unknown {what} {word}; {hint(word, known)}"


def _mismatch(function: str, types: str) -> str:
    """Say that *function*, in the runtime's spelling, does not take operands of *types*, and how to convert them."""
    for library, ours in _TYPES.items():
        types = types.replace(library, ours)
    function = function.strip()
    if function == "_?_:_":
        condition_fits = types.startswith(("(bool,", "(dyn,"))
        mend = "write dyn() around one of the two results" if condition_fits else "its condition must be true or false"
        return f"{_SPELT[function]} does not take {types}: {mend}"
    if function in _SPELT:
        return f"{_SPELT[function]} does not take {types}"
    operator = _OPERATOR.search(function)
    name = function if operator is None else (operator[1] or function[0])
    converted = "" if operator is None else ": convert with int(), double() or string()"
    return f"{name} does not take {types}{converted}"


def _plain(words: str) -> str:
    """Give the runtime's message without its codes."""
    words = re.sub(r"^[A-Z_]+: ", "", re.sub(r" ?\[[A-Z_]+\]\s*$", "", words.strip()))
    return words.partition("\n")[0][:LONGEST]
