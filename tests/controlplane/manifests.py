"""What many tests apply: a target, and the Secrets and Services that routes refer to."""

from tests.controlplane.waiting import Document

CRM: Document = {"name": "crm", "url": "https://crm.example.com/events"}


def secret(namespace: str, name: str, **data: str) -> Document:
    """A Secret with these values."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def service(namespace: str, name: str, **spec: object) -> Document:
    """A Service, with a port http unless the spec says otherwise."""
    metadata = {"name": name, "namespace": namespace}
    ports = [{"name": "http", "port": 8080}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports, **spec}}
