"""Counters and views of several workers made into those of one dispatcher. Pure.

A meter's fields tell by their type how they add up: numbers, and what is counted by word or by bucket, are summed; of
circuits the worst is shown, and of reasons one. So a counter that is added to a meter is summed without a word here; a
gauge needs its name in `NOW`, or it would outlive its worker, and in `OLDEST`, if it is no sum.
"""

import collections.abc
import typing

import msgspec

from fanout_dispatcher.values.desk import JournalMeter, LaneMeter, PortMeter, RouteMeter
from fanout_dispatcher.values.views import RouteView, TargetView
from fanout_dispatcher.workers.shares import NO_SHARE

Meter = typing.TypeVar("Meter", LaneMeter, RouteMeter, PortMeter, JournalMeter)
NOW: typing.Final = frozenset(
    {
        *("pending", "pending_bytes", "backlog_age", "in_flight", "dead_letters", "stuck", "caches", "cache_bytes"),
        *("connected", "waiting", "sources", "behind", "held"),
    }
)  # gauges
OLDEST: typing.Final = frozenset({"backlog_age"})  # of these the greatest is shown
WORST: typing.Final = ("Open", "HalfOpen", "Closed", "Disabled")


def total(meters: collections.abc.Sequence[Meter]) -> Meter:
    """The sum of at least one meter of the same lane, route, port or journal."""
    first, *others = meters
    made = msgspec.structs.replace(first, **{name: _copied(getattr(first, name)) for name in first.__struct_fields__})
    for other in others:
        for name in first.__struct_fields__:
            both = getattr(made, name), getattr(other, name)
            setattr(made, name, max(both) if name in OLDEST else _sum(*both))
    return made


def of_the_past(meter: Meter) -> Meter:
    """What is left of *meter* when its worker is gone: its counters. What is pending is not gone: it is not past."""
    gauges = NOW & set(meter.__struct_fields__)
    return msgspec.structs.replace(meter, **{name: type(getattr(meter, name))() for name in gauges})


def _copied(value: object) -> object:
    match value:
        case dict():
            return dict(value)
        case list():
            return list(value)
        case _:
            return value


def _sum(one: typing.Any, other: typing.Any) -> object:
    match one:
        case str():
            return min(one, other, key=WORST.index) if one in WORST and other in WORST else one or other
        case dict():
            return one | {word: one.get(word, 0) + count for word, count in other.items()}
        case list():
            return [left + right for left, right in zip(one, other, strict=True)]
        case _:
            return one + other


def route(key: str, views: collections.abc.Sequence[RouteView | None], refused: str | None) -> RouteView | None:
    """One route as all workers run it: its revision only if each of them runs it, and all of it.

    *views* has one entry per worker, None where it does not run the route; *refused* is what the supervisor knows.
    """
    there = [view for view in views if view is not None]
    if not there:
        return None if refused is None else RouteView(route=key, refused=refused)
    newest = max(there, key=lambda view: view.generation)
    same = len(there) == len(views) and all(view.revision == newest.revision for view in there)
    whole = not any(target.held == NO_SHARE for target in newest.targets)
    why = refused or next((view.refused for view in there if view.refused is not None), None)
    return msgspec.structs.replace(
        newest,
        revision=newest.revision if same and whole else "",
        source=next((view.source for view in there if view.source is not None), None),  # one worker fetches
        targets=tuple(_target([_named(view, target.name) for view in there], target) for target in newest.targets),
        refused=why,
    )


def _named(view: RouteView, name: str) -> TargetView | None:
    return next((target for target in view.targets if target.name == name), None)


def _target(found: list[TargetView | None], shown: TargetView) -> TargetView:
    """One target: counts are summed, and the worker whose circuit is worst speaks for the others."""
    there = [one for one in found if one is not None]
    there.sort(key=lambda one: (WORST.index(one.circuit), one.held is None, one.last_error is None))
    return msgspec.structs.replace(
        shown,
        circuit=there[0].circuit,
        pending=sum(one.pending for one in there),
        in_flight=sum(one.in_flight for one in there),
        dead_letters=sum(one.dead_letters for one in there),
        stuck=sum(one.stuck for one in there),
        held=next((one.held for one in there if one.held is not None), None),
        held_until=max((one.held_until for one in there if one.held_until is not None), default=None),
        last_error=next((one.last_error for one in there if one.last_error is not None), None),
        asked=any(one.asked for one in there),
    )
