"""How long to wait before asking again: doubling, capped, with full jitter, so that many never come back together."""

import random

import msgspec


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Waits in seconds: the first is up to `base`, none is above `cap`."""

    base: float
    cap: float

    def wait(self, failures: int, rng: random.Random) -> float:
        """The wait after so many failures in a row (1 = the first), never under a tenth of what it could be."""
        most = min(self.cap, self.base * 2.0 ** min(failures - 1, 32))
        return rng.uniform(most / 10, most)
