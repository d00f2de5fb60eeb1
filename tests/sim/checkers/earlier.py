"""P15, too: whoever comes later in a graph reads of each earlier target what that one answered, and nothing else.

A step sees every target before it of which expressions read something, in the state that it has in the end. The answer
of one that was delivered is that of its last attempt: an earlier one was lost with a process that had not written it.
Where something stood in for a target, that is what is read of it. A condition that reads what is there has a value.
"""

from fanout_crds.plan import Plan
from tests.sim.checkers.reading import Reading, fallback_of, is_graph, name, stands
from tests.sim.history import Delivery, Sent


def check(reading: Reading) -> list[str]:
    """Every attempt that was made for an event of a graph that was accepted and stands."""
    wrong: list[str] = []
    for event, answer in reading.answered.items():
        view = reading.history.events.get(answer.receipt or "")
        plan = reading.posted[event].plan
        if answer.delivery is None or view is None or not is_graph(plan) or not stands(reading, event):
            continue
        states = {one.target: one.state for one in view.deliveries}
        for target, before in _before(reading, event).items():
            for sent in reading.chains.get((answer.delivery, target), []):
                wrong += [f"{name(sent)}: {why}" for why in _seen(reading, sent, before, states, plan)]
        keyed = {one.name for one in plan.targets if one.cache}  # whose key may have no value for the event
        failed = {one.target for one in view.deliveries if one.reason == "ExpressionFailed"}
        wrong += [f"{event}: the condition of {target} had no value" for target in sorted(failed - keyed)]
    return wrong


def _seen(reading: Reading, sent: Sent, before: set[str], states: dict[str, str], plan: Plan) -> list[str]:
    """What one attempt was made of."""
    saw = {target: (state, body) for target, state, body in sent.saw}
    wrong = [f"it did not see {target}" for target in sorted(before - saw.keys())]
    for target, (state, body) in saw.items():
        known = next(one for one in plan.targets if one.name == target)
        instead = fallback_of(plan, target)
        given_up = states.get(target) == "Dead"
        stood_in = given_up and instead is not None and states.get(instead) == "Delivered"
        static = known.static if given_up and body is not None else None
        became = "Delivered" if static or stood_in else states.get(target)
        if state != became:
            if target in before:  # what one beside it did may have gone down with its process
                wrong.append(f"it saw {target} as {state}, which is {became}")
        elif static:
            wrong += [] if body == static.body.encode() else [f"it saw {body!r} of {target}, which nobody has said"]
        elif state == "Delivered" and body != (
            said := _said(reading, sent.delivery, instead if stood_in and instead else target, sent)
        ):
            wrong.append(f"it saw {body!r} of {target}, which said {said!r}")
        elif state != "Delivered" and body is not None:
            wrong.append(f"it saw {body!r} of {target}, which is {state}")
    return wrong


def _said(reading: Reading, delivery: Delivery, target: str, then: Sent) -> bytes | None:
    """The last answer of *target* before *then* that was a success."""
    chain = reading.chains.get((delivery, target), [])
    answers = [one.outcome for one in chain if one.yes and one.ended is not None and one.ended <= then.at]
    answer = getattr(answers[-1], "answer", None) if answers else None
    return None if answer is None else answer.body


def _before(reading: Reading, event: str) -> dict[str, set[str]]:
    """For each position the targets before it of which something is read."""
    plan = reading.posted[event].plan
    after = {one.name: set(one.depends_on) for one in plan.targets}
    for _ in plan.targets:
        for before in after.values():
            before |= {further for one in before for further in after[one]}
    read = {one.name for one in plan.targets if one.keep}
    behind = {one.target.name: {one.of} | after[one.of] if one.of else set(after) for one in plan.behind}
    behind |= {one.target.name: after[one.of] for one in plan.behind if one.role == "Fallback"}
    return {target: before & read for target, before in (after | behind).items()}
