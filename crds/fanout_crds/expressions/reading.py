"""What an expression reads: which variables, which parts of them, which headers.

A variable is converted as a whole when it is read: a millisecond for some hundred keys. So of `data` only the parts
that expressions name are handed in, and of a producer's headers only those are kept with an event. A header can
therefore only be read by its name. So it is with the query that an event was sent with, which may be read whole too.
"""

import typing

import msgspec

from fanout_crds import headers
from fanout_crds.expressions.sentences import Unusable
from fanout_crds.expressions.syntax import Call, Constant, Loop, Made, Name, Node, Select

Parts = dict[str, "Parts"] | None  # of a mapping: the keys that are read, and what of each; None: all of it


class Reads(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of each variable: an empty mapping when nothing is; *headers* are lower-case names."""

    variables: frozenset[str] = frozenset()
    data: Parts = {}
    headers: frozenset[str] = frozenset()
    targets: Parts = {}
    path: Parts = {}
    query: Parts = {}


def together(all_reads: typing.Iterable[Reads]) -> Reads:
    """Give what several expressions read."""
    variables: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    data: Parts = {}
    targets: Parts = {}
    path: Parts = {}
    query: Parts = {}
    for one in all_reads:
        variables |= one.variables
        names |= one.headers
        data = _joined(data, one.data)
        targets = _joined(targets, one.targets)
        path = _joined(path, one.path)
        query = _joined(query, one.query)
    return Reads(variables=variables, data=data, headers=names, targets=targets, path=path, query=query)


def of(tree: Node) -> Reads:
    """Say what *tree* reads. Raises Unusable for a header that nobody may read, or that is not named."""
    seen = _Seen()
    seen.walk(tree, frozenset())
    return Reads(
        variables=frozenset(seen.variables),
        data=seen.data,
        headers=frozenset(seen.headers),
        targets=seen.targets,
        path=seen.path,
        query=seen.query,
    )


class _Seen:
    """Collects while a tree is walked."""

    def __init__(self) -> None:
        self.variables: set[str] = set()
        self.headers: set[str] = set()
        self.data: Parts = {}
        self.targets: Parts = {}
        self.path: Parts = {}
        self.query: Parts = {}

    def walk(self, node: Node, bound: frozenset[str]) -> None:
        """See *node*, where a loop has *bound* names to its own values."""
        if (asked := _asked(node)) is not None and asked[0] not in bound:
            return self._variable(asked[0], (asked[1],))
        path, root = _path(node)
        if isinstance(root, Name) and root.name not in bound:
            self._variable(root.name, path)
        elif root is not node:
            self.walk(root, bound)
        for inner, names in _inside(node, bound):
            self.walk(inner, names)
        return None

    def _variable(self, name: str, path: tuple[str, ...]) -> None:
        self.variables.add(name)
        if name == "data":
            self.data = _joined(self.data, _only(path))
        if name == "targets":
            self.targets = _joined(self.targets, _only(path))
        if name == "path":
            self.path = _joined(self.path, _only(path))
        if name == "query":
            self.query = _joined(self.query, _only(path))
        if name == "headers":
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
    """Take ``"key" in variable`` apart, where the variable holds texts by name: no more than the key is read of it."""
    match node:
        case Call(function="@in", over=(Constant(value=str(key)), Name(name="headers" | "path" | "query" as name))):
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
    parts: Parts = None
    for key in reversed(path):
        parts = {key: parts}
    return parts


def _joined(one: Parts, other: Parts) -> Parts:
    if one is None or other is None:
        return None
    both = dict(one)
    for key, parts in other.items():
        both[key] = _joined(both[key], parts) if key in both else parts
    return both
