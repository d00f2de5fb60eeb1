"""Rendering the chart without a cluster."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.harness.helm import helm

CHART = Path(__file__).parents[2] / "charts" / "fanout"
NAMESPACE = "events"

# Few releases, each with many values at once, since a rendering takes about a second.
MATRIX = ("default", "everything", "few-namespaces", "own")

Document = dict[str, Any]


@cache
def rendered(
    *settings: str, release: str = "fanout", namespace: str = NAMESPACE, values: str = "default"
) -> tuple[Document, ...]:
    """All objects of a release with one of the chart's ci/*-values.yaml and these `--set` settings."""
    flags = [f"--set={one}" for one in settings]
    file = CHART / "ci" / f"{values}-values.yaml"
    text = helm("template", release, str(CHART), f"--namespace={namespace}", f"--values={file}", *flags)
    return tuple(document for document in yaml.safe_load_all(text) if document)


def one(documents: tuple[Document, ...], kind: str, name: str) -> Document:
    """The object of this kind and name."""
    (found,) = [each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def kinds(documents: tuple[Document, ...]) -> set[str]:
    """Which kinds of object there are."""
    return {each["kind"] for each in documents}


def workloads(documents: tuple[Document, ...]) -> dict[str, Document]:
    """The pod templates of what runs for long, by the name of their workload."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in documents
        if each["kind"] in {"Deployment", "StatefulSet"}
    }


def pods(documents: tuple[Document, ...]) -> dict[str, Document]:
    """Everything that becomes a pod, that of `helm test` included."""
    return workloads(documents) | {each["metadata"]["name"]: each for each in documents if each["kind"] == "Pod"}


def containers(pod: Document) -> list[Document]:
    """All containers of a pod, init ones and sidecars included."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def flags(documents: tuple[Document, ...], workload: str) -> list[str]:
    """The flags that a workload's process is started with."""
    args: list[str] = workloads(documents)[workload]["spec"]["containers"][0]["args"]
    return args
