"""A rule that no type can say, once for both who check it: the API server in CEL, and this program in Python.

A rule is a value with its sentence. The schema carries the CEL text and the sentence (`x-kubernetes-validations`), the
readers run `holds`; so `kubectl apply` and `fanout validate` say the same. A rule without CEL is one that CEL cannot
express; it is checked in files and by the operator, which answers on the route's status.
"""

import re
import typing
from collections.abc import Callable, Iterable

import msgspec


class Rule(msgspec.Struct, frozen=True):
    """One rule: CEL over ``self``, the sentence when it does not hold, and the same check in Python."""

    cel: str | None
    says: str
    holds: Callable[[typing.Any], bool]


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
    )


def as_duration(field: str) -> str:
    """Write field *field* of ``self`` as a CEL duration."""
    return f"duration(self.{field})"


def snake(camel: str) -> str:
    """Give the Python name of a field."""
    return re.sub(r"([A-Z])", r"_\1", camel).lower()


def validations(rules: Iterable[Rule]) -> dict[str, object]:
    """Write rules as the part of a schema that carries them; empty without any that CEL can say."""
    written = [{"rule": rule.cel, "message": rule.says} for rule in rules if rule.cel is not None]
    return {"x-kubernetes-validations": written} if written else {}
