"""The curl commands that the examples show, read from their comments: what a newcomer copies is what tests post."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

EXAMPLES = Path(__file__).parents[2] / "examples"
_TAKE_A_WORD = frozenset({"-o", "-w"})  # options that say nothing of the request


@dataclass(kw_only=True)
class Command:
    """One request as curl makes it."""

    file: str  # below examples/
    path: str = ""  # with its query
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None

    @property
    def method(self) -> str:
        """GET, or POST where there is a body."""
        return "GET" if self.body is None else "POST"


def commands() -> list[Command]:
    """All of them, by file."""
    return [one for file in sorted(EXAMPLES.rglob("*.yaml")) for one in _of(file)]


def _of(file: Path) -> Iterator[Command]:
    lines = (line[1:].strip() for line in file.read_text().splitlines() if line.startswith("#"))
    text = "\n".join(lines).replace("\\\n", " ")
    for found in re.finditer(r"\bcurl (-.*http://.*)", text):
        yield _read(str(file.relative_to(EXAMPLES)), shlex.split(found[1], comments=True))


def _read(file: str, words: list[str]) -> Command:
    made, rest = Command(file=file), iter(words)
    for word in rest:
        if word in _TAKE_A_WORD:
            next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(":")
            made.headers[name] = value.strip()
        elif word == "-d":
            body = next(rest)
            made.body = body.removesuffix(";")
            if made.body != body:
                return made  # inside a loop of the shell
        elif word.startswith("http://"):
            asked = urlsplit(word)
            made.path = f"{asked.path}?{asked.query}" if asked.query else asked.path
    return made
