"""P16: whoever waits for targets has exactly one answer, by the deadline, and nothing in it that is not so.

What a caller is told of a target is what that target said, and, where the journal is on disk, what was committed before
the caller heard of it; and it stays so. Nobody waits longer than it takes.
"""

import itertools

from tests.sim.checkers.cache import lenders
from tests.sim.checkers.reading import Reading, fallback_of, stands
from tests.sim.history import DURABLE, Committed, Hears, Posted, Sent, Served, Stopping

GRAIN = 0.005  # seconds that an answer may be late
PROMPT = 1.0  # seconds in which what is known has reached the caller, while the disk is well


def check(reading: Reading) -> list[str]:
    """Every caller."""
    served: dict[str, list[Served]] = {}
    for one in reading.history.of(Served):
        served.setdefault(one.event, []).append(one)
    wrong: list[str] = []
    for posted in reading.posted.values():
        if posted.waits:
            wrong += _caller(reading, posted, served.get(posted.event, []))
    return wrong


def _caller(reading: Reading, posted: Posted, served: list[Served]) -> list[str]:
    rule = posted.plan.respond
    assert rule is not None, f"{posted.event} waits where nobody can"
    deadline = posted.at + rule.timeout
    if not served:
        ended = reading.ended[posted.life]
        if ended.at > deadline or ended.how == "drained":
            return [f"{posted.event}: posted at {posted.at:.4f}, never answered"]
        return []
    wrong = [f"{posted.event}: answered {len(served)} times"] if len(served) > 1 else []
    first = served[0]
    if first.reason is not None:
        return wrong
    if first.at > deadline + GRAIN:
        wrong.append(f"{posted.event}: answered at {first.at:.4f}, due by {deadline:.4f}")
    if first.again:
        return wrong  # P17 says what that has to be
    wrong += _ended(reading, posted, first, deadline)
    for hears in first.hears:
        wrong += [f"{posted.event} → {hears.target}: {why}" for why in _heard(reading, first, hears)]
    return wrong + _why_not_reached(posted, first)


def _why_not_reached(posted: Posted, served: Served) -> list[str]:
    """A step whose turn has not come is told together with what that follows from, where that is waited for too."""
    told = {one.target: one for one in served.hears}
    saga = any(behind.role == "Compensation" for behind in posted.plan.behind)
    wrong: list[str] = []
    for target in posted.plan.targets:
        heard = told.get(target.name)
        if heard is None or heard.reason != "NotReached":
            continue
        others = [one.name for one in posted.plan.targets if one.name != target.name]
        causes = others if saga else target.depends_on
        if all(name in told and not (told[name].reason and told[name].state != "Pending") for name in causes):
            wrong.append(f"{posted.event} → {target.name}: told as NotReached, and of nothing that this follows from")
    return wrong


def _ended(reading: Reading, posted: Posted, served: Served, deadline: float) -> list[str]:
    """The end of the wait fits what is told, and came as soon as it could."""
    rule = posted.plan.respond
    assert rule is not None
    yes = sum(one.state == "Delivered" for one in served.hears)
    lost = sum(bool(one.reason) for one in served.hears)
    enough, hopeless = yes >= rule.quorum, len(served.hears) - lost < rule.quorum
    fits = {
        "Answered": enough,
        "Failed": hopeless and not enough,
        "Partial": rule.partial and yes > 0 and served.at >= deadline - GRAIN,
        "Timeout": served.at >= deadline - GRAIN and not (rule.partial and yes),
        "Draining": any(one.life == served.life for one in reading.history.of(Stopping)),
    }[served.ended]
    wrong = [] if fits else [f"{posted.event}: ended {served.ended} with {yes} yes, {lost} lost of {len(served.hears)}"]
    known = _known(reading, posted)
    if served.life not in reading.ill and known is not None and served.at > known + PROMPT:
        wrong.append(f"{posted.event}: enough was known at {known:.4f}, answered at {served.at:.4f}")
    return wrong


def _known(reading: Reading, posted: Posted) -> float | None:
    """When the last success that it takes had come in; None where it never did in that life."""
    rule = posted.plan.respond
    assert rule is not None
    came = sorted(
        min(sent.ended or 0.0 for sent in attempts)
        for target in rule.wait_for
        if (attempts := [one for one in _sent(reading, posted.event, target, posted.life) if one.yes])
    )
    return came[rule.quorum - 1] if len(came) >= rule.quorum else None


def _heard(reading: Reading, served: Served, hears: Hears) -> list[str]:
    """One target: what was told of it is so, was on disk, and stays."""
    wrong: list[str] = []
    posted = reading.posted[served.event]
    plan = posted.plan
    asked = fallback_of(plan, hears.target) if hears.fallback else hears.target
    if hears.state == "Delivered" and asked is None:
        static = next(one.static for one in plan.targets if one.name == hears.target)
        if static is None or hears.body != static.body.encode():
            wrong.append(f"told {hears.body!r} in its place, which nobody has said")
        asked_before = [one.ended for one in _sent(reading, served.event, hears.target, served.life) if one.ended]
        if not all(_on_disk(reading, served, ended) for ended in asked_before):
            wrong.append("told as stood in for before that was on disk")
    elif hears.state == "Delivered":
        answers = [one for one in _sent(reading, served.event, asked or "", served.life) if one.yes]
        lent = lenders(reading, served.event, hears.target, served.at)
        answers += [one for one in lent if one.life == served.life]
        told = [one for one in answers if (one.ended or 0.0) <= served.at + 1e-6 and _body(one) == hears.body]
        if not told:
            wrong.append(f"told as delivered with {hears.body!r}, which it did not say by then")
        elif not any(_on_disk(reading, served, max(one.ended or 0.0, posted.at)) for one in told):
            wrong.append("told as delivered before that was on disk")
    view = reading.history.events.get(served.receipt or "")
    if hears.state != "Pending" and view is not None and stands(reading, served.event):
        now = next((one.state for one in view.deliveries if one.target == (asked or hears.target)), None)
        now = "Delivered" if asked is None and now == "Dead" else now
        if now != hears.state:
            wrong.append(f"told as {hears.state}, and is {now}")
    may_be = {(plan.key, hears.target), (plan.key, fallback_of(plan, hears.target))}
    if hears.reason == "CircuitOpen" and not may_be & reading.circuits.keys():
        wrong.append("told to be left alone, though its circuit never opened")
    return wrong


def _body(sent: Sent) -> bytes | None:
    answer = getattr(sent.outcome, "answer", None)
    return None if answer is None else answer.body


def _on_disk(reading: Reading, served: Served, ended: float) -> bool:
    answered = reading.answered.get(served.event)
    if answered is None or answered.delivery is None or answered.delivery[0] != DURABLE:
        return True
    commits = (one for one in reading.history.of(Committed) if one.life == served.life and one.fault is None)
    return any(one.begun >= ended - 1e-6 and one.at <= served.at + 1e-6 for one in commits)


def _sent(reading: Reading, event: str, target: str, life: int) -> list[Sent]:
    chains = (chain for (_, name), chain in reading.chains.items() if name == target)
    return [one for one in itertools.chain(*chains) if one.event == event and one.life == life]
