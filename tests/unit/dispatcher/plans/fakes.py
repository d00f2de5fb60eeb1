"""A sink that remembers, manifests in a few words, and a way to wait for a state instead of for a time."""

import asyncio
import pathlib
import typing

from fanout_crds.plan import Credentials, Plan
from fanout_dispatcher.telemetry.seam import Change
from fanout_dispatcher.values.sink import PlanRefused


class News:
    """Lets a test wait for a state; whoever changes something says so by `come`."""

    def __init__(self) -> None:
        self._come = asyncio.Event()

    def come(self) -> None:
        self._come.set()

    async def until(self, state: typing.Callable[[], object]) -> None:
        """Wait until *state* is true; it is asked again after every change."""
        while not state():
            self._come.clear()
            async with asyncio.timeout(20):
                await self._come.wait()


class Bell:
    """A seam that lets a test wait for what it is told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._news = News()
        self.until = self._news.until

    def tell(self, change: Change) -> None:
        self.changes.append(change)
        self._news.come()


class FakeSink:
    """Satisfies `PlanSink`; like the engine it lets no two routes have one path."""

    def __init__(self, *in_force: str) -> None:
        self.plans: dict[str, Plan | None] = dict.fromkeys(in_force)  # None: from the journal
        self.credentials: dict[str, Credentials] = {}
        self.refused: dict[str, str] = {}
        self.retired: list[str] = []
        self.adopted: list[str] = []  # revisions that were new
        self.ready = False
        self.why = ""  # it takes no plan, and says this
        self._news = News()
        self.until = self._news.until

    def adopt(self, plan: Plan, credentials: Credentials) -> None:
        if self.why:
            raise PlanRefused(self.why)
        for other in self.plans.values():
            if other and other.path == plan.path and other.key != plan.key:
                raise PlanRefused(f"path {plan.path} belongs to {other.key}")
        known = self.plans.get(plan.key)
        if known is None or known.revision != plan.revision:
            self.adopted.append(plan.revision)
        self.plans[plan.key] = plan
        self.credentials[plan.key] = credentials
        self.refused.pop(plan.key, None)
        self._news.come()

    def refuse(self, route: str, why: str) -> None:
        self.refused[route] = why
        self._news.come()

    def retire(self, route: str) -> None:
        if self.refused.pop(route, None) is None or route in self.plans:
            del self.plans[route]
            self.retired.append(route)
        self._news.come()

    def routes(self) -> dict[str, str]:
        return {route: plan.uid if plan else route.rpartition("/")[2] for route, plan in self.plans.items()}

    def synced(self) -> None:
        self.ready = True
        self._news.come()

    def url(self, route: str) -> str:
        """The URL of a route's first target."""
        plan = self.plans[route]
        assert plan is not None
        return plan.targets[0].url


def manifest(name: str, *, url: str = "https://example.com/", namespace: str = "shop", spec: str = "") -> str:
    """A FanoutRoute with one target; *spec* holds further lines of the spec, indented by two."""
    return f"""---
apiVersion: fanout.dev/v1alpha1
kind: FanoutRoute
metadata: {{name: {name}, namespace: {namespace}}}
spec:
{spec}
  targets: [{{name: t, url: "{url}"}}]
"""


def replace(path: pathlib.Path, text: str) -> None:
    """Write a file as careful editors do: beside it, then renamed over it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
