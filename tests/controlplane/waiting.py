"""Waiting for the cluster to be in a state: list, look, then follow the watch; never a sleep."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.harness.apiserver import ApiServer, Document

__all__ = ["PATIENCE", "Document", "until"]

PATIENCE = 20.0  # seconds; what is waited for takes milliseconds


def until(
    server: ApiServer, path: str, holds: Callable[[list[Document]], Any], *, labels: str = "", name: str = ""
) -> list[Document]:
    """Wait until a collection is as it should be and give its items; AssertionError shows what it was instead."""
    selection = {"labelSelector": labels} | ({"fieldSelector": f"metadata.name={name}"} if name else {})
    deadline = time.monotonic() + PATIENCE
    with server.client() as client:
        listing = client.get(path, params=selection).raise_for_status().json()
        items = {one["metadata"]["name"]: one for one in listing["items"]}
        since = listing["metadata"]["resourceVersion"]
        while not holds(list(items.values())):
            left = deadline - time.monotonic()
            assert left > 0, f"{path} did not become what it should: {json.dumps(list(items.values()))[:3000]}"
            watching = {**selection, "watch": "true", "resourceVersion": since, "timeoutSeconds": str(int(left) + 1)}
            since = _follow(client, path, watching, items, holds)
    return list(items.values())


def _follow(
    client: httpx.Client,
    path: str,
    parameters: dict[str, str],
    items: dict[str, Document],
    holds: Callable[[list[Document]], Any],
) -> str:
    since = parameters["resourceVersion"]
    with client.stream("GET", path, params=parameters, timeout=PATIENCE + 5) as answer:
        for line in answer.iter_lines():
            event = json.loads(line)
            found = event["object"]
            since = found["metadata"]["resourceVersion"]
            if event["type"] == "DELETED":
                items.pop(found["metadata"]["name"], None)
            else:
                items[found["metadata"]["name"]] = found
            if holds(list(items.values())):
                break
    return str(since)
