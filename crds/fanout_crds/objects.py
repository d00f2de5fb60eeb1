"""Lists and objects of the API, made of kinds: the part that walks.

An object's fields are those of a frozen Struct, each ``Annotated[type, kind, "what it means"]``. A field without a
Struct default is required; one whose default is a value carries it as `default:` in the CRD; one whose default is None
is simply unset. null is the same as unset, as it is to the API server. Rules over several fields stand in the Struct's
``RULES`` and are asked only of an object that reads well; those in ``COMPLETE`` ask for what may also be inherited, and
are only asked once it is.
"""

import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import msgspec

from fanout_crds.faults import Faults, show
from fanout_crds.kinds import Answers, Duration, Enum, Kind, Quantity, Schema
from fanout_crds.nearest import field_hint
from fanout_crds.rules import Rule, validations


class Field(msgspec.Struct, frozen=True):
    """One field of an object: its names here and in a manifest, and what it may hold."""

    name: str
    key: str
    kind: Kind
    says: str
    required: bool
    default: object  # None: unset


@cache
def fields(struct: type[msgspec.Struct]) -> dict[str, Field]:
    """Give the fields of *struct* by their name in a manifest."""
    found = {}
    for info in msgspec.structs.fields(struct):
        kind, says = typing.cast("tuple[Kind, str]", info.type.__metadata__)
        default = None if info.required or info.default == () else info.default
        found[info.encode_name] = Field(info.name, info.encode_name, kind, says, info.required, default)
    return found


def rules(struct: type[msgspec.Struct]) -> tuple[Rule, ...]:
    """Give the rules over several fields of *struct*."""
    return getattr(struct, "RULES", ())


def completing(struct: type[msgspec.Struct]) -> tuple[Rule, ...]:
    """Give the rules that *struct* has to meet once everything it inherits is there."""
    return getattr(struct, "COMPLETE", ())


@dataclass(frozen=True)
class Object:
    """A mapping with known fields, read as *struct*. *whole*: a union, which an inherited one never fills up.

    *brief*: its fields are explained at another place of the CRD, which has to stay small.
    """

    struct: type[msgspec.Struct]
    whole: bool = False
    brief: bool = False

    def schema(self) -> Schema:
        properties: Schema = {}
        for field in fields(self.struct).values():
            says = {} if self.brief else {"description": manual(field.kind, field.says)}
            properties[field.key] = says | (bare(field.kind.schema()) if self.brief else field.kind.schema())
            if field.default is not None:
                properties[field.key] |= {"default": field.default}  # type: ignore[operator]
        out: Schema = {"type": "object", "properties": properties}
        if required := [field.key for field in fields(self.struct).values() if field.required]:
            out["required"] = required
        return out | validations(rules(self.struct))

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        if not isinstance(value, dict):
            return faults.add(path, f"expected a mapping, got {show(value, quiet=True)}; {self._instead(value)}")
        before = len(faults)
        read = dict(self._read(value, path, faults))
        if len(faults) > before:
            return None
        made = self.struct(**read)
        check(made, path, faults)
        return made

    def _instead(self, value: object) -> str:
        """Say what to write in place of *value*, which is no mapping."""
        if value is True and self._needs_nothing():
            return "write {} for its defaults"
        return f"known here: {', '.join(fields(self.struct))}"

    def _needs_nothing(self) -> bool:
        nothing = Faults()
        self.read({}, "", nothing)
        return not nothing and not completing(self.struct)

    def _read(self, value: dict[str, object], path: str, faults: Faults) -> Iterator[tuple[str, object]]:
        known = fields(self.struct)
        for key in value:
            if key not in known:
                faults.add(join(path, key), f"unknown field; {field_hint(key, known, faults.elsewhere(path, key))}")
        for key, field in known.items():
            found = value.get(key)
            if found is not None:
                yield field.name, field.kind.read(found, join(path, key), faults)
            elif field.required:
                words = f": {' or '.join(field.kind.words)}" if isinstance(field.kind, Enum) else ""
                faults.add(join(path, key), f"is required{words}")


@dataclass(frozen=True, kw_only=True)
class ListOf:
    """A list of *item*; with *key*, one item per value of that field (`listType: map`)."""

    item: Kind
    most: int
    least: int = 0
    key: str | None = None
    rules: tuple[Rule, ...] = ()

    def schema(self) -> Schema:
        out: Schema = {"type": "array", "maxItems": self.most, "items": self.item.schema()}
        if self.least:
            out["minItems"] = self.least
        out |= (
            {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}
            if self.key
            else {"x-kubernetes-list-type": "atomic"}
        )
        return out | validations(self.rules)

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        if not isinstance(value, list):
            return faults.add(path, f"expected a list, got {show(value, quiet=True)}{self._instead(value)}")
        if not self.least <= len(value) <= self.most:
            return faults.add(path, f"expected {self.least} to {self.most} items, got {len(value)}")
        self._check_keys(value, path, faults)
        before = len(faults)
        items = tuple(self.item.read(one, f"{path}[{place}]", faults) for place, one in enumerate(value))
        if len(faults) == before:
            for rule in self.rules:
                for at, says in rule.broken(items, path):
                    faults.add(at, says)
        return items

    def _instead(self, value: object) -> str:
        """Say how a list is written of *value*: the tail of a sentence."""
        if isinstance(value, dict):
            return '; each of its items begins with "- "'
        alone = Faults()
        self.item.read(value, "", alone)
        return "" if alone else f"; write [{show(value)}]"

    def _check_keys(self, value: list[object], path: str, faults: Faults) -> None:
        seen: dict[str, int] = {}
        for place, one in enumerate(value):
            name = one.get(self.key) if self.key and isinstance(one, dict) else None
            if isinstance(name, str) and seen.setdefault(name, place) != place:
                faults.add(
                    f"{path}[{place}].{self.key}", f"{show(name)} is already the {self.key} of {path}[{seen[name]}]"
                )


def manual(kind: Kind, says: str) -> str:
    """Write what `kubectl explain` shows of a field: its sentence, how a value is written, what an object asks for.

    It shows types and words of its own accord, but neither units nor the rules between fields.
    """
    match kind:
        case ListOf(item=item):
            return manual(item, says)
        case Duration():
            return f"{says} A duration such as 250ms, 30s or 1h30m."
        case Quantity():
            return f"{says} A size such as 4096 (bytes), 64Ki or 1Gi."
        case Answers(faults=faults):
            classes = ", a class such as 5xx or a fault" if faults else " or a class such as 5xx"
            return f"{says} Each a status such as 429{classes}."
        case Object(struct=struct):
            story = inspect.cleandoc(struct.__doc__ or "").split("\n\n")[1:]
            asks = [f"- {rule.says}." for rule in (*rules(struct), *completing(struct))]
            return "\n".join([says, *(" ".join(one.split()) for one in story), *asks])
        case _:
            return says


def bare(schema: Schema) -> Schema:
    """Leave out every description of a field."""
    items, properties = schema.get("items"), schema.get("properties")
    out = {key: one for key, one in schema.items() if key != "description"}
    if isinstance(items, dict):
        out["items"] = bare(items)
    if isinstance(properties, dict):
        out["properties"] = {name: bare(one) for name, one in properties.items()}
    return out


def check(value: msgspec.Struct, path: str, faults: Faults, *, tail: str = "") -> None:
    """Say which rules over several fields *value* itself breaks; *tail* ends the sentence."""
    for rule in rules(type(value)):
        for at, says in rule.broken(value, path):
            faults.add(at, says + tail)


def join(path: str, key: str) -> str:
    """Write the path of field *key* of the object at *path*; keys of hostile length are cut."""
    key = key if len(key) <= 100 else key[:99] + "…"
    return f"{path}.{key}" if path else key
