"""P14: a dead letter is complete, and nothing dies without a reason that the history bears out.

Its reason, its attempts and its bytes are those that producers and targets know of. One that was replayed is gone.
"""

from fanout_dispatcher.telemetry.seam import DeliveryDead
from fanout_dispatcher.values.event import HISTORY
from fanout_dispatcher.values.outcome import Failed
from fanout_dispatcher.values.views import DeadLetterView
from tests.sim.checkers.reading import Reading, is_graph, policy_at, target_at, target_of
from tests.sim.history import Answered, Replayed, Retired, Sent, Told


def check(reading: Reading) -> list[str]:
    """Every dead letter that was there to be seen."""
    by_receipt = {one.receipt: one for one in reading.history.of(Answered) if one.receipt}
    died_in = {
        (told.change.receipt, told.change.target): told.life
        for told in reading.history.of(Told)
        if isinstance(told.change, DeliveryDead)
    }
    wrong = [
        f"of {one.meant} dead letters {len(one.receipts)} were replayed, and {one.kept} are there after it"
        for one in reading.history.of(Replayed)
        if len(one.receipts) + one.kept > one.meant
    ]
    for letter in reading.history.letters.values():
        where = f"dead letter {letter.id} ({letter.event_id} → {letter.route} {letter.target}, {letter.reason})"
        posted = reading.posted.get(letter.event_id)
        if posted is None or letter.body != posted.body:
            wrong.append(f"{where}: the bytes are {letter.body!r}, not what came in")
        answer = by_receipt.get(letter.receipt)
        if answer is not None and answer.delivery is not None:
            chain = reading.chains.get((answer.delivery, letter.target), [])
            lives = {sent.life for sent in chain} | {died_in.get((letter.receipt, letter.target), 0)}
            told = _complete(letter, chain) if len(lives) == 1 else []
            wrong += [f"{where}: {why}" for why in [*told, *_judged(reading, letter, chain)]]
    return wrong


def _judged(reading: Reading, letter: DeadLetterView, chain: list[Sent]) -> list[str]:
    wrong: list[str] = []
    if len(letter.history) > len(chain):
        wrong.append(f"tells of {len(letter.history)} attempts, the target knows {len(chain)}")
    last = chain[-1] if chain else None
    match letter.reason:
        case "TargetRejected":
            if last is None or last.yes or _tried_again(reading, last):
                wrong.append(f"the last answer was {last and last.outcome}, which the plan tries again")
            elif last.shared > 1:
                wrong.append(f"the last answer was to {last.shared} events, and this one was not tried alone")
        case "AttemptsExhausted":
            most = [one.retry.max_attempts or 0 for one in policy_at(reading, last, last.ended or 0.0)] if last else []
            if not any(0 < limit <= letter.attempts for limit in most):
                wrong.append(f"after {letter.attempts} attempts, maxAttempts is {most}")
        case "Expired":
            wrong += _expired(reading, letter, chain)
        case "RouteDeleted" if not any(one.route == letter.route for one in reading.history.of(Retired)):
            wrong.append("nobody deleted the route")
        case "TargetRemoved" if not _removed(reading, letter):
            wrong.append("nobody removed the target")
        case _:
            pass
    return wrong


def _removed(reading: Reading, letter: DeadLetterView) -> bool:
    """Its target was taken out of the route; or, in a graph, its turn came when the route had been deleted."""
    deleted = any(one.route == letter.route for one in reading.history.of(Retired))
    graph = any(is_graph(one.plan) for one in reading.plans[letter.route])
    gone = any(target_of(one.plan, letter.target) is None for one in reading.plans[letter.route])
    return gone or (graph and deleted)


def _complete(letter: DeadLetterView, chain: list[Sent]) -> list[str]:
    """One life saw it all: cause and times of the last attempts are what the target saw."""
    seen = [_outcome(sent) for sent in chain if sent.ended is not None and not sent.yes]
    told = [one.outcome for one in letter.history]
    if told != seen[-HISTORY:]:
        return [f"tells of {told}, the target saw {seen}"]
    return []


def _outcome(sent: Sent) -> str:
    return str(sent.outcome) if isinstance(sent.outcome, Failed) else "Timeout"


def _tried_again(reading: Reading, last: Sent) -> bool:
    failed = last.outcome if isinstance(last.outcome, Failed) else None
    for policy in policy_at(reading, last, last.ended or 0.0):
        retry = policy.retry
        gone = failed is not None and any(low <= failed.status <= high for low, high in retry.give_up_on)
        status = failed is not None and any(low <= failed.status <= high for low, high in retry.on_status)
        fault = _outcome(last) in retry.on_fault
        if gone or not (status or fault):
            return False
    return True


def _expired(reading: Reading, letter: DeadLetterView, chain: list[Sent]) -> list[str]:
    """``timeouts.total`` was over, or the next try would have come after it; never before (P28)."""
    posted = reading.posted[letter.event_id]
    died = letter.at - reading.history.wall
    plans = target_at(reading, letter.route, letter.target, died)
    if any(posted.at <= at for at in reading.reboots):
        return []  # across a reboot only the wall clock counts
    spare = max((_longest(one.policy.retry.backoff.max_delay, chain) for one in plans), default=0.0)
    totals = [one.policy.timeouts.total for one in plans]
    if totals and died - posted.at + spare < min(totals) - 0.01:
        return [f"after {died - posted.at:.2f} s, timeouts.total is {totals}"]
    return []


def _longest(backoff: float, chain: list[Sent]) -> float:
    """How far away the next try can have been."""
    failed = chain[-1].outcome if chain else None
    asked = failed.retry_after if isinstance(failed, Failed) else None
    return max(backoff, float(asked) if asked and asked.isdigit() else 3.0 if asked else 0.0) if chain else 0.0
