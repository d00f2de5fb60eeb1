"""Short names for what most tests of the operator need."""

import random
from typing import Any

from fanout_crds.route import FanoutRoute, parse
from fanout_operator.kube import ROUTES, SECRETS, SERVICES, Document
from tests.unit.operator.cluster import Cluster

CRM: Document = {"name": "crm", "url": "https://crm.example.com/"}
DISPATCHERS = "fanout"  # the namespace of the dispatchers


def rng() -> random.Random:
    return random.Random(7)


def route(name: str = "orders", *targets: Document, namespace: str = "shop", **spec: Any) -> Document:
    """A manifest."""
    return {
        "apiVersion": ROUTES.api_version,
        "kind": ROUTES.name,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"targets": list(targets or (CRM,)), **spec},
    }


def parsed(document: Document) -> FanoutRoute:
    return parse(document)


def service(cluster: Cluster, name: str = "payment", namespace: str = "shop", **spec: Any) -> Document:
    """Put a Service into a cluster."""
    ports = [{"name": "http", "port": 8080}]
    return cluster.put(SERVICES, {"metadata": {"name": name, "namespace": namespace}, "spec": {"ports": ports, **spec}})


def secret(cluster: Cluster, name: str, namespace: str = "shop", **data: str) -> Document:
    """Put a Secret into a cluster; values are base64 already."""
    return cluster.put(SECRETS, {"metadata": {"name": name, "namespace": namespace}, "data": data})


def document_of(name: str, namespace: str = "shop", **metadata: Any) -> Document:
    """Some object with this metadata."""
    base = {"uid": f"uid-{name}", "generation": 1, "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"kind": "FanoutRoute", "metadata": {"name": name, "namespace": namespace, **base, **metadata}}
