"""Every value is documented and checked, and what cannot work is refused in words, before anything is installed."""

from collections.abc import Iterator

import pytest
import yaml

from scripts.chart import README, VALUES, table
from tests.chart.render import CHART, Document, rendered
from tests.harness.helm import HelmError

SCHEMA: Document = yaml.safe_load((CHART / "values.schema.json").read_text())
FREE = {  # Kubernetes' own objects, which the API server checks, and maps of anything
    "global",
    "affinity",
    "resources.requests",
    "resources.limits",
    "tolerations[]",
    "namespaceSelector",
    "podSelector",
    "ipBlock",
    "podSecurityContext",
    "containerSecurityContext",
    "extraEnv[]",
    "extraVolumes[]",
    "extraVolumeMounts[]",
    "topologySpreadConstraints[]",
}


def objects(schema: Document, path: str = "") -> Iterator[tuple[str, Document]]:
    """Every schema of an object within a schema, with its path."""
    if "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
    if schema.get("type") == "object":
        yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from objects(inner, f"{path}.{name}".lstrip("."))
    if isinstance(schema.get("items"), dict):
        yield from objects(schema["items"], f"{path}[]")


def test_the_readmes_table_is_made_from_the_values() -> None:
    assert table(VALUES.read_text()) in README.read_text(), "`make chart` writes it anew"


def test_every_value_is_told_by_the_schema() -> None:
    declared = dict(objects(SCHEMA))
    values = yaml.safe_load(VALUES.read_text())

    assert set(values) == set(declared[""]["properties"]) - {"global"}
    for path, schema in declared.items():
        below = values
        for name in path.split(".") if path else ():
            below = below.get(name, {}) if isinstance(below, dict) else {}
        if below and "properties" in schema:
            assert set(below) <= set(schema["properties"]), path


def test_the_schema_leaves_no_object_open_but_kubernetes_own() -> None:
    open_ones = {path for path, schema in objects(SCHEMA) if "additionalProperties" not in schema}

    assert [path for path in open_ones if not any(path == free or path.endswith(f".{free}") for free in FREE)] == []


def test_an_unknown_value_is_refused_by_name() -> None:
    with pytest.raises(HelmError, match="replica"):
        rendered("dispatcher.replica=2")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("dispatcher.replicas=-1", "minimum"),
        ("dispatcher.allowCidrs={everywhere}", "does not match pattern"),
        ("operator.logLevel=loud", "must be one of"),
        ("publicUrl=ftp://x", "does not match pattern"),
        ("operator.podDisruptionBudget.maxUnavailable=0", "maxUnavailable"),  # a drain would never end
        ("image.digest=latest", "does not match pattern"),
        ("dispatcher.workers=0", "minimum"),
        ("dispatcher.preStopSeconds=50", "terminationGracePeriodSeconds: at least 65"),
        ("dispatcher.journalSize=10Gi", "journalSize: 10Gi would fill the volume of 10Gi"),
        ("dispatcher.journalSize=7000000k,dispatcher.persistence.size=6.5Gi", "journalSize: 7000000k would fill"),
        ("dispatcher.autoscaling.enabled=true,dispatcher.replicas=5", "maxReplicas: at least 5"),
        ("dispatcher.service.nodePort=30080", "this one is a ClusterIP"),
        ("dispatcher.service.externalTrafficPolicy=Local", "this one is a ClusterIP"),
        ("dispatcher.service.type=NodePort,dispatcher.service.loadBalancerClass=a/b", "this one is a NodePort"),
        ("dispatcher.service.loadBalancerSourceRanges={10.0.0.0/8}", "are of the type LoadBalancer"),
        ("dispatcher.ingress.hosts={https://x}", "does not match pattern"),
        ("dispatcher.httpRoute.enabled=true", "parentRefs: which Gateway takes the events"),
        (
            "podMonitor.enabled=true,networkPolicy.enabled=true",
            "networkPolicy.admins is empty: Prometheus cannot scrape",
        ),
        ("report.certManager.enabled=true", "issuerRef.name: which issuer signs"),
        ("report.certManager.enabled=true,report.existingSecret=x", "one of them"),
    ],
)
def test_a_value_that_cannot_work_is_refused_in_words(wrong: str, says: str) -> None:
    with pytest.raises(HelmError, match=says):
        rendered(wrong)
