"""Rendering the chart without a cluster."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.harness.helm import helm

CHART = Path(__file__).parents[2] / "charts" / "fanout"
NAMESPACE = "events"

Document = dict[str, Any]


@cache
def rendered(*settings: str, release: str = "fanout") -> tuple[Document, ...]:
    """All objects of a release with these `--set` settings."""
    flags = [f"--set={one}" for one in settings]
    text = helm("template", release, str(CHART), f"--namespace={NAMESPACE}", *flags)
    return tuple(document for document in yaml.safe_load_all(text) if document)


def one(documents: tuple[Document, ...], kind: str, name: str) -> Document:
    """The object of this kind and name."""
    (found,) = [each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pods(documents: tuple[Document, ...]) -> dict[str, Document]:
    """The pod templates, by the name of their workload."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in documents
        if each["kind"] in {"Deployment", "StatefulSet"}
    }
