"""How pods run: hardened, probed, ended gently, and with what the values add."""

import re
from pathlib import Path

import pytest
import yaml

from fanout_dispatcher.cli.run import run
from fanout_dispatcher.cli.send import send
from fanout_dispatcher.parts import GRACE
from fanout_operator.main import main as operator
from scripts.chart import README
from tests.chart.render import CHART, MATRIX, containers, flags, one, pods, rendered, workloads
from tests.harness.helm import helm


@pytest.mark.parametrize("values", MATRIX)
def test_every_pod_passes_pod_security_restricted(values: str) -> None:
    for pod in pods(rendered(values=values)).values():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_null_takes_a_field_out_of_a_security_context_as_openshift_wants_it(tmp_path: Path) -> None:
    """README.md's values: OpenShift's restricted SCC refuses any number that is not of the namespace's own range."""
    (block,) = re.findall(r"```yaml\n(operator:.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "values.yaml").write_text(block)
    text = helm("template", "fanout", str(CHART), f"--values={tmp_path / 'values.yaml'}")

    found = pods(tuple(document for document in yaml.safe_load_all(text) if document))

    assert len(found) == 3
    for pod in found.values():
        assert pod["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_each_component_has_security_contexts_of_its_own_or_none() -> None:
    documents = rendered(
        "operator.podSecurityContext.runAsUser=1000",
        "operator.containerSecurityContext=null",
        "dispatcher.podSecurityContext=null",
        "dispatcher.containerSecurityContext.seLinuxOptions.level=s0",
    )
    operator, dispatcher = (workloads(documents)[f"fanout-{one}"]["spec"] for one in ("operator", "dispatcher"))
    test = one(documents, "Pod", "fanout-test")

    assert operator["securityContext"]["runAsUser"] == 1000
    assert "securityContext" not in operator["containers"][0]
    assert "securityContext" not in dispatcher
    assert "securityContext" not in test["spec"], "it is the dispatcher's image"
    for container in (*dispatcher["containers"], *containers(test)):
        assert container["securityContext"]["seLinuxOptions"] == {"level": "s0"}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("values", MATRIX)
def test_every_flag_is_one_that_its_process_understands(values: str) -> None:
    """Rendered flags against the real command lines, so that neither can change alone."""
    for command, component in ((operator, "operator"), (run, "dispatcher")):
        known = {name for parameter in command.params for name in parameter.opts}
        for workload in workloads(rendered(values=values)):
            if workload.endswith(component):
                given = {flag.partition("=")[0] for flag in flags(rendered(values=values), workload)}
                assert given <= known
    for name, pod in pods(rendered(values=values)).items():
        if name.endswith("-test"):
            assert send.make_context("send", [*pod["spec"]["containers"][0]["args"]]).params["wait"]


def test_what_the_values_add_comes_after_what_is_ours() -> None:
    for workload, template in workloads(rendered(values="everything")).items():
        (container,) = template["spec"]["containers"]
        assert container["args"][-1].startswith("--log-format=")
        assert {"name": "TZ", "value": "Europe/Berlin"} in container["env"]
        assert {"name": "more", "mountPath": "/more"} in container["volumeMounts"]
        assert template["spec"]["volumes"][-1]["name"] == "more"
        assert template["metadata"]["labels"]["c"] == "d", workload
        assert template["metadata"]["annotations"] == {"example.com/a": "b"}
        assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}]


def test_a_digest_takes_the_place_of_the_tag() -> None:
    images = {
        container["image"] for pod in pods(rendered(values="everything")).values() for container in containers(pod)
    }

    assert images == {f"registry.example.com/fanout@sha256:{'a' * 64}"}
    assert {one["image"] for pod in pods(rendered(values="own")).values() for one in containers(pod)} == {
        "fanout:1.2.3"
    }


def test_a_dispatcher_ends_after_the_endpoints_forget_it_and_before_it_is_killed() -> None:
    """No shell in the image: the kubelet itself sleeps. Then SIGTERM, and the longest attempt has to land."""
    for values, waits in (("default", 5), ("everything", 20)):
        pod = workloads(rendered(values=values))["fanout-dispatcher"]["spec"]
        (container,) = pod["containers"]

        assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": waits}}}
        assert pod["terminationGracePeriodSeconds"] > waits + 10 + GRACE  # 10 s: an attempt, by default
    assert "lifecycle" not in workloads(rendered(values="own"))["own-dispatcher"]["spec"]["containers"][0]


def test_replicas_are_spread_and_a_drain_takes_one_at_a_time() -> None:
    documents = rendered()
    for component in ("operator", "dispatcher"):
        template = workloads(documents)[f"fanout-{component}"]
        budget = one(documents, "PodDisruptionBudget", f"fanout-{component}")["spec"]
        (spread,) = template["spec"]["topologySpreadConstraints"]

        assert budget["maxUnavailable"] == 1
        for selector in (budget["selector"], spread["labelSelector"]):
            assert selector["matchLabels"].items() <= template["metadata"]["labels"].items()
            assert selector["matchLabels"]["app.kubernetes.io/component"] == component
    mine = workloads(rendered(values="everything"))["fanout-operator"]["spec"]["topologySpreadConstraints"]
    assert [each["labelSelector"] for each in mine] == [{"matchLabels": {"mine": "yes"}}]


def test_the_autoscaler_never_takes_a_journal_away() -> None:
    documents = rendered(values="everything")
    scaler = one(documents, "HorizontalPodAutoscaler", "fanout-dispatcher")["spec"]
    dispatcher = one(documents, "StatefulSet", "fanout-dispatcher")

    assert scaler["behavior"]["scaleDown"] == {"selectPolicy": "Disabled"}
    assert scaler["metrics"] == [
        {
            "type": "Pods",
            "pods": {"metric": {"name": "backlog"}, "target": {"type": "AverageValue", "averageValue": "30"}},
        }
    ]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 5)
    assert scaler["scaleTargetRef"]["name"] == dispatcher["metadata"]["name"]
    assert "replicas" not in dispatcher["spec"], "an upgrade would set back what was scaled"


@pytest.mark.parametrize("values", MATRIX)
def test_what_runs_for_long_is_probed_from_its_start(values: str) -> None:
    for template in workloads(rendered(values=values)).values():
        (container,) = template["spec"]["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
