"""YAML and JSON text as plain values, each with the line it stands on.

Only what Kubernetes manifests use: mappings with text keys, lists, text, numbers, booleans, null; anchors and merge
keys. Nothing in a file can make us work much more than its size: bytes, depth and, since aliases multiply, values are
bounded. libyaml does the parsing; a first pass over its events checks the depth, as building the tree recurses.
"""

import json
import re
import typing
from collections.abc import Iterator

import msgspec
import yaml

from fanout_crds.faults import Fault, Lines
from fanout_crds.objects import join

MOST_BYTES: typing.Final = 8 * 1024**2
MOST_VALUES: typing.Final = 500_000  # in one file, those that aliases repeat included
DEEPEST: typing.Final = 60

_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_scalars = yaml.constructor.SafeConstructor()
_PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")}
_TEXT = {f"tag:yaml.org,2002:{name}" for name in ("str", "timestamp", "value")}


class Document(msgspec.Struct, frozen=True):
    """One document of a file: its value, where each path of it stands, and what is wrong with how it is written."""

    value: object
    lines: Lines
    faults: tuple[Fault, ...]
    notices: tuple[Fault, ...] = ()


class Unreadable(ValueError):
    """Text that is no YAML or JSON, or more of it than is taken: one sentence and a line."""

    def __init__(self, sentence: str, line: int | None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.line = line


def documents(data: bytes, file: str, *, is_json: bool) -> list[Document]:
    """Read every document in *data*, empty ones left out. Raises Unreadable."""
    if len(data) > MOST_BYTES:
        raise Unreadable(f"the file has more than {MOST_BYTES} bytes", None)
    text = _decoded(data)
    if is_json:
        text = _checked_json(text)
    try:
        _check_depth(text)
        nodes = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        said = " ".join(filter(None, (wrong.context, wrong.problem)))
        raise Unreadable(f"not YAML: {said}", mark.line + 1 if mark else None) from wrong
    except yaml.reader.ReaderError as wrong:
        raise Unreadable(f"not YAML: {wrong.reason}", None) from wrong
    tree = _Tree(file)
    return [tree.document(node) for node in nodes if not _is_empty(node)]


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise Unreadable("not UTF-8 text", data.count(b"\n", 0, wrong.start) + 1) from wrong


def _checked_json(text: str) -> str:
    """Check that *text* is JSON; give it with surrogate pairs, which YAML lacks, as the characters they mean."""
    try:
        json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as wrong:
        raise Unreadable(f"not JSON: {wrong.msg} (column {wrong.colno})", wrong.lineno) from wrong
    except (RecursionError, ValueError) as wrong:
        said = "nested too deeply" if isinstance(wrong, RecursionError) else str(wrong)
        raise Unreadable(f"not JSON that is taken: {said}", None) from wrong
    return _SURROGATES.sub(lambda pair: pair[1] + _character(pair[2], pair[3]), text)


def _no_constant(name: str) -> typing.NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _character(high: str, low: str) -> str:
    return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise Unreadable(f"nested more than {DEEPEST} levels deep", _line(event))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Tree:
    """Turns nodes into values, noting lines; one for a whole file, so that its count of values is bounded."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._left = MOST_VALUES
        self._depth = 0
        self._at: dict[str, int] = {}
        self._faults: list[Fault] = []
        self._notices: list[Fault] = []

    def document(self, node: yaml.Node) -> Document:
        self._at, self._faults, self._notices = {"": _line(node)}, [], []
        value = self._value(node, "")
        return Document(value, Lines(self._file, self._at), tuple(self._faults), tuple(self._notices))

    def _value(self, node: yaml.Node, path: str) -> object:
        self._left -= 1
        if self._left < 0:
            raise Unreadable(f"more than {MOST_VALUES} values, those that aliases repeat included", _line(node))
        if self._depth > DEEPEST:
            raise Unreadable("an alias holds itself", _line(node))
        self._depth += 1
        try:
            match node:
                case yaml.MappingNode():
                    return self._mapping(node, path)
                case yaml.SequenceNode():
                    return [self._item(one, f"{path}[{place}]") for place, one in enumerate(node.value)]
                case yaml.ScalarNode():
                    return self._scalar(node, path)
                case _:
                    raise TypeError(f"no YAML node: {node!r}")
        finally:
            self._depth -= 1

    def _item(self, node: yaml.Node, path: str) -> object:
        self._at[path] = _line(node)
        return self._value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, object]:
        out: dict[str, object] = {name: one for merged in self._merged(node, path) for name, one in merged.items()}
        written: dict[str, int] = {}
        for key, value in self._entries(node, path):
            here = join(path, key.value)
            if key.value in written:
                self._fault(here, f"written twice, first on line {written[key.value]}", key)
                continue
            written[key.value] = _line(key)
            self._at[here] = _line(key)
            self._note_boolean(key, here)
            out[key.value] = self._value(value, here)
        return out

    def _entries(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fault(path, "a key must be text", key)
            elif not _merges(key):
                yield key, value

    def _merged(self, node: yaml.MappingNode, path: str) -> Iterator[dict[str, object]]:
        """Give the mappings of a merge key (<<), the weakest first; what is written beside it wins over all."""
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and _merges(key):
                several: list[yaml.Node] = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for one in reversed(several):
                    if isinstance(one, yaml.MappingNode):
                        yield typing.cast("dict[str, object]", self._value(one, path))
                    else:
                        self._fault(path, "a merge key (<<) takes a mapping or a list of them", one)

    def _scalar(self, node: yaml.ScalarNode, path: str) -> object:
        if node.tag in _TEXT or (node.tag.endswith(":int") and ":" in node.value):  # 1:30 is text to Kubernetes
            return node.value
        if node.tag not in _PLAIN:
            self._fault(path, "expected plain text, a number, true, false or null, not a tagged value", node)
            return None
        try:
            return _scalars.construct_object(node)
        except (ValueError, KeyError, yaml.YAMLError):
            self._fault(path, "expected a number or true or false, as its tag says", node)
            return None

    def _note_boolean(self, key: yaml.ScalarNode, path: str) -> None:
        """YAML 1.1 has more words for true than most people know, and kubectl speaks it."""
        if key.tag.endswith(":bool") and key.value.lower() not in ("true", "false"):
            said = f'write this key in quotes, "{key.value}": kubectl reads a bare {key.value} as true or false'
            self._notices.append(Fault(path, said, self._file, _line(key)))

    def _fault(self, path: str, sentence: str, node: yaml.Node) -> None:
        self._faults.append(Fault(path, sentence, self._file, _line(node)))


def _merges(key: yaml.ScalarNode) -> bool:
    return bool(key.tag == "tag:yaml.org,2002:merge")


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")


def _line(what: yaml.Node | yaml.Event) -> int:
    return what.start_mark.line + 1 if what.start_mark else 1
