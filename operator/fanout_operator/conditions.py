"""From a finding and the fleet's view to the conditions: pure tables of reasons, in the order they are asked.

Ready is the other three together; Healthy stands beside it, since a route with an open circuit does what it should.
Stalled, of kstatus, is there only when it is True: it tells what waits for a person from what is under way.
While the fleet is not complete, nothing new is said about what dispatchers run: the caller keeps what it said before.
"""

import typing
from collections.abc import Iterable

import msgspec

from fanout_crds import outbox
from fanout_crds.references import Unresolved
from fanout_crds.report import SILENCE, SOURCE_FAILURES, CircuitWord, RouteReport, TargetReport
from fanout_operator.fleet import REMEMBERED, View
from fanout_operator.reasons import ConditionStatus, ConditionType, Said, say, with_last_words

NAMED: typing.Final = 5  # names in a sentence before it says how many more


class InForce(msgspec.Struct, frozen=True):
    """The plan that lies in the cluster for a route."""

    revision: str
    generation: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconcile found out about one generation of a route."""

    uid: str
    generation: int
    objection: Said | None
    unresolved: tuple[tuple[str, Unresolved], ...] = ()
    cautions: tuple[str, ...] = ()  # what of it is no fault and will surprise all the same
    targets: tuple[str, ...] = ()
    services: tuple[tuple[str, str], ...] = ()  # target, and the Service of the cluster that it resolved to
    without_endpoints: tuple[tuple[str, str], ...] = ()  # those of them with nobody there, when status is written
    rival: str = ""  # another installation that serves this route too, when status is written
    path: str = ""
    keyed: tuple[str, ...] = ()  # what of the plan in force each dispatcher keeps for itself
    in_force: InForce | None = None
    fresh: bool = False  # written by this very reconcile: what dispatchers said before is about another plan


class Condition(msgspec.Struct, frozen=True):
    """One condition, without the time of its last transition."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str


def conditions(finding: Finding, view: View) -> tuple[Condition, ...]:
    """The five that are always there, in the order in which they are shown."""
    three = (accepted(finding), resolved_refs(finding), programmed(finding, view))
    return (*three, ready(three), healthy(finding, view))


def accepted(finding: Finding) -> Condition:
    """Whether the spec may take effect, and what of it will surprise then; otherwise the last good plan stays."""
    if finding.objection:
        return _condition("Accepted", "False", finding.objection)
    if finding.cautions:
        return _condition("Accepted", "True", say("Cautioned", cautions=some(finding.cautions, "; ")))
    return _condition("Accepted", "True", say("Accepted"))


def resolved_refs(finding: Finding) -> Condition:
    """Whether all that an accepted spec refers to is there; what is not holds its target, and every one is told.

    A Service with no endpoint ready resolves all the same: deliveries are tried again until there is one.
    """
    if finding.objection:
        return _condition("ResolvedRefs", "Unknown", say("NotAccepted"))
    if not finding.unresolved and not finding.without_endpoints:
        return _condition("ResolvedRefs", "True", say("ResolvedRefs"))
    if not finding.unresolved:
        targets = some(f"target {target} (Service {service})" for target, service in finding.without_endpoints)
        return _condition("ResolvedRefs", "True", say("NoReadyEndpoints", targets=targets))
    first = finding.unresolved[0][1]
    sentences = (f"{_called(name)}: {one.message}" for name, one in finding.unresolved)
    return _condition("ResolvedRefs", "False", Said(first.reason, some(sentences, "; ")))


def _called(name: str) -> str:
    """What people call a target, or what a route fetches from."""
    return f"spec.{name}" if name == outbox.NAME else f"target {name}"


def programmed(finding: Finding, view: View) -> Condition:
    """Whether every ready dispatcher runs the very plan that lies in the cluster; a refusal is told before a delay."""
    if finding.in_force is None:
        return _condition("Programmed", "False", say("NoPlan"))
    if finding.objection:
        return _condition("Programmed", "False", say("LastGoodPlan", generation=finding.in_force.generation))
    if view.empty:
        return _condition("Programmed", "Unknown", say("NoDispatcher"))
    refused = {
        name: report.refused
        for name, report in view.reports
        if report and report.refused and report.revision != finding.in_force.revision
    }
    if refused:
        why = next(iter(refused.values()))
        agreed = some(name for name, one in refused.items() if one == why)
        return _condition("Programmed", "False", say("PlanRefused", dispatchers=agreed, why=why))
    waiting = [name for name, report in view.reports if report is None or report.revision != finding.in_force.revision]
    if waiting:
        return _condition("Programmed", "False", say("Waiting", dispatchers=some(waiting)))
    if view.silent:
        said = say("DispatcherSilent", dispatchers=some(view.silent), seconds=SILENCE)
        return _condition("Programmed", "Unknown", said)
    return _condition("Programmed", "True", say("Programmed"))


def ready(three: tuple[Condition, Condition, Condition]) -> Condition:
    """Whether the three above hold: the first that is False says why, else the first that is Unknown."""
    for status in typing.get_args(ConditionStatus)[1:]:
        for one in three:
            if one.status == status:
                return Condition("Ready", one.status, one.reason, one.message)
    return _condition("Ready", "True", say("Ready"))


def stalled(said: Iterable[Condition]) -> tuple[Condition, ...]:
    """Whether waiting is of no use: the spec is refused, by us or by a dispatcher, until a person changes something.

    What does not resolve is no such thing: Secrets and Services come when they come.
    """
    refused = [one for one in said if one.status == "False" and (one.type == "Accepted" or one.reason == "PlanRefused")]
    return tuple(Condition("Stalled", "True", one.reason, one.message) for one in refused[:1])


def healthy(finding: Finding, view: View) -> Condition:
    """Whether nothing waits for a person: no saga stuck, one installation, no circuit open, source failed, dead letter,
    nothing keyed that several dispatchers run.

    What nobody but a person ends is told first: a circuit is probed by itself, a source tried again. It waits in the
    journal of a dispatcher that is absent too; a circuit or a source of that one may be another by now.
    """
    status, said = _health(finding, view)
    absent = [name for name, report in view.remembered if any(_counts(one) for one in report.targets)]
    return _condition("Healthy", status, with_last_words(said, some(absent), REMEMBERED / 60) if absent else said)


def _health(finding: Finding, view: View) -> tuple[ConditionStatus, Said]:
    heard = list(_reports(view))
    targets = summed(view)
    stuck = [f"{one.name} ({one.stuck})" for one in targets if one.stuck]
    if stuck:
        return "False", say("SagaStuck", targets=some(stuck))
    if finding.rival:
        return "False", say("ClassContested", rival=finding.rival)
    opened = [one.name for one in _summed(heard) if _is_open(one)]
    if opened:
        return "False", say("CircuitOpen", targets=some(opened))
    sources = [one.source for one in heard if one.source and one.source.held in SOURCE_FAILURES]
    if sources:
        failed = dict.fromkeys(f"{one.name}: {one.last_error}" for one in sources)  # each once, in order
        return "False", say("SourceFailed", sources=some(failed, "; "))
    dead = [f"{one.name} ({one.dead_letters})" for one in targets if one.dead_letters]
    if dead:
        return "False", say("DeadLetters", targets=some(dead))
    running = sum(bool(one.revision) for one in heard)
    if finding.keyed and running > 1:  # last of what is wrong: it stays, and would hide what comes and goes
        return "False", say("KeyedPerReplica", dispatchers=running, fields=some(finding.keyed))
    if view.empty:
        return "Unknown", say("NoDispatcher")
    if view.silent:
        return "Unknown", say("DispatcherSilent", dispatchers=some(view.silent), seconds=SILENCE)
    return "True", say("Healthy")


def _is_open(target: TargetReport) -> bool:
    return target.circuit == "Open" and not target.dry_run


def _counts(target: TargetReport) -> bool:
    """Whether a target's part of the counters is more than nothing."""
    return bool(target.pending or target.dead_letters or target.stuck or _is_open(target))


def programmed_generation(view: View) -> int | None:
    """The newest generation that every ready dispatcher runs; None while one runs none, or is not heard."""
    reports = [report for _, report in view.reports]
    if not reports or view.silent or not all(report and report.revision for report in reports):
        return None
    return min(report.generation for report in reports if report)


def summed(view: View) -> tuple[TargetReport, ...]:
    """Each target over all dispatchers, the absent ones too: the worst circuit, the sums of what waits and died."""
    return _summed((*_reports(view), *(report for _, report in view.remembered)))


def _summed(reports: Iterable[RouteReport]) -> tuple[TargetReport, ...]:
    by_name: dict[str, list[TargetReport]] = {}
    for report in reports:
        for target in report.targets:
            by_name.setdefault(target.name, []).append(target)
    return tuple(_sum(name, found) for name, found in by_name.items())


def dry_run(view: View) -> frozenset[str]:
    """Targets whose circuits refuse nothing, whatever state they show."""
    return frozenset(one.name for one in summed(view) if one.dry_run)


_WORST: typing.Final[tuple[CircuitWord, ...]] = ("Open", "HalfOpen", "Closed", "Disabled")


def _sum(name: str, found: list[TargetReport]) -> TargetReport:
    circuits = {one.circuit for one in found}
    return TargetReport(
        name=name,
        circuit=next((one for one in _WORST if one in circuits), "Unknown"),  # a word that only a newer one knows
        pending=coarse(sum(one.pending for one in found)),
        dead_letters=coarse(sum(one.dead_letters for one in found)),
        stuck=coarse(sum(one.stuck for one in found)),
        last_error=next((one.last_error for one in found if one.last_error), None),
        asked=any(one.asked for one in found),
        dry_run=all(one.dry_run for one in found),
    )


def coarse(count: int) -> int:
    """Two digits of a count: exact ones are metrics, and every change here would be a write."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return count // unit * unit


def _reports(view: View) -> Iterable[RouteReport]:
    return (report for _, report in view.reports if report is not None)


def _condition(kind: ConditionType, status: ConditionStatus, said: Said) -> Condition:
    return Condition(kind, status, said.reason, said.message)


def some(names: Iterable[str], between: str = ", ") -> str:
    """Write names, a few of them in full."""
    first = list(names)
    more = len(first) - NAMED
    return between.join(first[:NAMED]) + (f" and {more} more" if more > 0 else "")
