"""The ReferenceGrant of the Gateway API, for tests: a definition of the same group, kind and schema, and grants.

Ours, so that the tests need no download; what the real one checks of a grant is checked here too.
"""

import json

from tests.controlplane.installed import established
from tests.controlplane.waiting import Document
from tests.harness.apiserver import ApiServer

GROUP = "gateway.networking.k8s.io"
NAME = f"referencegrants.{GROUP}"


def definition(*versions: str) -> Document:
    """The CustomResourceDefinition; the first version is the one that is stored."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": NAME,
            "annotations": {"api-approved.kubernetes.io": "unapproved, a copy for tests"},  # k8s.io groups need one
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": "ReferenceGrant", "plural": "referencegrants", "singular": "referencegrant"},
            "versions": [
                {"name": one, "served": True, "storage": one == versions[0], "schema": {"openAPIV3Schema": _schema()}}
                for one in versions
            ],
        },
    }


def define(server: ApiServer, *versions: str) -> None:
    """Make the API server know ReferenceGrants, or know them in other versions."""
    server.kubectl("apply", "-f", "-", input=json.dumps(definition(*versions)))
    established(server, NAME)


def grant(namespace: str, owner: str, kind: str, name: str | None = None, *, version: str = "v1beta1") -> Document:
    """Routes of `owner` may refer to objects of a kind, or to one of them, in `namespace`."""
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "ReferenceGrant",
        "metadata": {"name": f"routes-of-{owner}", "namespace": namespace},
        "spec": {
            "from": [{"group": "fanout.dev", "kind": "FanoutRoute", "namespace": owner}],
            "to": [{"group": "", "kind": kind, **({"name": name} if name else {})}],
        },
    }


def _schema() -> Document:
    source = {"group": _text(0), "kind": _text(1), "namespace": _text(1)}
    object_ = {"group": _text(0), "kind": _text(1), "name": _text(1)}
    lists = {"from": _list(source, list(source)), "to": _list(object_, ["group", "kind"])}
    spec = {"type": "object", "required": ["from", "to"], "properties": lists}
    return {"type": "object", "properties": {"spec": spec}}


def _list(properties: Document, required: list[str]) -> Document:
    item = {"type": "object", "properties": properties, "required": required}
    return {"type": "array", "minItems": 1, "maxItems": 16, "items": item}


def _text(shortest: int) -> Document:
    return {"type": "string", "minLength": shortest, "maxLength": 253}
