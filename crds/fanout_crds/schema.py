"""The CustomResourceDefinition, made from the types: names, columns, and one schema for spec and status.

`generate` writes it to crds/fanoutroutes.fanout.dev.yaml, a test keeps the two alike. It must stay far under 262,144
bytes of JSON, or `kubectl apply` cannot keep it in its annotation.
"""

import typing

from fanout_crds.kinds import Schema
from fanout_crds.route import GROUP, KIND, SPEC, VERSION
from fanout_crds.rules import Rule, validations
from fanout_crds.status import STATUS
from fanout_crds.texts import LABEL, Label

PLURAL: typing.Final = "fanoutroutes"
NAME: typing.Final = f"{PLURAL}.{GROUP}"

# A route's name is a label on what is made from it, and a segment of its path. Files: `texts.Label` on metadata.name.
_SHORT_NAME = Rule(
    f"self.metadata.name.size() <= 63 && self.metadata.name.matches('{LABEL}')",
    f"metadata.name: expected {Label.what}",
    lambda _: True,
)
# What a route has before an operator looks at it. Ready is there from the beginning, or kstatus (Flux, Helm) would take
# the route for one that is never going to have it, and so for done.
PENDING: typing.Final = [
    {
        "type": kind,
        "status": "Unknown",
        "reason": "Pending",
        "message": "No operator has looked at this route yet",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }
    for kind in ("Accepted", "Ready")
]


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


def _column(name: str, of: str, path: str, says: str, *, wide: bool = False) -> Schema:
    out: Schema = {"name": name, "type": of, "jsonPath": path, "description": says}
    return out | ({"priority": 1} if wide else {})


COLUMNS: typing.Final = [
    _column("READY", "string", _condition("Ready", "status"), "Accepted, references resolved, and running."),
    _column("REASON", "string", _condition("Ready", "reason"), "Why it is or is not ready."),
    _column("HEALTHY", "string", _condition("Healthy", "status"), "No stuck saga, open circuit or dead letter."),
    _column("TARGETS", "integer", ".status.targetCount", "How many targets it has."),
    _column("PENDING", "integer", ".status.pending", "Deliveries accepted and not settled."),
    _column("DEAD", "integer", ".status.deadLetters", "Dead letters kept for replay."),
    _column("AGE", "date", ".metadata.creationTimestamp", "Since when it exists."),
    _column("URL", "string", ".status.address.url", "Where its events are posted to.", wide=True),
    _column("OPEN", "integer", ".status.openCircuits", "Circuits that are open or half-open.", wide=True),
]


def crd() -> Schema:
    """Give the CustomResourceDefinition as a document."""
    names = {"kind": KIND, "listKind": f"{KIND}List", "plural": PLURAL, "singular": KIND.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "names": names | {"shortNames": ["fr"], "categories": ["fanout"]},
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def _version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": COLUMNS,
        "schema": {"openAPIV3Schema": _document()},
    }


def _document() -> Schema:
    said = (
        "Who receives an event and how patiently: a path that takes events, and the targets that each of them is for."
    )
    properties = {
        "apiVersion": {"type": "string", "maxLength": 317},
        "kind": {"type": "string", "maxLength": 63},
        "metadata": {"type": "object"},
        "spec": {"description": "What the route asks for."} | SPEC.schema(),
        "status": {
            "description": "What the operator has seen of the route.",
            "default": {"conditions": PENDING},
        }
        | STATUS.schema(),
    }
    out: Schema = {"description": said, "type": "object", "required": ["spec"], "properties": properties}
    return out | validations([_SHORT_NAME])
