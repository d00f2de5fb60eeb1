"""What an expression reads: which variables, which parts of them, which headers.

Converting a variable for the runtime takes about a millisecond for some hundred keys. So only the parts of `data`,
`targets`, `path`, `query` and `event` that an expression names are handed to it, and only the headers and query
parameters that are named are kept with an event. A header can therefore be read by a fixed name only; the others may
also be read whole, and are then handed in whole.
"""

import functools
import typing

import msgspec

from fanout_crds import headers
from fanout_crds.expressions.sentences import Unusable
from fanout_crds.expressions.syntax import Call, Constant, Loop, Made, Name, Node, Select

Parts = dict[str, "Parts"] | None  # of a mapping: the keys that are read, and what of each; None: all of it
PARTED: typing.Final = ("data", "targets", "path", "query", "event")  # variables of which parts are handed in

_OF_STRINGS: typing.Final = frozenset({"headers", "path", "query", "event"})


class Reads(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of each variable: an empty mapping when nothing is; *headers* are lower-case names.

    *tested* are the targets of which something is asked for by has().
    """

    variables: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    data: Parts = {}
    targets: Parts = {}
    path: Parts = {}
    query: Parts = {}
    event: Parts = {}
    tested: frozenset[str] = frozenset()


def together(all_reads: typing.Iterable[Reads]) -> Reads:
    """Give what several expressions read."""
    every = tuple(all_reads)
    nothing: Parts = {}
    parts = {name: functools.reduce(_joined, (getattr(one, name) for one in every), nothing) for name in PARTED}
    return Reads(
        variables=frozenset().union(*(one.variables for one in every)),
        headers=frozenset().union(*(one.headers for one in every)),
        tested=frozenset().union(*(one.tested for one in every)),
        **parts,
    )


def of(tree: Node) -> Reads:
    """Say what *tree* reads. Raises Unusable for a header that nobody may read, or that is not named."""
    seen = _Seen()
    seen.walk(tree, frozenset())
    return Reads(
        variables=frozenset(seen.variables),
        headers=frozenset(seen.headers),
        tested=frozenset(seen.tested),
        **seen.parts,
    )


class _Seen:
    """Collects while a tree is walked."""

    def __init__(self) -> None:
        self.variables: set[str] = set()
        self.headers: set[str] = set()
        self.tested: set[str] = set()
        self.parts: dict[str, Parts] = {name: {} for name in PARTED}

    def walk(self, node: Node, bound: frozenset[str]) -> None:
        """Note what *node* reads; the names in *bound* are a loop's own and read no variable."""
        if (asked := _asked(node)) is not None and asked[0] not in bound:
            return self._variable(asked[0], (asked[1],))
        path, root = _path(node)
        if isinstance(root, Name) and root.name not in bound:
            self._variable(root.name, path)
            if root.name == "targets" and path and isinstance(node, Select) and node.test:
                self.tested.add(path[0])
        elif root is not node:
            self.walk(root, bound)
        for inner, names in _inside(node, bound):
            self.walk(inner, names)
        return None

    def _variable(self, name: str, path: tuple[str, ...]) -> None:
        self.variables.add(name)
        if name in self.parts:
            self.parts[name] = _joined(self.parts[name], _only(path))
        elif name == "headers":
            self._header(path)

    def _header(self, path: tuple[str, ...]) -> None:
        if not path:
            raise Unusable('headers are read one by one and by name, such as headers["x-shop"]')
        name = path[0]
        if name != name.lower():
            raise Unusable(f'header names are in lower case here: write headers["{name.lower()}"]')
        if name.startswith("ce-"):
            raise Unusable(f'the header {name} is an attribute of the event: write event["{name[3:]}"]')
        if name not in headers.CARRIED and not headers.settable(name.encode()):
            raise Unusable(f"the header {name} is not at hand: it is a credential, the connection's, or Fanout's own")
        self.headers.add(name)


def _asked(node: Node) -> tuple[str, str] | None:
    """Take ``"key" in variable`` apart, for a variable that holds strings by name: it reads that key and no more."""
    match node:
        case Call(function="@in", over=(Constant(value=str(key)), Name(name=name))) if name in _OF_STRINGS:
            return name, key
        case _:
            return None


def _path(node: Node) -> tuple[tuple[str, ...], Node]:
    """Take ``root.a["b"]`` apart: its fixed keys, and the root."""
    match node:
        case Select(operand=operand, field=field):
            path, root = _path(operand)
            return (*path, field), root
        case Call(function="_[_]", over=(operand, Constant(value=str(key)))):
            path, root = _path(operand)
            return (*path, key), root
        case _:
            return (), node


def _inside(node: Node, bound: frozenset[str]) -> list[tuple[Node, frozenset[str]]]:
    """Give the parts of *node* that `_path` has not walked, each with the names that are bound in it."""
    match node:
        case Call(function="_[_]", over=(_, Constant(value=str()))):
            return []
        case Call(over=parts) | Made(parts=parts):
            return [(part, bound) for part in parts]
        case Loop():
            within = bound | frozenset(node.names)
            return [(node.over, bound), (node.start, bound), *((part, within) for part in node.body)]
        case _:
            return []


def _only(path: tuple[str, ...]) -> Parts:
    """Give the parts that reading one *path* reads."""
    parts: Parts = None
    for key in reversed(path):
        parts = {key: parts}
    return parts


def _joined(one: Parts, other: Parts) -> Parts:
    """Give the parts that *one* or *other* reads."""
    if one is None or other is None:
        return None
    both = dict(one)
    for key, parts in other.items():
        both[key] = _joined(both[key], parts) if key in both else parts
    return both
