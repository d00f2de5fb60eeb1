"""The CEL runtime behind our own few words: this is the only module that knows the library.

`cel-expr-python` is the C++ runtime of CEL. It type-checks, refuses unknown names and functions at compile time, nests
at most 32 deep, and ends an evaluation after 10,000 steps of its loops. What it does not bound is bounded in
`limits`. It converts a variable when an expression first reads it, and an activation keeps what was converted.
"""

import functools
import typing

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from fanout_crds.expressions.scope import VARIABLES

_TEXTS = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
_TYPES: typing.Final = {
    "event": _TEXTS,
    "data": cel.Type.DYN,
    "headers": _TEXTS,
    "path": _TEXTS,
    "query": _TEXTS,
    "targets": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
}
# What a plain value is, where that says it all and asking the runtime can be saved (a µs). A fault comes as a text too.
_PLAINLY: typing.Final[dict[type, str]] = {
    bool: "BOOL",
    int: "INT",
    float: "DOUBLE",
    list: "LIST",
    dict: "MAP",
    type(None): "NULL",
}
_OF_AN_ANSWER: typing.Final = {
    "state": cel.Type.STRING,
    "reason": cel.Type.STRING,
    "status": cel.Type.INT,
    "headers": _TEXTS,
    "truncated": cel.Type.BOOL,
    "fallback": cel.Type.BOOL,
    "cached": cel.Type.BOOL,
}
_STRINGS: typing.Final = ext_strings.ExtStrings(version=4)
_ENVIRONMENT: typing.Final = cel.NewEnv(
    variables={name: _TYPES[name] for name in VARIABLES},
    extensions=[_STRINGS],
)


class Bindings(typing.Protocol):
    """Variables with their values, converted as they are read."""


class Program(typing.Protocol):
    """A compiled expression."""

    @property
    def gives(self) -> str:
        """The type of its value as far as it is known: BOOL, STRING, DYN …"""

    @property
    def tree(self) -> bytes:
        """The checked expression as `cel.expr.CheckedExpr` (protobuf), in an Any."""

    def run(self, bindings: Bindings) -> tuple[str, object]:
        """Evaluate: the type and the value. Of type ERROR, the value is the runtime's own words."""


class _Program:
    """A program of the library."""

    __slots__ = ("_expression", "gives")

    def __init__(self, expression: cel.Expression) -> None:
        self._expression = expression
        self.gives = expression.return_type().name()

    @property
    def tree(self) -> bytes:
        return typing.cast(bytes, self._expression.serialize())

    def run(self, bindings: Bindings) -> tuple[str, object]:
        try:
            found = self._expression.eval(bindings)
        except RuntimeError as fault:  # what ends an evaluation from outside, such as its loops' budget
            return "ERROR", str(fault)
        value = found.plain_value()
        return _PLAINLY.get(type(value)) or found.type().name(), value


def compile(text: str) -> Program:  # noqa: A001 - the word
    """Compile and type-check. Raises RuntimeError in the library's own words, with lines and columns."""
    return _Program(_ENVIRONMENT.compile(text))


def check(text: str, answers: frozenset[str]) -> None:
    """Type-check with the parts of *answers* known, such as ``targets.pay``. Raises RuntimeError as `compile` does."""
    _knowing(answers).compile(text)


@functools.lru_cache(maxsize=64)
def _knowing(answers: frozenset[str]) -> cel.Env:
    """CEL takes a dotted name for a variable before it looks for a field, so that each part can have a type."""
    parts = {f"{one}.{part}": kind for one in answers for part, kind in _OF_AN_ANSWER.items()}
    names = {one: cel.Type.DYN for one in answers if "." not in one}
    return cel.NewEnv(variables=_TYPES | names | parts, extensions=[_STRINGS])


def bind(variables: typing.Mapping[str, object]) -> Bindings:
    """Make bindings of plain values: dicts, lists, strings, numbers, booleans, None and bytes."""
    return typing.cast(Bindings, _ENVIRONMENT.Activation(variables))
