"""The reference of the manifest for readers, docs/api.md, made from the same types as the schema.

One section per object, one row per field: its type with bounds and units, whether it has to be there, and the sentence
that stands beside it in the code, which says what unset and zero mean. What is required between fields follows the
table, in the words that a fault uses. An object that stands in several places (a policy) has one section.
"""

import inspect
import typing
from collections.abc import Iterator

import msgspec

from fanout_crds.expressions import ExpressionText
from fanout_crds.kinds import FAULT_NAMES, Answers, Decimal, Duration, Enum, Flag, Integer, Kind, Port, Quantity, Text
from fanout_crds.objects import Field, ListOf, Object, completing, fields, join, rules
from fanout_crds.route import API_VERSION, KIND, Spec

Struct = type[msgspec.Struct]

HEAD: typing.Final = f"""# The manifest, field by field

<!-- Generated from crds/fanout_crds by `make crd`: edit the types, not this file. -->

A manifest is `apiVersion: {API_VERSION}`, `kind: {KIND}`, `metadata` with a `name` and a `namespace`, and a
`spec`. The same sentences are in `kubectl explain fanoutroute.spec`; [examples/](../examples/) has manifests to start
from. An unknown field is a fault, never silently accepted: `fanout validate PATH` says where. null is as good as unset.

- **duration**: a text of whole numbers with the units `h`, `m`, `s` and `ms`, such as `250ms`, `30s` or `1h30m`; up to
  four of them, each up to five digits. No bare numbers, fractions or days (`168h` is a week). `0s` only where a meaning
  of it is told.
- **size**: bytes, as a number or with a unit: `Ki`, `Mi`, `Gi`, `Ti`, `Pi` (powers of 1024) or `k`, `M`, `G`, `T`, `P`
  (powers of 1000).
- **status**: a number from 300 to 599, or a class of them, `"3xx"`, `"4xx"`, `"5xx"`.
- **fault**: an attempt that ended without a status: {", ".join(f"`{name}`" for name in FAULT_NAMES)}.
"""


def text() -> str:
    """Give the page, the same each time."""
    places = _places()
    return HEAD + "".join(_section(struct, places) for struct in places)


def _places() -> dict[Struct, list[str]]:
    """Give where each object stands; one that stands in several places comes first under a name of its own."""
    found: dict[Struct, list[str]] = {}

    def walk(struct: Struct, path: str) -> None:
        found.setdefault(struct, []).append(path)
        for field in fields(struct).values():
            inner, many = _inside(field.kind)
            if inner:
                walk(inner, join(path, field.key) + ("[]" if many else ""))

    walk(Spec, "spec")
    return found


def _inside(kind: Kind) -> tuple[Struct | None, bool]:
    """Give the object in a field, and whether it is the item of a list."""
    match kind:
        case Object(struct=struct):
            return struct, False
        case ListOf(item=Object(struct=struct)):
            return struct, True
        case _:
            return None, False


def _title(struct: Struct, places: dict[Struct, list[str]]) -> str:
    """Name a section by its path, shortened where an object that stands several times is on the way."""
    path = places[struct][0]
    if len(places[struct]) == 1:
        return path
    shared = [one for one in places if len(places[one]) > 1 and path.startswith(places[one][0])]
    outermost = min(shared, key=lambda one: len(places[one][0]))
    return _own_name(outermost) + path.removeprefix(places[outermost][0])


def _own_name(struct: Struct) -> str:
    return struct.__name__[0].lower() + struct.__name__[1:]


def _section(struct: Struct, places: dict[Struct, list[str]]) -> str:
    title, rows = _title(struct, places), [_row(field, places) for field in fields(struct).values()]
    stands = ", ".join(f"`{place}`" for place in places[struct])
    lines = [f"\n## {title}\n", _doc(struct), "\n| field | type | meaning |", "|---|---|---|", *rows]
    if title == _own_name(struct) and len(places[struct]) > 1:
        lines.insert(2, f"\nIt stands at {stands}.")
    if said := list(_said(struct)):
        lines += ["", *(f"- {one}" for one in said)]
    return "\n".join(lines) + "\n"


def _doc(struct: Struct) -> str:
    return inspect.cleandoc(struct.__doc__ or "")


def _row(field: Field, places: dict[Struct, list[str]]) -> str:
    inner, _ = _inside(field.kind)
    name = f"[`{field.key}`](#{_anchor(_title(inner, places))})" if inner else f"`{field.key}`"
    needed = ", **required**" if field.required else ""
    return f"| {name} | {_markdown(_words(field.kind))}{needed} | {_markdown(field.says)} |"


def _markdown(said: str) -> str:
    """Escape what Markdown would take for its own; what stands between backticks it leaves alone, but for |."""
    parts = said.replace("|", "\\|").split("`")
    return "`".join(part if place % 2 else _escaped(part) for place, part in enumerate(parts))


def _escaped(said: str) -> str:
    return said.replace("<", "&lt;").replace("*", "\\*")


def _anchor(title: str) -> str:
    """Give the anchor that GitHub makes of a heading."""
    return "".join(one for one in title.lower() if one.isalnum())


def _said(struct: Struct) -> Iterator[str]:
    """Give what is asked of several fields together, then of each text by itself."""
    for rule in (*rules(struct), *completing(struct)):
        yield _markdown(rule.says) + "."
    for field in fields(struct).values():
        of = field.kind.item if isinstance(field.kind, ListOf) else field.kind
        own = field.kind.rules if isinstance(field.kind, ListOf) else ()
        if isinstance(of, Text):
            own += of.rules
        if own:
            yield f"`{field.key}`: " + "; ".join(_markdown(rule.says) for rule in own) + "."


def _words(kind: Kind) -> str:  # noqa: C901, PLR0912 (a table: one line per kind)
    """Say in words what a field holds."""
    match kind:
        case Text(what=what, longest=longest):
            return what if "up to" in what else f"{what}, up to {longest} characters"
        case Flag():
            return "true or false"
        case Integer(least=least, most=most):
            return f"whole number, {least} to {most}"
        case Enum(words=words):
            return "one of " + ", ".join(f"`{word}`" for word in words)
        case Duration(zero=zero):
            return "duration" + (", `0s` too" if zero else "")
        case Quantity(most=most):
            return f"size, up to {most}"
        case Decimal(least=least, most=most):
            return f"number, {least} to {most}; fractions in quotes"
        case Answers(faults=faults):
            return "status or fault" if faults else "status"
        case ExpressionText(what=what):
            return f"{what} ([expressions](expressions.md))"
        case Port():
            return "port number, or the name of one"
        case Object():
            return "object"
        case ListOf(item=item, least=least, most=most):
            return f"list of {least} to {most}: {_words(item)}"
        case _:
            raise TypeError(f"no words for {kind!r}: give it a line here")
