"""Inheritance of policies: target ← route ← installation.

Objects merge field by field; lists and unions (`backoff`, `window`) are replaced whole. Two fields that are each right
can be wrong together once merged (an openDuration from the target, a maxOpenDuration from the route), so the rules are
asked again of the result. What has to be said somewhere, but not at every level, is asked for there only.
"""

import typing

import msgspec

from fanout_crds.faults import Faults
from fanout_crds.objects import Object, check, completing, fields, join

MERGED: typing.Final = ", once what it inherits is merged in"

INHERITED: typing.Final = "; it is inherited, and mode Disabled switches it off here"

S = typing.TypeVar("S", bound=msgspec.Struct)


def merge(over: S | None, under: S | None) -> S | None:
    """Give *over* with what it leaves unset taken from *under*; neither is changed."""
    if over is None or under is None:
        return under if over is None else over
    taken: dict[str, object] = {}
    for field in fields(type(over)).values():
        mine, theirs = getattr(over, field.name), getattr(under, field.name)
        if mine is None:
            taken[field.name] = theirs
        elif isinstance(field.kind, Object) and not field.kind.whole:
            taken[field.name] = merge(mine, theirs)
    return msgspec.structs.replace(over, **taken)


def switch(policy: msgspec.Struct | None, part: str) -> str:
    """Say how a target leaves out *part* where its own *policy* does not ask for it; else nothing."""
    return INHERITED if policy is None or getattr(policy, part) is None else ""


def recheck(value: msgspec.Struct | None, path: str, faults: Faults) -> None:
    """Ask the rules of *value* and of every object in it again; *path* is where the target says its part."""
    if value is None:
        return
    check(value, path, faults, tail=MERGED)
    for rule in completing(type(value)):
        for at, says in rule.broken(value, path):
            faults.add(at, says)
    for field in fields(type(value)).values():
        if isinstance(field.kind, Object):
            recheck(getattr(value, field.name), join(path, field.key), faults)
