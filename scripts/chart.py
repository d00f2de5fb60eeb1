"""`make chart` writes what is made for the chart and from it: its dashboard, its table of values, the kustomize base.

The table is in the style of helm-docs: a value is a comment that begins with "--", the key below it, and its default.
A mapping with such a comment is one value, one without is a heading of those below it. Tests hold all files to this.
"""

import json
import re
import typing

import yaml

from scripts.dashboard import dashboard
from scripts.manifests import BASE, CHART, base

VALUES: typing.Final = CHART / "values.yaml"
README: typing.Final = CHART / "README.md"
DASHBOARD: typing.Final = CHART / "dashboards" / "fanout.json"
TABLE: typing.Final = re.compile(r"^\| Key \| Type \|.*?(?=^(?!\|))", re.MULTILINE | re.DOTALL)
TYPES: typing.Final = {"str": "string", "int": "int", "bool": "bool", "seq": "list", "map": "object", "null": "string"}


class Value(typing.NamedTuple):
    """One row of the table."""

    path: str
    type: str
    default: str
    says: str


def table(text: str) -> str:
    """Make the table of a values.yaml's *text*. Raises ValueError for a value that no comment explains."""
    top = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(top, yaml.MappingNode), "values are a mapping"
    rows = [
        f"| {one.path} | {one.type} | `{one.default}` | {one.says} |" for one in _values(top, text.splitlines(), "")
    ]
    return "\n".join(["| Key | Type | Default | Description |", "|---|---|---|---|", *rows, ""])


def main() -> None:
    """Write all three."""
    DASHBOARD.write_text(dashboard(), encoding="utf-8")
    README.write_text(TABLE.sub(lambda _: table(VALUES.read_text()), README.read_text()))
    BASE.write_text(base(), encoding="utf-8")


def _values(node: yaml.MappingNode, lines: list[str], above: str) -> typing.Iterator[Value]:
    for key, value in node.value:
        path = f"{above}.{key.value}".lstrip(".")
        says = _comment(lines, key.start_mark.line)
        if says:
            default = yaml.SafeLoader("").construct_document(value)
            yield Value(path, TYPES[value.tag.rpartition(":")[2]], json.dumps(default), _escaped(says))
        elif isinstance(value, yaml.MappingNode) and value.value:
            yield from _values(value, lines, path)
        else:
            raise ValueError(f"{path}: a comment that begins with -- has to say what it is")


def _escaped(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _comment(lines: list[str], line: int) -> str:
    """Join the comment that ends above *line*, if it begins with "--"."""
    words: list[str] = []
    for above in reversed(lines[:line]):
        if not above.lstrip().startswith("#"):
            return ""
        text = above.lstrip()[1:].strip()
        if text.startswith("--"):
            return " ".join([text[2:].strip(), *words])
        words.insert(0, text)
    return ""


if __name__ == "__main__":
    main()
