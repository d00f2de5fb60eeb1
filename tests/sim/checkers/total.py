"""P9, too: nothing begins once ``timeouts.total`` is over, neither an attempt nor a hedge of one that began in time.

It runs from when the event was accepted, and by the newest plan. What lies across a reboot is not judged, where only
the wall clock runs.
"""

from tests.sim.checkers.reading import GRAIN, Reading, name, policy_at


def check(reading: Reading) -> list[str]:
    """All that targets saw of every event whose producer was told that it is accepted."""
    accepted = {one.delivery: one.at for one in reading.answered.values() if one.delivery is not None}
    wrong: list[str] = []
    for sent in reading.history.sent:
        since = accepted.get(sent.delivery)  # or a little before
        if since is None or any(since <= at <= sent.at for at in reading.reboots):
            continue
        totals = [policy.timeouts.total or float("inf") for policy in policy_at(reading, sent, sent.at)]
        if sent.at >= since + max(totals, default=float("inf")) + GRAIN:
            wrong.append(f"{name(sent)}: {sent.at - since:.4f} s after it was accepted, timeouts.total is {totals}")
    return wrong
