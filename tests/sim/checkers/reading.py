"""Reading a history: what several checkers have to know of it, worked out once.

Nothing here judges. A *chain* is all attempts at one delivery, each with its hedges as one; the plan in force for an
attempt is looked up by the time and order in which things happened, as an outsider with the operator's log and the
targets' logs could.
"""

import bisect
import collections

import msgspec

from fanout_crds.plan import Plan, Policy, Target
from fanout_dispatcher.telemetry.seam import CircuitChanged
from fanout_dispatcher.values.views import DeadLetterView
from tests.sim.checkers.attempts import Attempt, attempts
from tests.sim.history import (
    DURABLE,
    Adopted,
    Answered,
    Committed,
    Decided,
    Delivery,
    Ended,
    History,
    Posted,
    Sent,
    Told,
)

SLOW = 0.25  # seconds that a commit takes on a disk that is ill
GRAIN = 1e-6  # seconds: a view's time, less what a wall clock shows, is no more exact than that
WIDE = 32  # a bulkhead that nobody waits for
Chain = tuple[Delivery, str]  # of which event, to which target


class Reading(msgspec.Struct):
    """A history, sorted."""

    history: History
    attempts: list[Attempt]
    over: dict[int, Sent]  # by the try with which an attempt was over: the attempt
    chains: dict[Chain, list[Sent]]
    posted: dict[str, Posted]  # by event
    answered: dict[str, Answered]  # by event
    ended: dict[int, Ended]  # by life
    reboots: list[float]
    commits: dict[int, list[float]]  # life -> when each commit that worked was put together, in order
    plans: dict[str, list[Adopted]]  # by route, in order
    left: list[DeadLetterView]  # dead letters that are there at the end
    ill: set[int]  # lives whose disk failed or took its time: stopping may not wait for it for ever
    circuits: dict[tuple[str, str], list[Told]]  # by target: all that was told of its circuit, in order
    resumed: list[float]  # when somebody had stuck sagas tried anew
    disturbed: set[tuple[str, str]]  # targets that waited for something else too: a circuit, a resumption, a disk


def read(history: History) -> Reading:
    """Sort *history*."""
    commits: dict[int, list[float]] = collections.defaultdict(list)
    for commit in history.of(Committed):
        if commit.fault is None:
            commits[commit.life].append(commit.begun)
    plans: dict[str, list[Adopted]] = collections.defaultdict(list)
    for adopted in history.of(Adopted):
        plans[adopted.plan.key].append(adopted)
    tried = attempts(history, lambda sent: [one.policy for one in _targets(plans, sent.route, sent.target, sent.at)])
    chains: dict[Chain, list[Sent]] = collections.defaultdict(list)
    for attempt in tried:
        chains[attempt.whole.delivery, attempt.whole.target].append(attempt.whole)
    circuits: dict[tuple[str, str], list[Told]] = collections.defaultdict(list)
    for told in history.of(Told):
        if isinstance(told.change, CircuitChanged):
            circuits[told.change.route, told.change.target].append(told)
    ended = {one.life: one for one in history.of(Ended)}
    return Reading(
        history=history,
        attempts=tried,
        over={one.last.n: one.whole for one in tried if one.last is not None},
        chains=dict(chains),
        posted={one.event: one for one in history.of(Posted)},
        answered={one.event: one for one in history.of(Answered)},
        ended=ended,
        reboots=[one.at for one in ended.values() if one.how in {"reboot", "power"}],
        commits=dict(commits),
        plans=dict(plans),
        left=[history.letters[ident] for ident in sorted(history.left)],
        ill={one.life for one in history.of(Committed) if one.fault is not None or one.at - one.begun > SLOW},
        circuits=dict(circuits),
        resumed=[one.at for one in history.of(Decided)],
        disturbed=circuits.keys() | _disturbed(history, plans),
    )


def _disturbed(history: History, plans: dict[str, list[Adopted]]) -> set[tuple[str, str]]:
    """Where deliveries may come together although their own waits did not end together."""
    found: set[tuple[str, str]] = set()
    failing = any(one.fault is not None for one in history.of(Committed))
    for route, adopted in plans.items():
        for target in adopted[-1].plan.everybody:
            waits = target.policy.bulkhead.max_concurrent < WIDE or target.policy.batch is not None
            if failing or waits or len({one.plan.revision for one in adopted}) > 1 or adopted[-1].plan.suspend:
                found.add((route, target.name))
    return found


def stands(reading: Reading, event: str) -> bool:
    """Its promise holds to the end: it was accepted, and not into the memory of a process that is gone."""
    answer = reading.answered.get(event)
    if answer is None or answer.delivery is None:
        return False
    return answer.delivery[0] == DURABLE or answer.life == max(reading.ended)


def kept(reading: Reading, life: int, at: float) -> bool:
    """A commit that worked was put together after *at*: what the engine knew at that time is on disk."""
    commits = reading.commits.get(life, [])
    return bisect.bisect_right(commits, at + 1e-6) < len(commits)


def target_at(reading: Reading, route: str, target: str, at: float) -> list[Target]:
    """What the plans in force at *at* say of a target; two when it changed at that very moment. Newest last.

    A target that was taken out of its route keeps what was last said of it.
    """
    return _targets(reading.plans, route, target, at)


def _targets(plans: dict[str, list[Adopted]], route: str, target: str, at: float) -> list[Target]:
    found: list[Target] = []
    for adopted in plans.get(route, ()):
        if adopted.at > at + GRAIN:
            break
        named = target_of(adopted.plan, target)
        if named is None:
            continue
        if adopted.at < at - GRAIN:
            found.clear()
        found.append(named)
    return found


def policy_at(reading: Reading, sent: Sent, at: float) -> list[Policy]:
    """The policies that may have judged *sent* at *at*."""
    return [one.policy for one in target_at(reading, sent.route, sent.target, at)]


def target_of(plan: Plan, name: str) -> Target | None:
    """The target of that name, or who stands behind one."""
    return next((one for one in plan.everybody if one.name == name), None)


def is_graph(plan: Plan) -> bool:
    """Whether its targets wait for each other, or somebody or something stands behind them."""
    return bool(plan.behind) or any(one.depends_on or one.static for one in plan.targets)


def fallback_of(plan: Plan, target: str) -> str | None:
    """The name of whoever stands in for a target."""
    return next((one.target.name for one in plan.behind if one.role == "Fallback" and one.of == target), None)


def anew(reading: Reading, before: Sent, after: Sent) -> bool:
    """Somebody had a stuck compensation tried from its first attempt again: what was declared is over."""
    return after.number == 1 and any(before.at <= at <= after.at for at in reading.resumed)


def name(sent: Sent) -> str:
    """An attempt, for people."""
    return f"{sent.event} → {sent.route} {sent.target} (attempt {sent.number}, life {sent.life}, at {sent.at:.4f})"
