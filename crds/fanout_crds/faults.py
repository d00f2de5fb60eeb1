"""What is wrong with a manifest, in words, with the path to the field and, where it came from a file, the line.

Reading never stops at the first fault: every reader adds what it finds to one `Faults` and goes on, so that a person
fixes a manifest once. The sentence never repeats what may be a secret: `show` tells scalars shortly and collections by
their type only, and readers of sensitive fields ask it to be quiet.
"""

import json
import typing
from collections.abc import Callable, Mapping

import msgspec

Elsewhere = Callable[[str, str], str]  # where a field belongs that the object at a path does not know; empty: nowhere

SHOWN: typing.Final = 40  # characters of a string that a sentence repeats


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong: where in the document, the sentence, and where in which file."""

    path: str
    message: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = [] if self.file is None else [self.file if self.line is None else f"{self.file}:{self.line}"]
        return ": ".join([*place, *([self.path] if self.path else []), self.message])


class Invalid(ValueError):
    """A document that cannot be taken, with everything that is wrong with it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class Lines(msgspec.Struct, frozen=True):
    """Where each path of a document stands in its file; lines count from 1."""

    file: str
    at: Mapping[str, int]

    def line(self, path: str) -> int | None:
        """Give the line of *path*, or of the nearest thing around it when it is missing from the file."""
        while path and path not in self.at:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.at.get(path)


class Faults:
    """Collects faults while a document is read."""

    def __init__(self, lines: Lines | None = None, elsewhere: Elsewhere = lambda _path, _name: "") -> None:
        self._lines = lines
        self.elsewhere = elsewhere
        self._found: list[Fault] = []

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"<Faults {len(self._found)}>"

    def add(self, path: str, message: str) -> typing.Any:
        """Take one fault; returns None, the value of what could not be read."""
        if self._lines is None:
            self._found.append(Fault(path, message))
        else:
            self._found.append(Fault(path, message, self._lines.file, self._lines.line(path)))

    def found(self) -> tuple[Fault, ...]:
        """Everything so far, in the order of reading."""
        return tuple(self._found)

    def check(self) -> None:
        """Raise Invalid when there is anything."""
        if self._found:
            raise Invalid(self.found())


def show(value: object, *, quiet: bool = False) -> str:
    """Tell *value* as a sentence does; *quiet* tells only its type."""
    match value:
        case None:
            return "null"
        case bool():
            return json.dumps(value)
        case int() | float():
            return "a number" if quiet else str(value)
        case str():
            return "a string" if quiet else json.dumps(value[:SHOWN] + "…" * (len(value) > SHOWN), ensure_ascii=False)
        case list() | tuple():
            return "a list"
        case _:
            return "a mapping"
