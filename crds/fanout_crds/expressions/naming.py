"""Checks the names after `targets.` in an expression: of the targets, of their parts, and of headers.

The runtime does not know which targets a route has. The checks that know the route ask here, so that a misspelt name
is refused with the manifest and does not become a failure at run time.
"""

import typing
from collections.abc import Iterator

from fanout_crds import headers
from fanout_crds.expressions.reading import Parts
from fanout_crds.nearest import hint

PARTS: typing.Final = ("state", "reason", "status", "headers", "body", "truncated", "fallback", "cached")


def misnamed(targets: Parts, known: tuple[str, ...]) -> Iterator[str]:
    """Yield a sentence for each name in *targets*, the parts that are read, that does not exist among *known*.

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
