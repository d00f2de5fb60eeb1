"""P16, of fallbacks: one of two is asked in the end, and no event is lost or done twice between them.

Whoever stands in is asked only once its target is given up, and then the target never again. A target that was given up
like that is no dead letter; one that nothing stood in for is one. Who was answered by a fallback can rely on it that
the target does not get the event later.
"""

from fanout_dispatcher.values.views import DeliveryView
from tests.sim.checkers.reading import Reading, fallback_of, is_graph, kept, name, stands, target_of
from tests.sim.history import Sent, Served


def check(reading: Reading) -> list[str]:
    """Every event whose targets have fallbacks."""
    wrong: list[str] = []
    for event, answer in reading.answered.items():
        plan, view = reading.posted[event].plan, reading.history.events.get(answer.receipt or "")
        if view is None or not is_graph(plan) or not stands(reading, event):
            continue
        became = {one.target: one for one in view.deliveries}
        for target in plan.targets:
            instead = fallback_of(plan, target.name)
            one = became.get(target.name)
            if one is None or (instead is not None and instead not in became):
                continue  # P1 says so
            chains = [reading.chains.get((answer.delivery or ("", 0), who), []) for who in (target.name, instead or "")]
            other = became[instead] if instead else None
            found = [
                *_one_of_two(reading, *chains, given_up=one.state == "Dead"),
                *_kept(one, other, static=target.static is not None),
            ]
            taken_away = target.static is not None and (
                one.reason in {"TargetRemoved", "RouteDeleted"} or _lost_it(reading, plan.key, target.name)
            )
            if (chains[1] or target.static) and not taken_away and _is_letter(reading, view.receipt, target.name):
                found.append("a dead letter, although something stood in")
            wrong += [f"{event} → {target.name}: {why}" for why in found]
    return [*wrong, *_answered(reading)]


def _one_of_two(reading: Reading, chain: list[Sent], instead: list[Sent], *, given_up: bool) -> list[str]:
    if not instead:
        return []
    first = instead[0]
    wrong = [f"{name(first)} stands in for what was not given up"] if not given_up else []
    wrong += [f"{name(one)} came after its fallback was asked" for one in chain if one.at > first.at]
    said_yes = [one for one in chain if one.yes and kept(reading, one.life, one.ended or 0.0)]
    return wrong + [f"{name(first)}, although {name(one)} had said yes" for one in said_yes]


def _kept(one: DeliveryView, other: DeliveryView | None, *, static: bool) -> list[str]:
    """Something took what was owed to a target that is no dead letter."""
    took = static or (other is not None and (other.state in {"Delivered", "Dead"} or other.reason == "CalledOff"))
    return [] if took or one.reason != "FellBack" else [f"no dead letter, and what stands in for it is {other}"]


def _lost_it(reading: Reading, route: str, name: str) -> bool:
    """Whether a target was without its static answer for a while, or after that."""
    found = [target_of(adopted.plan, name) for adopted in reading.plans[route]]
    return any(one is not None and one.static is None for one in found)


def _is_letter(reading: Reading, receipt: str, target: str) -> bool:
    return any(one.receipt == receipt and one.target == target for one in reading.left)


def _answered(reading: Reading) -> list[str]:
    """Nobody is asked later whose caller was answered by a fallback."""
    wrong: list[str] = []
    for served in reading.history.of(Served):
        told = {one.target for one in served.hears if one.fallback and one.state == "Delivered"}
        for (_, target), chain in reading.chains.items() if told else ():
            late = [one for one in chain if one.event == served.event and one.at > served.at]
            wrong += [f"{name(one)}: its caller had the fallback's answer" for one in late if target in told]
    return wrong
