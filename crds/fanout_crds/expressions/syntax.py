"""The tree of a checked expression, read out of its protobuf encoding (cel-spec, proto/cel/expr/syntax.proto).

The runtime gives its tree away only in this form. We need a fraction of it, so that a reader of forty lines does
instead of a dependency: which names are read, what is called, and what runs in a loop.
"""

import struct
import typing
from collections.abc import Iterator

import msgspec


class Constant(msgspec.Struct, frozen=True):
    """A literal; numbers, booleans and null all stand as their kind only."""

    value: str | bytes | None


class Name(msgspec.Struct, frozen=True):
    """A variable, of the environment or of a loop."""

    name: str


class Select(msgspec.Struct, frozen=True):
    """``operand.field``; with *test*, ``has(operand.field)``."""

    operand: "Node"
    field: str
    test: bool


class Call(msgspec.Struct, frozen=True):
    """A function or an operator (``_+_``); *over* is what a method is called on, if it is one, and the arguments."""

    function: str
    over: tuple["Node", ...]


class Made(msgspec.Struct, frozen=True):
    """A list or a map literal."""

    parts: tuple["Node", ...]


class Loop(msgspec.Struct, frozen=True):
    """What a macro becomes (all, exists, exists_one, map, filter): *names* are those it binds."""

    names: tuple[str, ...]
    over: "Node"
    start: "Node"
    body: tuple["Node", ...]  # condition, step and result


Node = Constant | Name | Select | Call | Made | Loop

_Fields = dict[int, list[typing.Any]]


def read(tree: bytes) -> Node:
    """Read a CheckedExpr that is packed in an Any."""
    return _node(_first(_fields(_first(_fields(tree), 2)), 4))


def _node(data: bytes) -> Node:
    found = _fields(data)
    for number, make in _KINDS.items():
        if number in found:
            return make(_fields(found[number][0]))
    return Constant(None)


def _constant(found: _Fields) -> Node:
    if 6 in found:
        return Constant(str(found[6][0], "utf-8"))
    return Constant(bytes(found[7][0]) if 7 in found else None)


def _name(found: _Fields) -> Node:
    return Name(_text(found, 1))


def _select(found: _Fields) -> Node:
    return Select(_node(_first(found, 1)), _text(found, 2), 3 in found)


def _call(found: _Fields) -> Node:
    return Call(_text(found, 2), tuple(_node(one) for one in [*found.get(1, []), *found.get(3, [])]))


def _list(found: _Fields) -> Node:
    return Made(tuple(_node(one) for one in found.get(1, [])))


def _map(found: _Fields) -> Node:
    entries = [_fields(one) for one in found.get(2, [])]
    return Made(tuple(_node(_first(entry, number)) for entry in entries for number in (3, 4) if number in entry))


def _loop(found: _Fields) -> Node:
    names = tuple(_text(found, number) for number in (1, 3, 8) if number in found)
    body = tuple(_node(_first(found, number)) for number in (5, 6, 7))
    return Loop(names, _node(_first(found, 2)), _node(_first(found, 4)), body)


_KINDS: typing.Final = {3: _constant, 4: _name, 5: _select, 6: _call, 7: _list, 8: _map, 9: _loop}


def _text(found: _Fields, number: int) -> str:
    return str(found[number][0], "utf-8") if number in found else ""


def _first(found: _Fields, number: int) -> bytes:
    return typing.cast(bytes, found[number][0])


def _fields(data: bytes) -> _Fields:
    """Take a message apart: its values by field number (protobuf wire format)."""
    found: _Fields = {}
    for number, value in _values(data):
        found.setdefault(number, []).append(value)
    return found


def _values(data: bytes) -> Iterator[tuple[int, object]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        match key & 7:
            case 0:
                value, at = _varint(data, at)
                yield key >> 3, value
            case 1:
                yield key >> 3, struct.unpack_from("<d", data, at)[0]
                at += 8
            case 2:
                size, at = _varint(data, at)
                yield key >> 3, data[at : at + size]
                at += size
            case kind:
                raise ValueError(f"a checked expression holds no field of wire type {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
