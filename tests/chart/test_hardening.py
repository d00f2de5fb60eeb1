"""What a scanner of manifests looks for, after the checks of checkov by their names, on every pod of every release.

checkov itself is no dependency: it brings 97 packages along. Its findings on all of the chart's ci/ values are the
EXCEPTIONS, each with its reason in the chart's README; what it passes is asserted here.
"""

import re
from collections.abc import Callable

import pytest

from tests.chart.render import CHART, MATRIX, Document, containers, pods, rendered, workloads

EXCEPTIONS = {
    "CKV_K8S_8", "CKV_K8S_9", "CKV_K8S_11", "CKV_K8S_15", "CKV_K8S_38", "CKV_K8S_43", "CKV2_K8S_5", "CKV2_K8S_6",
}  # fmt: skip

POD: dict[str, Callable[[Document], bool]] = {
    "CKV_K8S_17 CKV_K8S_18 CKV_K8S_19: shares no namespace of the host": lambda spec: (
        not any(spec.get(name) for name in ("hostPID", "hostIPC", "hostNetwork"))
    ),
    "CKV_K8S_40: runs as a user that is nobody's": lambda spec: spec["securityContext"]["runAsUser"] >= 10_000,
    "CKV_K8S_31: has the runtime's seccomp profile": lambda spec: (
        spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    ),
    "CKV_K8S_21 CKV_K8S_41: has an account of its own or none": lambda spec: (
        spec["serviceAccountName"] != "default" if spec["automountServiceAccountToken"] else True
    ),
    "CKV_K8S_27: mounts nothing of the host": lambda spec: (
        not any("hostPath" in volume for volume in spec.get("volumes", ()))
    ),
}
CONTAINER: dict[str, Callable[[Document], bool]] = {
    "CKV_K8S_10 CKV_K8S_12 CKV_K8S_13: says what it needs": lambda one: (
        {"cpu", "memory"} <= set(one["resources"]["requests"]) and "memory" in one["resources"]["limits"]
    ),
    "CKV_K8S_14: names a version": lambda one: re.search(r"(:[^/]+|@sha256:.+)$", one["image"]) is not None,
    "CKV_K8S_16 CKV_K8S_20: gets no privilege": lambda one: not one["securityContext"]["allowPrivilegeEscalation"],
    "CKV_K8S_22: cannot write its own files": lambda one: one["securityContext"]["readOnlyRootFilesystem"],
    "CKV_K8S_25 CKV_K8S_37: has no capability": lambda one: one["securityContext"]["capabilities"] == {"drop": ["ALL"]},
    "CKV_K8S_26: takes no port of the host": lambda one: not any("hostPort" in port for port in one.get("ports", ())),
    "CKV_K8S_35: reads secrets from files": lambda one: (
        not any("secretKeyRef" in each.get("valueFrom", {}) for each in one.get("env", ())) and "envFrom" not in one
    ),
}


@pytest.mark.parametrize("values", MATRIX)
def test_every_pod_and_container_passes(values: str) -> None:
    for name, pod in pods(rendered(values=values)).items():
        assert [f"{name} {check}" for check, passes in POD.items() if not passes(pod["spec"])] == []
        for container in containers(pod):
            assert [f"{name} {check}" for check, passes in CONTAINER.items() if not passes(container)] == []


@pytest.mark.parametrize("values", MATRIX)
def test_what_runs_for_long_is_probed(values: str) -> None:
    """CKV_K8S_8 and CKV_K8S_9, which the pod of `helm test` is no case for."""
    for template in workloads(rendered(values=values)).values():
        (container,) = template["spec"]["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_every_exception_is_explained_beside_the_chart() -> None:
    said = set(re.findall(r"CKV2?_K8S_\d+", (CHART / "README.md").read_text()))

    assert said == EXCEPTIONS
