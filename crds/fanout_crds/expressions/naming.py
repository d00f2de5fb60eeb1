"""What an expression says of targets, held against what there is: `targets.<name>`, and the parts of each.

The runtime knows no names of targets. Whoever knows a route asks here, so that a slip is a sentence when the manifest
is checked, and not a failure when somebody waits.
"""

import typing
from collections.abc import Iterator

from fanout_crds import headers
from fanout_crds.expressions.reading import Parts
from fanout_crds.nearest import hint

PARTS: typing.Final = ("state", "reason", "status", "headers", "body", "truncated", "fallback", "cached")


def misnamed(targets: Parts, known: tuple[str, ...]) -> Iterator[str]:
    """Say what is wrong with *targets*, the part of them that is read, where those are called *known*.

    A name that is computed at run time is not seen here.
    """
    for name, parts in (targets or {}).items():
        if name not in known:
            yield f"no target is named {name}; {hint(name, known)}"
        for part, within in (parts or {}).items():
            if part not in PARTS:
                yield f"targets.{name} has no {part}; {hint(part, PARTS)}"
            elif part == "headers":
                yield from _not_kept(name, within)


def _not_kept(name: str, read: Parts) -> Iterator[str]:
    for header in read or {}:
        if header not in headers.CAPTURED:
            yield f"of the headers of targets.{name} {header} is not kept; {hint(header, sorted(headers.CAPTURED))}"
