"""P4 and P34: a sick target or a flooding route changes nothing for the others.

The same scenario is played twice, with the trouble and without. What the healthy targets' deliveries take, from the
event at the door to the target's yes, may differ by a tenth and a moment.
"""

from tests.sim.checkers.reading import Reading

FACTOR = 1.1
MOMENT = 0.008  # seconds: what two commits may take


def check(reading: Reading, twin: Reading, healthy: tuple[str, ...]) -> list[str]:
    """Compare, target by target."""
    wrong: list[str] = []
    for key in healthy:
        with_it, without = latencies(reading, key), latencies(twin, key)
        if len(with_it) < len(without):
            wrong.append(f"{key}: {len(with_it)} deliveries beside the trouble, {len(without)} without it")
        elif p99(with_it) > FACTOR * p99(without) + MOMENT:
            wrong.append(f"{key}: p99 {p99(with_it):.4f} s beside the trouble, {p99(without):.4f} s without it")
    return wrong


def latencies(reading: Reading, key: str) -> list[float]:
    """Seconds from post to yes, of those events that the twin world has too."""
    first: dict[str, float] = {}
    for sent in reading.history.sent:
        if f"{sent.route} {sent.target}" == key and sent.yes and sent.ended is not None:
            first.setdefault(sent.event, sent.ended - reading.posted[sent.event].at)
    return sorted(first.values())


def p99(sample: list[float]) -> float:
    """The value that one in a hundred exceeds."""
    return sample[min(len(sample) - 1, int(len(sample) * 0.99))] if sample else 0.0
