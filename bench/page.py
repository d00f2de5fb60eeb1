"""Reading our own metrics page: counters by name, and what two pages of one run say about the commits between them."""

import typing

import msgspec
from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
Page = dict[tuple[str, Labels], float]
COMMITS: typing.Final = "fanout_journal_commit_seconds"


class Commits(msgspec.Struct, frozen=True, kw_only=True):
    """A journal's commits in a stretch of time. ``bounds``: upper bound (s) and how many took no longer."""

    count: float
    events: float
    bounds: tuple[tuple[float, float], ...]

    @property
    def group(self) -> float:
        """Events per commit; 0 when none was committed."""
        return self.events / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Seconds within which *share* of them were done: linear inside a bucket, as Prometheus has it."""
        wanted, below, before = share * self.count, 0.0, 0.0
        for bound, count in self.bounds:
            if count >= wanted and count > before:
                return (
                    below if bound == float("inf") else below + (bound - below) * (wanted - before) / (count - before)
                )
            below, before = bound, count
        return 0.0


def parse(text: str) -> Page:
    """Every sample of a metrics page."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def total(page: Page, name: str) -> float:
    """The sum of *name* over all its labels."""
    return sum(value for (named, _), value in page.items() if named == name)


def commits(before: Page, after: Page, durability: str = "Journal") -> Commits:
    """What the journal committed between two pages."""

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(sorted((labels | {"durability": durability}).items())))
        return after[key] - before[key]

    edges = [dict(labels)["le"] for name, labels in after if name == f"{COMMITS}_bucket" and _of(labels, durability)]
    bounds = sorted((float(edge), grown(f"{COMMITS}_bucket", le=edge)) for edge in edges)
    return Commits(count=grown(f"{COMMITS}_count"), events=grown("fanout_journal_events_total"), bounds=tuple(bounds))


def _of(labels: Labels, durability: str) -> bool:
    return ("durability", durability) in labels
