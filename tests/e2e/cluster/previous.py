"""The chart of the release before this checkout."""

from pathlib import Path

from tests.harness.previous import previous_or_skip


def previous_chart(into: Path) -> Path:
    """Write it into a folder and give its path."""
    found = previous_or_skip(into, ("charts", "crds"), ("charts",))  # the chart has a link to the definition of routes
    return found / "charts" / "fanout"
