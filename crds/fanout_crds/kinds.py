"""The kinds of value a manifest's fields can hold: each says its schema and reads a value, side by side.

A field of the API is a Struct field annotated with a kind and a sentence. The CRD's schema and the parser both come
from that one annotation, so what the API server accepts and what a file may say cannot drift apart. `read` gives the
typed value, or adds a fault and gives None; it never raises for anything a document may hold.
"""

import re
import typing
from dataclasses import dataclass

from fanout_crds import scalars
from fanout_crds.faults import Faults, show
from fanout_crds.nearest import hint
from fanout_crds.rules import Rule, validations

Schema = dict[str, object]

NOT_ZERO: typing.Final = Rule(
    "duration(self) > duration('0s')", "must be longer than 0s", lambda seconds: bool(seconds > 0)
)
FAULT_NAMES: typing.Final = ("NameFailure", "ConnectFailure", "TlsFailure", "Reset", "Timeout", "ProtocolError")
INT_OR_STRING: typing.Final[Schema] = {
    "x-kubernetes-int-or-string": True,
    "anyOf": [{"type": "integer"}, {"type": "string"}],
}


class Kind(typing.Protocol):
    """What one field, item or document may hold."""

    def schema(self) -> Schema:
        """Give the structural OpenAPI schema, without a description."""

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        """Give the typed value; None after a fault."""


def first_broken(rules: tuple[Rule, ...], value: object, path: str, faults: Faults) -> typing.Any:
    """Give *value* back when every rule holds; else say the first that does not: the others often follow from it."""
    for rule in rules:
        if not rule.holds(value):
            return faults.add(path, rule.says)
    return value


@dataclass(frozen=True, kw_only=True)
class Text:
    """A string. *what* completes "expected …"; *quiet* ones are never repeated in a fault."""

    what: str
    longest: int
    shortest: int = 1
    pattern: str | None = None
    rules: tuple[Rule, ...] = ()
    quiet: bool = False

    def schema(self) -> Schema:
        out: Schema = {"type": "string", "maxLength": self.longest}
        if self.shortest:
            out["minLength"] = self.shortest
        if self.pattern:
            out["pattern"] = self.pattern
        return out | validations(self.rules)

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        if not isinstance(value, str) or (not value and self.shortest):
            quotes = "; put it in quotes" if self._would_do(value) else ""
            return faults.add(path, f"expected {self.what}, got {show(value, quiet=self.quiet)}{quotes}")
        if len(value) > self.longest:
            return faults.add(path, f"must not be longer than {self.longest} characters, it has {len(value)}")
        if self.pattern and not re.fullmatch(self.pattern, value):
            return faults.add(path, f"expected {self.what}, got {show(value, quiet=self.quiet)}")
        return first_broken(self.rules, value, path, faults)

    def _would_do(self, value: object) -> bool:
        """Whether *value*, a number say, is one for YAML only, and as text would do."""
        return isinstance(value, bool | int | float) and self.read(show(value), "", Faults()) is not None


@dataclass(frozen=True)
class Flag:
    """true or false."""

    def schema(self) -> Schema:
        return {"type": "boolean"}

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        return value if isinstance(value, bool) else faults.add(path, f"expected true or false, got {show(value)}")


@dataclass(frozen=True)
class Integer:
    """A whole number within bounds, both included."""

    least: int
    most: int

    def schema(self) -> Schema:
        form = "int32" if self.most < 2**31 else "int64"
        return {"type": "integer", "format": form, "minimum": self.least, "maximum": self.most}

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        if isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most:
            return value
        return faults.add(path, f"expected a whole number from {self.least} to {self.most}, got {show(value)}")


class Enum:
    """One of a closed list of words, taken from a ``Literal``."""

    def __init__(self, literal: object) -> None:
        self.words: tuple[str, ...] = typing.get_args(literal)

    def schema(self) -> Schema:
        return {"type": "string", "enum": list(self.words)}

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        if value in self.words:
            return value
        tail = f"; {hint(value, self.words)}" if isinstance(value, str) and len(self.words) > 1 else ""
        return faults.add(path, f"expected one of {', '.join(self.words)}, got {show(value)}{tail}")


@dataclass(frozen=True, kw_only=True)
class Duration:
    """A length of time as a Gateway API duration (GEP-2257), read in seconds. *zero*: ``0s`` has a meaning here."""

    zero: bool = False

    def schema(self) -> Schema:
        out: Schema = {"type": "string", "pattern": scalars.DURATION, "maxLength": scalars.DURATION_LENGTH}
        return out if self.zero else out | validations([NOT_ZERO])

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        seconds = scalars.seconds(value) if isinstance(value, str) else None
        if seconds is None:
            expected = 'expected a duration such as "250ms" or "1m30s" (h, m, s, ms)'
            return faults.add(path, f"{expected}, got {show(value)}")
        return first_broken(() if self.zero else (NOT_ZERO,), seconds, path, faults)


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A size as a Kubernetes quantity, read in bytes: 1 byte to *most*."""

    most: str = "1Pi"

    @property
    def _rule(self) -> Rule:
        most = scalars.size(self.most) or 0
        cel = f"quantity(string(self)).compareTo(quantity('{self.most}')) <= 0"
        return Rule(cel, f"must not be more than {self.most}", lambda found: found <= most)

    def schema(self) -> Schema:
        bounds = {"minimum": 1, "pattern": scalars.SIZE, "maxLength": scalars.SIZE_LENGTH}
        return INT_OR_STRING | bounds | validations([self._rule])

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        size = scalars.size(value) if isinstance(value, str) else None
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            size = value
        if size is None:
            return faults.add(path, f'expected a size above 0 such as 64Ki, "1.5Mi" or 4096 (bytes), got {show(value)}')
        return first_broken((self._rule,), size, path, faults)


@dataclass(frozen=True)
class Decimal:
    """A number that may have a fraction: an integer or, since Kubernetes has no floats, a string such as "1.5"."""

    least: int
    most: int

    def schema(self) -> Schema:
        bounds = {"minimum": self.least, "maximum": self.most}
        return (
            INT_OR_STRING
            | bounds
            | {"pattern": scalars.DECIMAL, "maxLength": scalars.DECIMAL_LENGTH}
            | validations([self._rule])
        )

    @property
    def _rule(self) -> Rule:
        return Rule(
            f"double(self) >= {self.least}.0 && double(self) <= {self.most}.0",
            f"must be from {self.least} to {self.most}",
            lambda found: self.least <= found <= self.most,
        )

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        found = scalars.decimal(text) if isinstance(text, str) else None
        if found is None:
            return faults.add(path, f'expected a decimal such as 2 or "1.5" (fractions in quotes), got {show(value)}')
        return first_broken((self._rule,), found, path, faults)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One way a target can answer: a status (429), a class of them ("5xx") or, with *faults*, a fault by its name.

    Statuses are read as an inclusive range, faults as their name. 1xx never ends an exchange and 2xx is always success.
    """

    faults: bool = False

    @property
    def _pattern(self) -> str:
        return rf"^([345]([0-9][0-9]|xx){'|' + '|'.join(FAULT_NAMES) if self.faults else ''})$"

    def schema(self) -> Schema:
        return INT_OR_STRING | {"minimum": 300, "maximum": 599, "pattern": self._pattern, "maxLength": 14}

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(text, str) or not re.fullmatch(self._pattern, text):
            named = ', or a fault such as "Timeout"' if self.faults else ""
            tail = (
                f"; {hint(text, FAULT_NAMES)}" if self.faults and isinstance(text, str) and text[:1].isalpha() else ""
            )
            expected = f'expected a status from 300 to 599 such as 429, a class such as "5xx"{named}'
            return faults.add(path, f"{expected}, got {show(value)}{tail}")
        if text in FAULT_NAMES:
            return text
        first = int(text.replace("xx", "00"))
        return (first, first + 99) if text.endswith("xx") else (first, first)


@dataclass(frozen=True)
class Port:
    """A port of a Service, by number or by its name there (RFC 6335); read as text either way."""

    def schema(self) -> Schema:
        name = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
        return (
            INT_OR_STRING
            | {"minimum": 1, "maximum": 65535, "pattern": name, "maxLength": 15}
            | validations([self._rule])
        )

    @property
    def _rule(self) -> Rule:
        says = "a port written as a string is a name and needs a letter; write a number without quotes"
        return Rule(
            'type(self) == int || self.matches("[a-z]")', says, lambda port: re.search("[a-z]", port) is not None
        )

    def read(self, value: object, path: str, faults: Faults) -> typing.Any:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
            return str(value)
        if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?", value):
            return faults.add(
                path, f'expected a port such as 8080, or the name of one such as "http", got {show(value)}'
            )
        return first_broken((self._rule,), value, path, faults)
