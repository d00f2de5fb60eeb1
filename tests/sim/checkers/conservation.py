"""P1 and P2: what was accepted is never lost, and every delivery ends in exactly one visible state.

Delivered means that the target did say yes; Dead that the dead letter is there, or a replay in its place, or that
somebody removed it, or that something stands in for the target.
What only memory promised may be gone with the process that promised it.
"""

import math

from fanout_dispatcher.values.views import EventView
from tests.sim.checkers.cache import lenders
from tests.sim.checkers.reading import Reading, is_graph, stands, target_at
from tests.sim.history import Answered, Removed, Settled


def check(reading: Reading) -> list[str]:
    """Everything accepted, one by one."""
    history = reading.history
    wrong = [
        f"{one.left} deliveries were still pending at {one.at:.1f}, when all had been well for long ({one.unready})"
        for one in history.of(Settled)
        if one.left or one.unready
    ]
    for event, answer in reading.answered.items():
        if stands(reading, event):
            wrong += _judged(reading, event, answer)
    return [*wrong, *_miscounted(reading)]


def _judged(reading: Reading, event: str, answer: Answered) -> list[str]:
    view = reading.history.events.get(answer.receipt or "")
    if view is None:
        return [f"{event}: accepted at {answer.at:.4f} by life {answer.life}, and nobody knows of it any more"]
    plan = reading.posted[event].plan
    if {one.target for one in view.deliveries} != {one.name for one in plan.everybody}:
        return [f"{event}: owed to {[one.name for one in plan.everybody]}, and {view.deliveries} is what became of it"]
    return _settled(reading, event, view, answer.delivery)


def _settled(reading: Reading, event: str, view: EventView, delivery: tuple[str, int] | None) -> list[str]:
    wrong: list[str] = []
    graph = is_graph(reading.posted[event].plan)  # P15 says what may be skipped there
    for one in view.deliveries:
        chain = reading.chains.get((delivery or ("", 0), one.target), [])
        said_yes = any(sent.yes for sent in chain) or bool(lenders(reading, event, one.target, math.inf))
        if one.state == "Pending":
            wrong.append(f"{event} → {one.target}: still pending at the end")
        elif one.state == "Delivered" and not said_yes:
            wrong.append(f"{event} → {one.target}: Delivered, and the target never said yes")
        elif one.state == "Skipped" and not graph and (chain or not _has_filter(reading, event, one.target)):
            wrong.append(f"{event} → {one.target}: Skipped, and it was sent, or nothing asked for that")
        elif one.state == "Dead" and one.replayed_as is not None:
            wrong += _replayed(reading, event, one.target, one.replayed_as)
        elif (
            one.state == "Dead"
            and one.reason != "FellBack"
            and not (
                _letter_is_there(reading, view.receipt, one.target) or _may_be_gone(reading, view.route, one.target)
            )
        ):
            wrong.append(f"{event} → {one.target}: Dead, and there is no dead letter")
    return wrong


def _has_filter(reading: Reading, event: str, target: str) -> bool:
    return any(one.when for one in reading.posted[event].plan.targets if one.name == target)


def _replayed(reading: Reading, event: str, target: str, receipt: str) -> list[str]:
    """A replay stands for the dead letter: it has to be somewhere itself, and owed to that target alone."""
    view = reading.history.events.get(receipt)
    if view is None:
        return [f"{event} → {target}: replayed, and nobody knows of the replay"]
    if [one.target for one in view.deliveries] != [target]:
        return [f"{event} → {target}: the replay went to {[one.target for one in view.deliveries]}"]
    if _letter_is_there(reading, receipt, target) or view.deliveries[0].state == "Delivered":
        return []
    if view.deliveries[0].replayed_as is not None:
        return _replayed(reading, event, target, view.deliveries[0].replayed_as)
    if view.deliveries[0].state == "Dead" and _may_be_gone(reading, view.route, target):
        return []
    return [f"{event} → {target}: replayed, and then {view.deliveries[0].state} without a dead letter"]


def _letter_is_there(reading: Reading, receipt: str, target: str) -> bool:
    return any(one.receipt == receipt and one.target == target for one in reading.left)


def _may_be_gone(reading: Reading, route: str, target: str) -> bool:
    """Somebody removed dead letters, or a plan said that the oldest make room."""
    said = [t for a in reading.plans.get(route, ()) for t in target_at(reading, route, target, a.at)]
    return bool(reading.history.of(Removed)) or any(t.policy.dead_letter.on_full == "DropOldest" for t in said)


def _miscounted(reading: Reading) -> list[str]:
    """What the meters say at the end (P33)."""
    wrong: list[str] = []
    for meter in reading.history.meters:
        letters = [one for one in reading.left if one.route == meter.route]
        there = sum(one.target == meter.target for one in letters)
        if meter.pending or meter.pending_bytes or meter.in_flight or meter.stuck:
            wrong.append(f"{meter.route} {meter.target}: the meter ends with {meter}")
        if meter.dead_letters != there:
            wrong.append(f"{meter.route} {meter.target}: {meter.dead_letters} dead letters counted, {there} are there")
    return wrong
