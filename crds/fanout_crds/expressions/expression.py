"""An expression, compiled: what it reads, and its value for an event."""

import functools
import typing

import msgspec

from fanout_crds.expressions import limits, reading, runtime, sentences, syntax
from fanout_crds.expressions.limits import Reach
from fanout_crds.expressions.missing import owners
from fanout_crds.expressions.reading import Reads
from fanout_crds.expressions.scope import Gives, Scope
from fanout_crds.expressions.sentences import Unusable

_KNOWN: typing.Final = 4096  # expressions kept compiled, at some 4 KB each: plans come back by each resync
_ATOMS: typing.Final = frozenset({int, float, bool, type(None)})  # of data: they have no size
_KINDS: typing.Final[dict[Gives, frozenset[str]]] = {
    "true or false": frozenset({"BOOL"}),
    "a string": frozenset({"STRING"}),
    "a whole number": frozenset({"INT", "UINT"}),
    "a string, a number, a boolean or null": frozenset({"STRING", "INT", "UINT", "DOUBLE", "BOOL", "NULL"}),
    "a string or a list of strings": frozenset({"STRING", "LIST"}),
}


class Failed(Exception):
    """An evaluation failed; the text is a sentence."""


class Beyond(Failed):
    """What was handed in is more than this expression can take; of less, it may have a value."""


class Activation(msgspec.Struct, frozen=True, eq=False):
    """An event's values as expressions read them. Several expressions share one: each value is converted once."""

    bindings: runtime.Bindings
    length: int  # of the longest list or map in them
    size: int  # bytes of text in them
    variables: typing.Mapping[str, object]  # the same as plain values


class Expression:
    """A compiled expression. Made by `compile`."""

    __slots__ = ("_program", "_wanted", "reach", "reads", "scope", "text")

    def __init__(self, text: str, scope: Scope, program: runtime.Program, tree: syntax.Node) -> None:
        self.text = text
        self.scope = scope
        self.reads = reading.of(tree)
        self.reach: Reach = limits.reach(tree)
        self._program = program
        self._wanted = _KINDS.get(scope.gives)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def value(self, activation: Activation) -> object:
        """Evaluate. Raises Failed, also when the value is not what the field needs."""
        reach = self.reach
        if activation.length > reach.length:
            raise Beyond(f"a list or map has {activation.length} elements; with this expression {reach.length} may be")
        if activation.size > reach.size:
            raise Beyond(f"the data it reads have {activation.size} bytes; with this expression {reach.size} may be")
        kind, value = self._program.run(activation.bindings)
        if kind == "ERROR":
            raise Failed(sentences.failed(str(value), lambda key: owners(key, self.reads, activation.variables)))
        if self._wanted is not None and not _fits(kind, self._wanted):
            raise Failed(f"it must give {self.scope.gives}, it gave {_a(kind)}")
        return value


@functools.lru_cache(maxsize=_KNOWN)
def compile(text: str, scope: Scope) -> Expression:  # noqa: A001 - the word
    """Compile *text* for *scope*. Raises Unusable with a sentence."""
    if len(text) > limits.TEXT:
        raise Unusable(f"must not be longer than {limits.TEXT} characters, it has {len(text)}")
    try:
        program = runtime.compile(text)
    except RuntimeError as fault:
        raise sentences.refused(str(fault), text) from None
    wanted = _KINDS.get(scope.gives)
    if wanted is not None and program.gives != "DYN" and not _fits(program.gives, wanted):
        raise Unusable(f"must give {scope.gives}, it gives {_a(program.gives)}")
    made = Expression(text, scope, program, syntax.read(program.tree))
    for name in sorted(made.reads.variables):
        if missing := scope.missing(name):
            raise Unusable(missing)
    return made


def activate(reads: Reads, given: typing.Mapping[str, typing.Any]) -> Activation:
    """Make the variables that *reads* names out of those *given*; whatever it does not name may be left out.

    Raises Failed where there is more of them than any expression can take.
    """
    variables: dict[str, object] = {}
    measured = _Measured()
    for name in reads.variables:
        if name not in given:
            continue  # the name of a type
        value = given[name]
        if name == "event":
            variables[name] = measured.texts(value)
        elif name == "headers":
            variables[name] = measured.texts({one: value[one] for one in reads.headers if one in value})
        else:
            variables[name] = measured.taken(value, getattr(reads, name))
    return Activation(runtime.bind(variables), measured.length, measured.size, variables)


class _Measured:
    """Takes what is read out of an event and of answers, and counts it: ``length`` elements, ``size`` bytes.

    What is read whole is handed in as it is: nobody changes it.
    """

    __slots__ = ("_values", "length", "size")

    def __init__(self) -> None:
        self.length = 0
        self.size = 0
        self._values = 0

    def texts(self, found: dict[str, str]) -> dict[str, str]:
        """Count the strings of *found*. They came as header values: there are few, and none holds a NUL."""
        self.size += sum(map(len, found.values()))
        return found

    def taken(self, value: object, parts: reading.Parts) -> object:
        """Give *value* with only *parts* of it. Raises Failed when there is too much of it."""
        self._count(1)
        return self._part(value, parts, 0)

    def _part(self, value: object, parts: reading.Parts, depth: int) -> object:
        if parts is None or not isinstance(value, dict | list):
            self._whole(value, depth)
            return value
        if isinstance(value, list):
            return []  # only its keys would be read, and it has none
        found: dict[str, object] = {}
        for key, inner in parts.items():
            if key in value:
                self._text(key, "\0" in key)
                one = found[key] = value[key]
                kind = type(one)
                if kind is str:
                    self._text(one, "\0" in one)
                elif kind not in _ATOMS:
                    found[key] = self._part(one, inner, depth + 1)
        self._enter(len(found), depth)
        return found

    def _whole(self, value: object, depth: int) -> None:
        """Measure *value* with all that is in it."""
        match value:
            case str():
                self._text(value, "\0" in value)
            case dict():
                self._enter(len(value), depth)
                for key, one in value.items():
                    self._text(key, "\0" in key)
                    if type(one) not in _ATOMS:
                        self._whole(one, depth + 1)
            case list():
                self._enter(len(value), depth)
                for one in value:
                    if type(one) not in _ATOMS:
                        self._whole(one, depth + 1)
            case bytes():
                self._text(value, b"\0" in value)
            case _:
                pass  # numbers, true, false and null

    def _text(self, text: str | bytes, cut: bool) -> None:
        """Count *text*. Raises Failed where it holds a NUL (*cut*): for the runtime a text ends there."""
        self.size += len(text)
        if cut:
            raise Failed("the data it reads hold a NUL character, which expressions cannot take")

    def _enter(self, length: int, depth: int) -> None:
        self._count(length)
        self.length = max(self.length, length)
        if depth > limits.DEEPEST:
            raise Failed(f"the data it reads are nested more than {limits.DEEPEST} levels deep")

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > limits.VALUES:
            raise Failed(f"the data it reads have more than {limits.VALUES} values: name the parts that are needed")


def _fits(kind: str, wanted: frozenset[str]) -> bool:
    """Whether the runtime's type *kind* (LIST<DYN>, say) is one of those *wanted*."""
    return kind in wanted or kind.partition("<")[0] in wanted


def _a(kind: str) -> str:
    """Write a type of the runtime as a sentence does."""
    kind = kind.partition("<")[0]
    word = {"BOOL": "true or false", "STRING": "a string", "NULL": "null", "BYTES": "bytes", "INT": "an int"}.get(kind)
    return word or f"a {kind.lower()}"
