"""Where a field belongs that stands where nobody knows it.

Most unknown fields are no typing errors: they are known, one level higher or lower than they were written. So a reader
that meets one asks here for the nearest object that has a field of that name. Made once from the types, as all is.
"""

import re
from collections.abc import Iterator

import msgspec

from fanout_crds.nearest import plain
from fanout_crds.objects import ListOf, Object, fields
from fanout_crds.rules import below

UP = 1  # of a distance: the part that leads upwards, where only a name that is spelt alike is looked for
FARTHEST = 3  # levels up and down; what is farther away is something else that happens to have that name
_PLACE = re.compile(r"\[\d+\]")


class Home(msgspec.Struct, frozen=True):
    """An object that has a field: the steps to it (``spec``, ``targets[]``) and the field's name as it is written."""

    steps: tuple[str, ...]
    name: str


class Homes:
    """The objects of a document by the fields that they have."""

    def __init__(self, root: Object, path: str) -> None:
        self._by_name: dict[str, list[Home]] = {plain(path): [Home((), path)]}
        for home in _walk(root, (path,)):
            self._by_name.setdefault(plain(home.name), []).append(home)

    def __repr__(self) -> str:
        return f"<Homes of {len(self._by_name)} names>"

    def nearest(self, path: str, name: str, *, at: str = "") -> str:
        """Say where *name*, unknown to the object at *path*, belongs; empty when that is nowhere near.

        *at* is the path of the document within another (an item of a List).
        """
        path = path.removeprefix(at).removeprefix(".")
        here = path.split(".") if path else []
        found = [(_far(home.steps, here), home.name != name, home) for home in self._by_name.get(plain(name), ())]
        near = [(far, other, home) for far, other, home in found if far and not (other and far[UP])]
        if not near:
            return ""
        best = min(one[:2] for one in near)
        homes = [home for far, other, home in near if (far, other) == best]
        places = " or ".join(below(at, _written(home.steps, here)) or "the document itself" for home in homes[:2])
        if homes[0].name == name:
            return f'"{name}" belongs to {places}'
        return f'did you mean "{homes[0].name}", which belongs to {places}?'


def _walk(of: Object, steps: tuple[str, ...]) -> Iterator[Home]:
    for key, field in fields(of.struct).items():
        yield Home(steps, key)
        match field.kind:
            case Object() as inner:
                yield from _walk(inner, (*steps, key))
            case ListOf(item=Object() as inner):
                yield from _walk(inner, (*steps, f"{key}[]"))
            case _:
                pass  # a value, or a list of them


def _shared(steps: tuple[str, ...], here: list[str]) -> int:
    """How many steps two ways have in common."""
    count = 0
    for one, other in zip(steps, here, strict=False):
        if one != _PLACE.sub("[]", other):
            break
        count += 1
    return count


def _far(steps: tuple[str, ...], here: list[str]) -> tuple[int, int] | None:
    """How far *steps* lead from *here*: levels in all, and upwards. None: too far, or into something beside it."""
    shared = _shared(steps, here)
    down, up = len(steps) - shared, len(here) - shared
    return None if down + up > FARTHEST or (up and down > 1) else (down + up, up)


def _written(steps: tuple[str, ...], here: list[str]) -> str:
    """Write a path, with the numbers of *here* as far as they go the same way."""
    shared = _shared(steps, here)
    return ".".join([*here[:shared], *steps[shared:]])
