"""How long an event waits for others to share its commit with: long enough to pay, and not at all where nobody comes.

A commit costs the same whether it carries one event or ten, so at a few hundred events a second a wait of milliseconds
halves what an event costs. But a producer that sends its next event only after our answer never brings company, and
four such producers bring three. So two things are learnt while somebody waits: at what *rate* others come meanwhile,
which says whether and how long waiting pays; and how many there are at most, which is *enough* to go at once the next
time. Now and then that is ignored, to find out whether there are more of them by now.

Kafka's ``linger.ms`` is the fixed form of it.
"""

import math
import typing

LONGEST: typing.Final = 0.004  # seconds: an answer may be late by this, and a settle waits a little longer anyway
COMPANY: typing.Final = 8  # events that a group waits for: with more, what they save is less than what they wait
WEIGHT: typing.Final = 0.125  # of the last commit in the rate
FADE: typing.Final = 0.9  # of the crowd is still believed in after a whole wait without it
PROBE: typing.Final = 16  # groups after which one waits on although enough have come


class Linger:
    """Learns from each commit; *longest* in seconds, 0 = nobody waits."""

    def __init__(self, longest: float = LONGEST) -> None:
        self.longest = longest
        self.rate = 0.0  # events a second, while one was waiting
        self.crowd = 1.0  # events in the largest group lately
        self.early = 0  # groups in a row that did not wait to the end

    def __repr__(self) -> str:
        return f"<Linger {self.seconds() * 1000:.1f} ms, rate={self.rate:.0f}/s, crowd={self.crowd:.1f}>"

    def seconds(self) -> float:
        """How long the first event of a group waits at most; 0 where less than one more is to be expected."""
        return min(self.longest, COMPANY / self.rate) if self.rate * self.longest >= 1.0 else 0.0

    def enough(self) -> float:
        """With how many events a group goes at once, whatever time is left."""
        self.early += 1
        if self.early >= PROBE:
            self.early = 0
            return math.inf
        return self.crowd

    def waited(self) -> None:
        """A group has waited to the end: it was not enough."""
        self.crowd *= FADE
        self.early = 0

    def learn(self, size: int, joined: int, seconds: float) -> None:
        """A group of *size* is committed; in the *seconds* since its first event came, *joined* others did."""
        self.crowd = max(size, self.crowd)
        if seconds > 0.0:
            self.rate += WEIGHT * (joined / seconds - self.rate)
