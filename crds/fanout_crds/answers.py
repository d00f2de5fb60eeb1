"""Answers of earlier targets in expressions: where which of them is at hand, and which are kept because of that.

What an expression reads of `targets` is known before any event comes. So a name whose answer need not be there yet is
refused with the place where it is read, and only the answers that somebody reads are kept with an event.
"""

import typing
from collections.abc import Iterator

from fanout_crds import expressions
from fanout_crds.expressions import BODY, PATH, QUESTION, VALUE, WHEN, Reads, Scope
from fanout_crds.faults import Faults
from fanout_crds.route import Asked, FanoutRoute, Target

SIZE: typing.Final = 64 << 10  # bytes of a body that are kept; of a larger one the first so many, and truncated


class _Place(typing.NamedTuple):
    """Somebody who is asked, where that is said, whose answers are there by then, and how to get others there."""

    asked: Asked
    path: str
    at_hand: frozenset[str] | None  # None: every target's
    of: str = ""  # the target that it is, or that it stands behind
    mend: str = ""


def check(route: FanoutRoute, faults: Faults) -> None:
    """Say which answers are read where they need not be there."""
    names = tuple(target.name for target in route.spec.targets)
    after = _after(route)
    for place in _places(route):
        for path, reads in _read(place):
            if reads.targets is None and place.at_hand is not None:
                faults.add(path, 'answers are read one by one and by name here, such as targets["reserve"].body')
            for wrong in expressions.misnamed(reads.targets, names):
                faults.add(path, wrong)
            for name in reads.targets or ():
                if name in names and place.at_hand is not None and name not in place.at_hand:
                    faults.add(path, f"targets.{name}: {_too_early(place, _before(name, after), name)}")


def kept(route: FanoutRoute) -> frozenset[str]:
    """Give the names of the targets whose answers some expression of *route* reads."""
    found: set[str] = set()
    for place in _places(route):
        for _, reads in _read(place):
            if reads.targets is None:
                return frozenset(target.name for target in route.spec.targets)
            found.update(reads.targets)
    return frozenset(found)


def undoing(route: FanoutRoute) -> Iterator[tuple[str, str, Reads]]:
    """Give the expressions of compensations: the path to each, the target that is undone, and what is read."""
    for place in _places(route):
        if place.path.endswith(".compensate"):
            for path, reads in _read(place):
                yield path, place.of, reads


def _too_early(place: _Place, before: frozenset[str], name: str) -> str:
    """Say why the answer of *name*, which comes after all of *before*, need not be there, and what to do."""
    if place.of == name:
        if isinstance(place.asked, Target):
            return "its own answer is not there before it is asked"
        return f"a fallback is asked because {name} was given up, whose answer is not handed on: leave it out"
    if place.of in before:
        return f"it is asked after {place.of}, so that its answer need not be there"
    return f"its answer need not be there by then: add {name} to {place.mend}"


def _places(route: FanoutRoute) -> Iterator[_Place]:
    after = _after(route)
    for number, target in enumerate(route.spec.targets):
        path = f"spec.targets[{number}]"
        before, mend = _before(target.name, after), f"{path}.dependsOn"
        yield _Place(target, path, before, target.name, mend)
        if target.fallback and target.fallback.target:
            yield _Place(target.fallback.target, f"{path}.fallback.target", before, target.name, mend)
        if target.compensate:
            yield _Place(target.compensate, f"{path}.compensate", before | {target.name}, target.name, mend)
    for number, callback in enumerate(route.spec.callbacks):
        yield _Place(callback, f"spec.finally[{number}]", None)


def _after(route: FanoutRoute) -> dict[str, tuple[str, ...]]:
    return {target.name: target.depends_on for target in route.spec.targets}


def _before(name: str, after: dict[str, tuple[str, ...]]) -> frozenset[str]:
    """All that has to be through before the target *name*, however far. Circles are somebody else's to refuse."""
    found: set[str] = set()
    left = list(after[name])
    while left:
        one = left.pop()
        if one in after and one not in found:
            found.add(one)
            left += after[one]
    return frozenset(found - {name})


def _read(place: _Place) -> Iterator[tuple[str, Reads]]:
    """What each expression reads, by its path."""
    for path, text, scope in _expressions(place.asked):
        if text is not None:
            yield f"{place.path}.{path}", expressions.compile(text, scope).reads


def _expressions(asked: Asked) -> Iterator[tuple[str, str | None, Scope]]:
    if isinstance(asked, Target):
        yield "when", asked.when, WHEN
        yield "cache.keyExpression", asked.cache.key_expression if asked.cache else None, QUESTION
    if (request := asked.request) is None:
        return
    yield "request.pathExpression", request.path_expression, PATH
    for number, parameter in enumerate(request.query):
        yield f"request.query[{number}].valueExpression", parameter.value_expression, VALUE
    for number, header in enumerate(request.headers):
        yield f"request.headers[{number}].valueExpression", header.value_expression, VALUE
    yield "request.bodyExpression", request.body_expression, BODY
