"""P15: a graph is gone through in order, and a saga that fails is undone in reverse: all that was done, and no more.

Judged from outside, by what each target was asked, when, and whether it did it. A target goes after all that it depends
on. As long as nothing vital is dead nothing is undone. Once it is, nothing more goes forwards; what was done or may
have been is undone, each after those that came later; nothing is undone that was never asked for, or while anything is
in flight. Callbacks come last. A compensation that was given up is a dead letter only where people said so, or its
target is gone.

Where a process ends, what was about to be sent may have been, as far as the next one can know. That is no more than
the target has slots: so many of what was never asked may be undone for each end, and no other.
"""

import math
import typing

import msgspec

from fanout_crds.plan import Plan
from fanout_dispatcher.telemetry.seam import DeliveryDead
from fanout_dispatcher.values.outcome import Failed, Fault
from fanout_dispatcher.values.views import DeliveryView
from tests.sim.checkers.reading import GRAIN, Reading, fallback_of, is_graph, name, stands, target_of
from tests.sim.history import Delivery, Sent, Told

NOT_SENT: typing.Final = {Fault.NAME_FAILURE, Fault.CONNECT_FAILURE, Fault.TLS_FAILURE, Fault.ADDRESS_REFUSED}
ENDED: typing.Final = {"SagaAbandoned", "RouteDeleted", "TargetRemoved"}  # how a compensation may die


class Story(msgspec.Struct):
    """What became of one event, and what was asked for it."""

    event: str
    plan: Plan
    became: dict[str, DeliveryView]
    asked: dict[str, list[Sent]]
    posted: float
    died: dict[str, float]  # when it was said of a target that it is given up

    def dead(self, target: str) -> bool:
        """It was given up, and nothing stood in for it."""
        fallback = fallback_of(self.plan, target)
        covered = any(one.static for one in self.plan.targets if one.name == target)
        stood_in = covered or (fallback is not None and self.became[fallback].state == "Delivered")
        return self.became[target].state == "Dead" and not stood_in

    def failed(self) -> bool:
        """Something vital was given up."""
        return any(one.on_dead == "Fail" and self.dead(one.name) for one in self.plan.targets)

    def decided(self) -> float:
        """When that was so, as far as it was said."""
        lost = (one.name for one in self.plan.targets if one.on_dead == "Fail" and self.dead(one.name))
        return min((self._lost(one) for one in lost), default=math.inf)

    def _lost(self, target: str) -> float:
        fallback = fallback_of(self.plan, target)
        asked = fallback is not None and self.became[fallback].state != "Skipped"
        return self.died.get(fallback if asked and fallback is not None else target, math.inf)


def check(reading: Reading) -> list[str]:
    """Every event of a graph that was accepted and stands."""
    stories = _stories(reading)
    wrong = [f"{story.event}: {why}" for story in stories for rule in RULES for why in rule(story)]
    return [*wrong, *_never_begun(reading, stories)]


def _stories(reading: Reading) -> list[Story]:
    stories: list[Story] = []
    died: dict[str, dict[str, float]] = {}
    for told in reading.history.of(Told):  # said twice: what was said first went down with its process
        if isinstance(told.change, DeliveryDead):
            died.setdefault(told.change.receipt, {})[told.change.target] = told.at
    for event, answer in reading.answered.items():
        view = reading.history.events.get(answer.receipt or "")
        plan = reading.posted[event].plan
        if is_graph(plan) and stands(reading, event) and view is not None:
            became = {one.target: one for one in view.deliveries}
            if became.keys() == {one.name for one in plan.everybody}:
                asked = _asked(reading, answer.delivery, became)
                story = Story(
                    event, plan, became, asked, posted=reading.posted[event].at, died=died.get(view.receipt, {})
                )
                stories.append(story)
    return stories


def _asked(reading: Reading, delivery: Delivery | None, names: typing.Iterable[str]) -> dict[str, list[Sent]]:
    return {target: reading.chains.get((delivery or ("", 0), target), []) for target in names}


def in_order(story: Story) -> list[str]:
    """A target goes when all that it depends on is through, and is skipped only because something was given up."""
    wrong: list[str] = []
    for target in story.plan.targets:
        first = story.asked[target.name][:1]
        for sent in first:
            missing = [before for before in target.depends_on if not _through(story, before, sent)]
            wrong += [f"{name(sent)}: {before} was not through" for before in missing]
        anything = any(one.on_dead == "Fail" and story.dead(one.name) for one in story.plan.targets)
        if story.became[target.name].state == "Skipped" and not anything:
            wrong.append(f"{target.name} was skipped although nothing was given up")
    return wrong


def _through(story: Story, target: str, then: Sent) -> bool:
    fallback = fallback_of(story.plan, target)
    chain = story.asked[target] + (story.asked[fallback] if fallback else [])
    said = next(one for one in story.plan.targets if one.name == target)
    if story.became[target].state == "Dead" and (said.static or (story.dead(target) and said.on_dead == "Continue")):
        return all(one.at <= then.at for one in chain)
    return any(one.yes and one.ended is not None and one.ended <= then.at for one in chain)


def undone(story: Story) -> list[str]:
    """What is undone, and what is not."""
    wrong: list[str] = []
    for one in story.plan.behind:
        if one.role != "Compensation":
            continue
        undo, chain = one.target.name, story.asked[one.of]
        became, asked = story.became[undo], story.asked[undo]
        if asked and not story.failed():
            wrong.append(f"{undo} was asked, and nothing vital was given up")
        if story.failed() and any(sent.did for sent in chain) and became.state not in {"Delivered", "Dead"}:
            wrong.append(f"{one.of} was done and the saga failed; {undo} is {became.state} ({became.reason})")
        if became.state == "Dead" and became.replayed_as is None and became.reason not in {*ENDED, None}:
            wrong.append(f"{undo} was given up by nobody: {became.reason}")
    return wrong


def not_forwards(story: Story) -> list[str]:
    """Once a saga has failed no target is asked any more."""
    decided = story.decided() + GRAIN
    roles = {one.target.name: one.role for one in story.plan.behind}
    forwards = [one for one in story.asked if roles.get(one, "Fallback") == "Fallback"]
    late = [sent for one in forwards for sent in story.asked[one] if sent.at > decided]
    return [f"{name(sent)}: the saga had failed at {decided:.4f}" for sent in late if "Compensation" in roles.values()]


def _never_begun(reading: Reading, stories: list[Story]) -> list[str]:
    """What was undone although it can only have been about to begin, when a process ended."""
    undone: dict[tuple[str, str], list[tuple[float, float, str]]] = {}
    for story in stories:
        for one in story.plan.behind:
            first = story.asked[one.target.name][:1]
            if one.role == "Compensation" and first and all(map(_refusal, story.asked[one.of])):
                span = (first[0].at, story.posted, name(first[0]))
                undone.setdefault((story.plan.key, one.of), []).append(span)
    for (route, target), spans in undone.items():
        said = (target_of(one.plan, target) for one in reading.plans[route])
        slots = max((one.policy.bulkhead.max_concurrent for one in said if one is not None), default=0)
        for end in sorted(one.at for one in reading.ended.values()):
            for span in sorted(span for span in spans if span[1] <= end <= span[0])[:slots]:
                spans.remove(span)
    return [f"{who}: {of} never was asked, or said no" for (_, of), left in undone.items() for _, _, who in left]


def _refusal(sent: Sent) -> bool:
    """It was answered with a clear no, or nothing was sent at all."""
    if not isinstance(sent.outcome, Failed):
        return False
    return sent.outcome.fault in NOT_SENT if sent.outcome.fault is not None else sent.outcome.status < 500


def in_reverse(story: Story) -> list[str]:
    """Nothing is undone before what came later is, or while a target may still do something."""
    wrong: list[str] = []
    undo = {one.of: one.target.name for one in story.plan.behind if one.role == "Compensation"}
    for of, compensation in undo.items():
        first = story.asked[compensation][:1]
        if not first:
            continue
        waits = [undo[later] for later in _later(story.plan, of) if later in undo]
        instead = [one.target.name for one in story.plan.behind if one.role == "Fallback"]
        for other in [*(one.name for one in story.plan.targets), *instead, *waits]:
            wrong += [
                f"{name(first[0])}: before {other} was over" for sent in story.asked[other] if _goes_on(sent, first[0])
            ]
    return wrong


def last(story: Story) -> list[str]:
    """Callbacks are told when everything else is over, and always."""
    wrong: list[str] = []
    finals = {one.target.name for one in story.plan.behind if one.role == "Final"}
    for final in finals:
        if story.became[final].state not in {"Delivered", "Dead"}:
            wrong.append(f"{final} was not told: {story.became[final].state}")
        for first in story.asked[final][:1]:
            others = (sent for other, chain in story.asked.items() if other not in finals for sent in chain)
            wrong += [f"{name(first)}: before {sent.target} was over" for sent in others if _goes_on(sent, first)]
    return wrong


def _goes_on(sent: Sent, then: Sent) -> bool:
    """Whether an attempt began after *then*, or was still in flight."""
    return sent.at > then.at or (sent.life == then.life and (sent.ended is None or sent.ended > then.at))


def _later(plan: Plan, of: str) -> set[str]:
    """The targets that came after one because of it."""
    found = {of}
    for _ in plan.targets:
        found |= {one.name for one in plan.targets if found & set(one.depends_on)}
    return found - {of}


RULES: typing.Final = (in_order, undone, not_forwards, in_reverse, last)
