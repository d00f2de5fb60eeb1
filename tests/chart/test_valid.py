"""Whatever values are given, what the chart renders is valid Kubernetes, from the oldest version it names on."""

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from fanout_crds.schema import NAME
from tests.chart.render import CHART, MATRIX, one, rendered
from tests.harness.helm import helm

VERSIONS = ("1.30", "1.35", "1.37")  # the oldest that Chart.yaml takes, the tests' API server's, the newest
# No schemas of Kubernetes' own.
OTHERS = {"CustomResourceDefinition", "FanoutRoute", "Certificate", "HTTPRoute", "PodMonitor", "PrometheusRule"}


@pytest.mark.parametrize("values", MATRIX)
def test_what_is_rendered_is_valid_kubernetes(values: str) -> None:
    documents = rendered(values=values)

    for document in documents:
        for version in VERSIONS:
            if document["kind"] not in OTHERS:
                kubernetes_validate.validate(document, version, strict=True)
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in documents]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("values", MATRIX)
def test_every_object_tells_whose_it_is(values: str) -> None:
    for document in rendered(values=values):
        if document["kind"] != "CustomResourceDefinition":
            assert document["metadata"]["labels"]["app.kubernetes.io/part-of"] == "fanout"


def test_the_matrix_is_what_lies_beside_the_chart() -> None:
    assert {f"{values}-values.yaml" for values in MATRIX} == {file.name for file in (CHART / "ci").iterdir()}


def test_the_oldest_version_is_the_one_that_the_chart_names() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["kubeVersion"] == f">={VERSIONS[0]}.0-0"


def test_the_chart_tells_catalogues_which_kind_it_brings() -> None:
    told = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]["artifacthub.io/crds"]
    spec = one(rendered(), "CustomResourceDefinition", NAME)["spec"]

    assert [(each["kind"], each["name"], each["version"]) for each in yaml.safe_load(told)] == [
        (spec["names"]["kind"], NAME, version["name"]) for version in spec["versions"]
    ]


def test_it_passes_lint_with_warnings_as_errors() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))
