"""What a route's status should be: a pure function of what was found, what dispatchers say, and what it is now.

Until the fleet is complete, what was said about dispatchers is left as it stands. So are the counters while nobody
knows a sum: while no dispatcher is there, or one was not heard since the operator started. What is counted in a journal
does not go with the process that had it open, and is no news when that is back. What is told of dispatchers is bounded
as the definition of routes bounds it, whatever they report: a status that is refused tells of nothing.
"""

import typing
from collections.abc import Iterable, Mapping

from fanout_crds.report import TargetReport
from fanout_crds.schema import PENDING
from fanout_crds.status import LONGEST_NAME, MOST_TARGETS
from fanout_operator.conditions import (
    Condition,
    Finding,
    coarse,
    conditions,
    programmed_generation,
    ready,
    stalled,
    summed,
)
from fanout_operator.fleet import View
from fanout_operator.kube import Document, Reading
from fanout_operator.named import named
from fanout_operator.others import beside, by_type
from fanout_operator.reasons import LONGEST, say

FROM_DISPATCHERS: typing.Final = frozenset({"Programmed", "Healthy"})
BEHIND: typing.Final = "."  # in the names of what stands behind the targets, and in no target's
SUMS: typing.Final = ("pending", "deadLetters", "openCircuits")
COUNTER_FIELDS: typing.Final = frozenset({*SUMS, "targets"})


def status(finding: Finding, view: View, before: Reading, *, now: str, public_url: str | None) -> Document:
    """The whole status as it should be. Times of transition and what is not known yet come from `before`."""
    wanted: Document = {"observedGeneration": finding.generation, "targetCount": len(finding.targets)}
    if public_url and finding.path and finding.in_force:
        wanted["address"] = {"url": public_url.rstrip("/") + finding.path}
    said = by_type(before)
    now_said = conditions(finding, view) if view.complete else _incomplete(finding, view, said)
    shown = (*now_said, *stalled(now_said))
    wanted["conditions"] = beside(
        (_dated(one, said.get(one.type, {}), finding.generation, now) for one in shown), before
    )
    if view.complete:
        wanted |= _as_told(finding, before) if view.unheard else _from_dispatchers(finding, view, before)
    else:
        wanted |= {field: before[field] for field in (*COUNTER_FIELDS, "programmedGeneration") if field in before}
    return wanted


def farewell(before: Reading, generation: int) -> Document | None:
    """What makes it look as a new route does, unless the other installation has said something of it already."""
    observed = before.get("observedGeneration")
    if not isinstance(observed, int) or observed >= generation:
        return None
    return {**dict.fromkeys(before), "conditions": beside(PENDING, before)}


def _incomplete(finding: Finding, view: View, said: Mapping[str, Reading]) -> tuple[Condition, ...]:
    """Say of dispatchers what was said before, if that was about this plan, else that nobody knows yet."""
    fresh = conditions(finding, view)
    kept = tuple(_kept(one, said.get(one.type, {}), finding) if one.type in FROM_DISPATCHERS else one for one in fresh)
    accepted, resolved, programmed, _, healthy = kept
    return accepted, resolved, programmed, ready((accepted, resolved, programmed)), healthy


def _kept(now: Condition, before: Reading, finding: Finding) -> Condition:
    if finding.objection and now.type == "Programmed":
        return now  # says nothing about dispatchers
    if finding.fresh or before.get("observedGeneration") != finding.generation:
        said = say("Pending")
        return Condition(now.type, "Unknown", said.reason, said.message)
    return Condition(now.type, before["status"], before["reason"], before["message"])


def _dated(one: Condition, before: Reading, generation: int, now: str) -> Document:
    since = before.get("lastTransitionTime") if before.get("status") == one.status else None
    return {
        "type": one.type,
        "status": one.status,
        "reason": one.reason,
        "message": one.message,
        "observedGeneration": generation,
        "lastTransitionTime": since or now,
    }


def _from_dispatchers(finding: Finding, view: View, before: Reading) -> Document:
    targets = {one.name: one for one in summed(view)}
    told = named(before.get("targets"), "name")
    names = _named(finding, targets)
    known = [targets[name] for name in names if name in targets]
    found: Document = {
        "pending": coarse(sum(one.pending for one in known)),
        "deadLetters": coarse(sum(one.dead_letters for one in known)),
        "openCircuits": sum(one.circuit in {"Open", "HalfOpen"} and not one.dry_run for one in known),
        "targets": [_target(name, targets.get(name), told.get(name, {})) for name in names],
    }
    generation = programmed_generation(view)
    return found if generation is None else found | {"programmedGeneration": generation}


def _as_told(finding: Finding, before: Reading) -> Document:
    """The counters as they were, for the targets of now."""
    targets = named(before.get("targets"), "name")
    return {
        **{field: before.get(field, 0) for field in SUMS},
        "targets": [targets.get(name, {"name": name}) for name in _named(finding, targets)],
    }


def _named(finding: Finding, known: Iterable[str]) -> list[str]:
    """What a status tells of: the route's targets, and the compensations and callbacks among those that are *known*."""
    return [*finding.targets, *filter(_behind, known)][:MOST_TARGETS]


def _behind(name: str) -> bool:
    """Whether that is a compensation or callback, which have lanes of their own, and not just anything reported."""
    return BEHIND in name and len(name) <= LONGEST_NAME


def _target(name: str, report: TargetReport | None, before: Reading) -> Document:
    """What is told of a target; the last error, which no journal keeps, as it was until somebody asks it anew."""
    if report is None:
        return {"name": name}
    kept = None if report.asked else before.get("lastError")
    error = report.last_error or (kept if isinstance(kept, str) else None)
    found = {
        "name": name,
        "circuit": report.circuit,
        "pending": report.pending,
        "deadLetters": report.dead_letters,
        "stuck": report.stuck or None,
        "lastError": error and error[:LONGEST],
    }
    return {field: value for field, value in found.items() if value is not None}
