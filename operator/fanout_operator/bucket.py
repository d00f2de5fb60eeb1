"""A token bucket: at most `rate` a second in the long run, `burst` at once. Pure; time is handed in."""


class Bucket:
    """Full at first."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<Bucket {self._tokens:.1f}/{self._burst:g} +{self._rate:g}/s>"

    def take(self, now: float) -> float:
        """Take a token and answer 0, or take none and answer in how many seconds there will be one."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate
