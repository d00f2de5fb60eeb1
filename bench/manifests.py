"""The manifests that our side runs: routes with default policies and nothing switched off."""

import json
import pathlib

NAMESPACE = "bench"
NAME = "orders"


def route(
    urls: list[str],
    *,
    name: str = NAME,
    durability: str = "Journal",
    suspend: bool = False,
    mode: str = "Accepted",
    timeout: str | None = None,
    when: str | None = None,
) -> dict[str, object]:
    """A route to *urls* that says nothing but where, and what the case is about."""
    said = {} if when is None else {"when": when}
    targets = [{"name": f"t{number}", "url": url} | said for number, url in enumerate(urls)]
    respond = {"mode": mode} | ({} if timeout is None else {"timeout": timeout})
    return {
        "apiVersion": "fanout.dev/v1alpha1",
        "kind": "FanoutRoute",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"durability": durability, "suspend": suspend, "respond": respond, "targets": targets},
    }


def write(path: pathlib.Path, *routes: dict[str, object]) -> pathlib.Path:
    """Write them to *path*, one document each: JSON is YAML."""
    fresh = path.with_suffix(".new")
    fresh.write_text("\n---\n".join(map(json.dumps, routes)), encoding="utf-8")
    return fresh.replace(path)  # in one step: nobody reads half of it
