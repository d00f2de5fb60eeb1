"""What the demo reads of a dispatcher: its admin API, as anybody would, over HTTP.

`look` takes everything at once into one frozen `Sight`; the proofs are made from such sights and from nothing else.
"""

import dataclasses
import datetime
import re
import typing
from collections.abc import Iterator, Mapping

import httpx

Json = dict[str, typing.Any]
SAMPLE: typing.Final = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
LABEL: typing.Final = re.compile(r'(\w+)="([^"]*)"')
PAGE: typing.Final = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sight:
    """One look at a route: its targets by name and its events, newest first, as the API gives them."""

    targets: Mapping[str, Json]
    events: tuple[Json, ...]

    def deliveries(self, target: str) -> Iterator[Json]:
        """Give every event's delivery to *target*."""
        return (each for event in self.events for each in event["deliveries"] if each["target"] == target)

    def count(self, target: str, state: str) -> int:
        """Count the deliveries to *target* that are in *state*."""
        return sum(each["state"] == state for each in self.deliveries(target))

    def pending(self) -> int:
        """Count what is not settled, over all targets."""
        return sum(each["pending"] for each in self.targets.values())

    def settled(self) -> bool:
        """Say whether nothing is owed any more, by both accounts."""
        return not self.pending() and all(event["settled"] for event in self.events)


class Admin:
    """The admin API of the dispatcher at *base*, of which one route is looked at."""

    def __init__(self, http: httpx.AsyncClient, base: str, route: str) -> None:
        self.base = base
        self.route = route
        self._http = http

    async def get(self, path: str, **query: str | int) -> Json:
        """GET a JSON document."""
        answer = await self._http.get(self.base + path, params=query)
        answer.raise_for_status()
        return typing.cast("Json", answer.json())

    async def look(self, events: int = PAGE) -> Sight:
        """Look at the route and its newest *events*."""
        route = await self.get(f"/v1/routes/{self.route}")
        listed = await self.get("/v1/events", route=self.route, limit=events)
        return Sight(targets={each["name"]: each for each in route["targets"]}, events=tuple(listed["items"]))

    async def dead_letters(self) -> list[Json]:
        """Give the route's dead letters, oldest first."""
        found: list[Json] = (await self.get("/v1/dead-letters", route=self.route))["items"]
        return found

    async def attempts(self, target: str) -> dict[str, int]:
        """Give how many attempts *target* saw, by outcome, from the metrics."""
        page = (await self._http.get(self.base + "/metrics")).text
        found = {}
        for name, labels, value in SAMPLE.findall(page):
            said = dict(LABEL.findall(labels))
            if name == "fanout_attempts_total" and (said["route"], said["target"]) == (self.route, target):
                found[said["outcome"]] = int(float(value))
        return {outcome: count for outcome, count in found.items() if count}


def seconds(when: str) -> float:
    """Read a time of the API."""
    return datetime.datetime.fromisoformat(when).timestamp()


def waits(delivery: Json) -> list[float]:
    """Tell how long a delivery waited before each retry, the one it waits for now included."""
    history = delivery["history"]
    ended = [seconds(each["at"]) for each in history]
    began = [seconds(each["at"]) - each["seconds"] for each in history[1:]]
    if delivery["due"]:
        began.append(seconds(delivery["due"]))
    return [max(0.0, start - end) for end, start in zip(ended, began, strict=False)]
