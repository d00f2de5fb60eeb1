"""A rule that no type can say, once for both who check it: the API server in CEL, and this program in Python.

A rule is a value with its sentence. The schema carries the CEL text and the sentence (`x-kubernetes-validations`), the
readers run `holds`; so `kubectl apply` and `fanout validate` say the same. A rule without CEL is one that CEL cannot
express; it is checked in files and by the operator, which answers on the route's status.
"""

import re
import typing
from collections.abc import Callable, Hashable, Iterable, Iterator

import msgspec


class Place(typing.NamedTuple):
    """Where a value breaks a rule: the path below it, such as ``targets[2].cache``, and what is to say just there."""

    at: str
    more: str = ""


class Rule(msgspec.Struct, frozen=True):
    """One rule: CEL over ``self``, the sentence when it does not hold, and the same check in Python.

    *at* is the field to mend (``respond.quorum``), below what the rule is of. Where that depends on the value, as in a
    list, `places` gives the very ones; the API server, whose rules cannot count, points at *at* even so.
    """

    cel: str | None
    says: str
    holds: Callable[[typing.Any], bool]
    at: str = ""
    places: Callable[[typing.Any], Iterable[Place]] | None = None

    def broken(self, value: object, path: str) -> Iterator[tuple[str, str]]:
        """Give paths and sentences for what is wrong with *value*, which is at *path*; nothing where the rule holds."""
        if self.holds(value):
            return
        for place in self.places(value) if self.places else (Place(self.at),):
            yield below(path, place.at), self.says + place.more


def matches(pattern: str, says: str) -> Rule:
    """Make the rule that a whole text looks like *pattern* (RE2 and Python, ``^…$``, without double quotes)."""
    return Rule(f'self.matches(r"{pattern}")', says, lambda text: re.fullmatch(pattern, text) is not None)


def lacks(pattern: str, says: str) -> Rule:
    """Make the rule that *pattern* (without double quotes) is nowhere in a text."""
    return Rule(f'!self.matches(r"{pattern}")', says, lambda text: re.search(pattern, text) is None)


def ordered(small: str, large: str, says: str, *, of: Callable[[str], str] = "self.{}".format) -> Rule:
    """Make the rule that field *small* is not more than *large* (camelCase names) where both are there.

    *of* writes the CEL value of a field, e.g. as a duration.
    """
    less, more = snake(small), snake(large)
    return Rule(
        f"!has(self.{small}) || !has(self.{large}) || {of(small)} <= {of(large)}",
        says,
        lambda value: (
            None in (getattr(value, less), getattr(value, more)) or getattr(value, less) <= getattr(value, more)
        ),
        at=small,
    )


def as_duration(field: str) -> str:
    """Write field *field* of ``self`` as a CEL duration."""
    return f"duration(self.{field})"


def said(*fields: str) -> Callable[[typing.Any], Iterator[Place]]:
    """Make the `places` of a rule that asks for *fields* (camelCase names) to be left out: those that are there."""

    def there(value: object) -> Iterator[Place]:
        return (Place(field) for field in fields if getattr(value, snake(field)) is not None)

    return there


def repeated(values: Iterable[Hashable]) -> Iterator[int]:
    """Give the places of what has come before."""
    seen = set()
    for place, one in enumerate(values):
        if one in seen:
            yield place
        seen.add(one)


def below(path: str, at: str) -> str:
    """Write the path of what is *at* a place (``a.b``, ``[2].name``) below *path*."""
    return f"{path}{'.' if path and at and at[0] != '[' else ''}{at}"


def snake(camel: str) -> str:
    """Give the Python name of a field."""
    return re.sub(r"([A-Z])", r"_\1", camel).lower()


def validations(rules: Iterable[Rule]) -> dict[str, object]:
    """Write rules as the part of a schema that carries them; empty without any that CEL can say."""
    written = [_written(rule) for rule in rules if rule.cel is not None]
    return {"x-kubernetes-validations": written} if written else {}


def _written(rule: Rule) -> dict[str, object]:
    out: dict[str, object] = {"rule": rule.cel, "message": rule.says}
    return out | ({"fieldPath": f".{rule.at}"} if rule.at else {})
