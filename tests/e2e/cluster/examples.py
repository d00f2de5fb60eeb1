"""Every example as it stands, but for where its targets are: `url:` of this machine becomes a Service of the route.

A target that is asked over TLS with a certificate of ours is asked without: pods that play targets speak HTTP.
A folder below examples/ that is added tomorrow is applied too, without a word here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.support.commands import Command, commands

Document = dict[str, Any]
EXAMPLES = Path(__file__).parents[3] / "examples"
NOT_FOR_IT = {  # targets that need not get the event that is shown each time it is posted
    "shop/orders": frozenset({"search"}),  # its filter leaves it out
    "shop/offers": frozenset({"price"}),  # its cache answers
}


@dataclass(frozen=True, kw_only=True)
class Route:
    """One route of an example: where to post, and which Services its targets need."""

    namespace: str
    name: str
    path: str
    targets: frozenset[str]  # and whoever stands behind them
    owed: frozenset[str]  # the targets that get every event
    takes_any: bool = True  # event that is posted; others want data of their own, or are asked by GET
    knows_again: bool = False  # it goes by the data: the event that is shown is one, however often it is posted

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def wants_its_own(self) -> bool:
        """Whether it is to be shown with the event of its example, many times over."""
        return not self.takes_any and not self.knows_again


def documents() -> list[Document]:
    """All documents of all examples, in the order kubectl would read them, moved into the cluster."""
    files = sorted(file for kind in ("*.yaml", "*.yml") for file in EXAMPLES.rglob(kind))
    return [_moved(one) for file in files for one in yaml.safe_load_all(file.read_text()) if one]


def routes(found: list[Document]) -> list[Route]:
    """Name the routes among documents."""
    return [
        Route(
            namespace=one["metadata"]["namespace"],
            name=one["metadata"]["name"],
            path=one["spec"]
            .get("listen", {})
            .get("path", f"/{one['metadata']['namespace']}/{one['metadata']['name']}"),
            targets=frozenset(of["service"]["name"] for _, of in _asked(one)),
            owed=frozenset(of["service"]["name"] for of in one["spec"]["targets"] if "when" not in of),
            takes_any="Expression" not in str(one) and "POST" in one["spec"].get("listen", {}).get("methods", ["POST"]),
            knows_again="keyExpression" in one["spec"].get("accept", {}).get("idempotency", {}),
        )
        for one in found
        if one["kind"] == "FanoutRoute"
    ]


def shown(route: Route) -> tuple[Command, frozenset[str]]:
    """Give the request that the example itself shows for a route, and the targets that are to get it."""
    path = re.compile(re.sub(r"\{\w+\}", "[^/]+", route.path))
    command = next(one for one in commands() if path.fullmatch(one.path.partition("?")[0]))
    return command, route.targets - NOT_FOR_IT.get(str(route), frozenset())


def _moved(document: Document) -> Document:
    for name, asked in _asked(document):
        if "url" in asked:
            asked["service"] = {"name": name, "port": "http", "path": urlsplit(asked.pop("url")).path}
        if "clientCertificate" in asked.get("authentication", {}):
            del asked["authentication"], asked["tls"]
    return document


def _asked(document: Document) -> Iterator[tuple[str, Document]]:
    """Whoever is asked, and under which name: what undoes a target or stands in for it goes by that target's."""
    if document["kind"] != "FanoutRoute":
        return
    for one in [*document["spec"]["targets"], *document["spec"].get("finally", ())]:
        behind = (one, one.get("compensate"), one.get("fallback", {}).get("target"))
        yield from ((one["name"], asked) for asked in behind if asked)
