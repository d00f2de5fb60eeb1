"""What a route of the crowd refers to, as a cluster has it: a Service for each target, its EndpointSlice, a Secret.

Each route has its own, which is the most that it can cost the operator: nothing is shared but the way it is read.
"""

import typing

Document = dict[str, typing.Any]

TARGETS: typing.Final = ("crm", "mail", "stats")
SERVICES: typing.Final = "/api/v1/namespaces/{namespace}/services"
SECRETS: typing.Final = "/api/v1/namespaces/{namespace}/secrets"
SLICES: typing.Final = "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"


def target(route: str, name: str) -> Document:
    """One target of a route."""
    return {
        "name": name,
        "service": {"name": f"{route}-{name}", "port": "http", "path": "/events"},
        "authentication": {"bearer": {"secretRef": {"name": f"{route}-{name}", "key": "token"}}},
    }


def of(namespace: str, route: str) -> list[tuple[str, Document]]:
    """All that a route refers to, each with the path to post it to."""
    made: list[tuple[str, Document]] = []
    for name in TARGETS:
        metadata = {"name": f"{route}-{name}", "namespace": namespace}
        label = {"kubernetes.io/service-name": metadata["name"]}
        port = {"name": "http", "port": 8080, "protocol": "TCP"}
        endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": True}}
        slice_: Document = {"metadata": metadata | {"labels": label}, "addressType": "IPv4", "ports": [port]}
        made += [
            (SERVICES, {"metadata": metadata, "spec": {"selector": {"app": name}, "ports": [port]}}),
            (SLICES, slice_ | {"endpoints": [endpoint]}),
            (SECRETS, {"metadata": metadata, "stringData": {"token": f"of-{route}-{name}"}}),
        ]
    return [(path.format(namespace=namespace), document) for path, document in made]
