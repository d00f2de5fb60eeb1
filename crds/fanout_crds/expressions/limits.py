"""What an expression may cost: how large data it can be given before it would hold up everybody else.

An evaluation runs on the loop that also accepts and sends. The runtime bounds the steps of its loops, but not what a
step does: `map` and `filter` copy their result at each step (10,000 elements took 20 s), and strings can be made to
grow. So the cost is estimated from the tree for lists of a given length and a given number of bytes of text. Each
expression gets a `Reach`: the largest data for which its estimate stays below MOST. Data are measured against it before
they are converted. An expression that is too expensive even with the smallest reach is refused.

Costs are estimates in µs, measured and rounded up.
"""

import functools
import typing

import msgspec

from fanout_crds.expressions.sentences import Unusable
from fanout_crds.expressions.syntax import Call, Constant, Loop, Made, Name, Node, Select

TEXT: typing.Final = 2048  # characters of an expression
MOST: typing.Final = 50_000.0  # µs of one evaluation
VALUES: typing.Final = 5_000  # values of the data that are converted: keys' values and list elements, at any depth
DEEPEST: typing.Final = 64  # levels of the data
NESTED: typing.Final = 3  # loops inside loops
STEPS: typing.Final = 10_000.0  # of all loops of an evaluation: the runtime ends it there

_STEP, _NODE, _BYTE = 1.0, 0.5, 0.001  # of a loop's step, of each node of the tree, of each byte of text
_PART: typing.Final = 2.0  # of `split`, for each part that it may make
_COPY: typing.Final = 0.12  # of a result so far, per element and step


class Reach(msgspec.Struct, frozen=True):
    """The longest list or map, and the most bytes of text, that an expression may be given."""

    length: int
    size: int


# In order of preference, text before length: most expressions read strings, and few read lists.
LADDER: typing.Final = tuple(
    Reach(length, size)
    for size, shortest in ((1 << 20, 128), (1 << 16, 32), (1 << 14, 16), (1 << 12, 16), (1 << 9, 16))
    for length in (4096, 2048, 1024, 512, 256, 128, 64, 32, 16)
    if length >= shortest
)


class _Load(msgspec.Struct, frozen=True):
    """How large a value may be: the elements that it has, those of the longest list in it, and all its bytes."""

    length: float
    inner: float
    size: float

    def element(self, size: float) -> "_Load":
        """Give an element of it that has *size* bytes."""
        return _Load(self.inner, self.inner, size)


_NOTHING: typing.Final = _Load(0, 0, 0)
_SCALAR: typing.Final = _Load(1, 0, 8)
_SMALL: typing.Final = frozenset({
    "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_&&_", "_||_", "!_", "@in", "@not_strictly_false", "size",
    "matches", "contains", "startsWith", "endsWith", "indexOf", "lastIndexOf", "int", "uint", "double", "bool", "type",
    "_-_", "_*_", "_/_", "_%_", "-_",
})  # fmt: skip


def reach(tree: Node) -> Reach:
    """Say how large data the expression may be given. Raises Unusable when it costs too much with any."""
    for rung in LADDER:
        if _Estimate(rung).cost(tree) <= MOST:
            return rung
    least = LADDER[-1]
    raise Unusable(
        f"costs too much: with lists of {least.length} elements and {least.size} bytes of text it may take longer"
        f" than {MOST / 1000:g} ms; loop inside loops less, or make less text"
    )


class _Estimate:
    """Walks a tree for one reach."""

    def __init__(self, rung: Reach) -> None:
        self._given = _Load(rung.length, rung.length, rung.size)
        self._spent = 0.0
        self._nested = 0

    def cost(self, tree: Node) -> float:
        """Estimate one evaluation."""
        self._spent = 0.0
        self._load(tree, {})
        return self._spent

    def _load(self, node: Node, bound: dict[str, _Load]) -> _Load:
        self._spent += _NODE
        match node:
            case Constant(value=value):
                return _SCALAR if value is None else _text(len(value))
            case Name(name=name):
                return bound.get(name, self._given)
            case Select(operand=operand):
                whole = self._load(operand, bound)
                return whole.element(whole.size)
            case Made(parts=parts):
                loads = [self._load(part, bound) for part in parts]
                inner = max((max(one.length, one.inner) for one in loads), default=0)
                return _Load(len(parts), inner, sum(one.size for one in loads))
            case Call():
                return self._call(node.function, [self._load(part, bound) for part in node.over])
            case Loop():
                return self._loop(node, bound)
            case _:
                typing.assert_never(node)

    def _call(self, function: str, over: list[_Load]) -> _Load:
        size = sum(one.size for one in over)
        self._spent += size * _BYTE
        match function:
            case _ if function in _SMALL:
                return _SCALAR
            case "_[_]":
                return over[0].element(over[0].size)
            case "_?_:_":
                made = _larger(over[1], over[2])
            case "_+_":
                made = _Load(over[0].length + over[1].length, max(over[0].inner, over[1].inner), size)
            case "split":
                self._spent += over[0].size * _PART
                made = _Load(over[0].size + 1, 1, over[0].size)
            case "replace":
                made = _text(over[0].size * (1 + over[2].size))
            case "join":
                made = _text(over[0].size + over[0].length * (over[1].size if len(over) > 1 else 0))
            case "format" | "quote" | "string":
                made = _text(size * 6 + 64)
            case _:
                made = functools.reduce(_larger, over, _SCALAR)
        self._spent += made.size * _BYTE
        return made

    def _loop(self, loop: Loop, bound: dict[str, _Load]) -> _Load:
        """Estimate a loop. The worst case is a few elements as large as the data allow, and the rest empty."""
        over, start = self._load(loop.over, bound), self._load(loop.start, bound)
        self._nested += 1
        if self._nested > NESTED:
            raise Unusable(f"loops (all, exists, map, filter …) are nested more than {NESTED} deep")
        steps = min(over.length, STEPS)
        full = max(1.0, min(steps, VALUES / max(over.inner, 1)))
        small, of_small = self._body(loop, bound, _NOTHING)
        wide, of_wide = self._body(loop, bound, over.element(over.size / full))
        large, of_large = self._body(loop, bound, over.element(over.size))
        self._nested -= 1
        self._spent += steps * (_STEP + of_small) + max(full * (of_wide - of_small), of_large - of_small)
        if not isinstance(loop.start, Made):
            return start
        self._spent += steps * steps * _COPY
        return _Load(steps, max(wide.inner, large.inner), steps * small.size + max(full * wide.size, large.size))

    def _body(self, loop: Loop, bound: dict[str, _Load], element: _Load) -> tuple[_Load, float]:
        """What a step adds to the result, and what it costs."""
        before, self._spent = self._spent, 0.0
        names = dict.fromkeys(loop.names, element) | {"@result": _NOTHING}
        loads = [self._load(part, bound | names) for part in loop.body]
        cost, self._spent = self._spent, before
        return functools.reduce(_larger, loads), cost


def _text(size: float) -> _Load:
    return _Load(1, 0, size)


def _larger(one: _Load, other: _Load) -> _Load:
    return _Load(max(one.length, other.length), max(one.inner, other.inner), max(one.size, other.size))
