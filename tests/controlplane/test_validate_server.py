"""``fanout validate --server``: what only the API server can know comes with file, line and path; nothing changes."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from fanout_crds.generate import FILE as DEFINITION
from tests.controlplane.installed import define, established
from tests.harness.apiserver import ApiServer
from tests.harness.process import free_ports

FANOUT = pathlib.Path(sys.executable).parent / "fanout"
ROUTE = """
apiVersion: fanout.dev/v1alpha1
kind: FanoutRoute
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  targets:
  - {name: crm, url: "https://crm.example.com/"}
  - name: mail
    url: https://mail.example.com/
    delay: 5s
---
"""


def route(name: str, namespace: str) -> str:
    return ROUTE.replace("NAMESPACE", namespace).replace("NAME", name)


def validate(*args: object, kubeconfig: pathlib.Path | str = os.devnull) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would, with nothing of this machine's own clusters."""
    return subprocess.run(
        [str(FANOUT), "validate", "--server", *map(str, args)],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def cluster(apiserver: ApiServer) -> ApiServer:
    define(apiserver)
    return apiserver


@pytest.fixture
def older(own_server: ApiServer) -> ApiServer:
    """A cluster whose definition of routes is older than this version: it has no `delay` of targets."""
    definition = yaml.safe_load(DEFINITION.read_text())
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["targets"]["items"]["properties"]["delay"]
    own_server.kubectl("apply", "-f", "-", input=json.dumps(definition))
    established(own_server)
    return own_server


def test_good_routes_are_taken_and_nothing_is_made(cluster: ApiServer, namespace: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(route("a", namespace) + route("b", namespace))
    found = validate(tmp_path, kubeconfig=cluster.kubeconfig)

    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines()[-1] == f"2 routes checked, also by {cluster.url}, no faults"
    assert cluster.kubectl("get", "fanoutroutes", f"--namespace={namespace}", "-o", "name") == ""


def test_a_route_that_exists_is_tried_as_an_update(cluster: ApiServer, namespace: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(route("a", namespace))
    cluster.kubectl("apply", "-f", str(tmp_path / "a.yaml"))
    (tmp_path / "a.yaml").write_text(route("a", namespace).replace("5s", "6s"))

    assert validate(tmp_path, "--kubeconfig", cluster.kubeconfig).returncode == 0
    assert '"5s"' in cluster.kubectl("get", "fanoutroute", "a", f"--namespace={namespace}", "-o", "json")


def test_a_namespace_that_is_not_there_is_a_fault_at_its_line(cluster: ApiServer, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(route("a", "absent"))
    found = validate(tmp_path, kubeconfig=cluster.kubeconfig)

    assert found.returncode == 1
    assert found.stdout == f'{tmp_path}/a.yaml:4: metadata.namespace: the cluster has no namespace "absent"\n'


def test_what_an_admission_policy_refuses_is_a_fault_of_that_file_alone(
    cluster: ApiServer, namespace: str, tmp_path: pathlib.Path
) -> None:
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "no-b"},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "resourceRules": [
                    {
                        "apiGroups": ["fanout.dev"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE"],
                        "resources": ["fanoutroutes"],
                    }
                ],
            },
            "validations": [{"expression": "object.metadata.name != 'b'", "message": "nobody is called b here"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "no-b"},
        "spec": {"policyName": "no-b", "validationActions": ["Deny"]},
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(policy) + json.dumps(binding))
    (tmp_path / "a.yaml").write_text(route("a", namespace))
    (tmp_path / "b.yaml").write_text(route("b", namespace))

    asked = (validate(tmp_path, "--output=json", kubeconfig=cluster.kubeconfig) for _ in range(50))
    found = next(one for one in asked if one.returncode)  # the API server takes a moment to see a new policy

    (fault,) = json.loads(found.stdout)["faults"]
    assert fault["file"] == str(tmp_path / "b.yaml")
    assert "nobody is called b here" in fault["message"]


def test_a_field_that_the_clusters_definition_does_not_know_is_told_with_its_path(
    older: ApiServer, tmp_path: pathlib.Path
) -> None:
    namespace = older.namespace()
    (tmp_path / "a.yaml").write_text(route("a", namespace))
    found = validate(tmp_path, kubeconfig=older.kubeconfig)

    assert found.returncode == 1
    assert found.stdout == (
        f"{tmp_path}/a.yaml:10: spec.targets[1].delay: the cluster's definition of routes says: field not declared in"
        " schema\n"
    )


def test_a_route_with_a_fault_of_its_own_is_not_asked_about_and_the_others_are(
    cluster: ApiServer, namespace: str, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "a.yaml").write_text(route("a", namespace).replace("https://crm", "ftp://crm"))
    (tmp_path / "b.yaml").write_text(route("b", "absent"))
    found = validate(tmp_path, kubeconfig=cluster.kubeconfig)

    assert [line.split(": ")[1] for line in found.stdout.splitlines()] == [
        *["spec.targets[0].url"] * found.stdout.count("spec.targets[0].url"),
        "metadata.namespace",
    ]


def test_who_may_not_apply_routes_is_told_so(cluster: ApiServer, namespace: str, tmp_path: pathlib.Path) -> None:
    cluster.kubectl("create", "serviceaccount", "nobody", f"--namespace={namespace}")
    (tmp_path / "a.yaml").write_text(route("a", namespace))
    found = validate(tmp_path, kubeconfig=cluster.kubeconfig_for(namespace, "nobody"))

    assert found.returncode == 1
    assert "a.yaml:2: the API server says: fanoutroutes.fanout.dev" in found.stdout
    assert "cannot patch resource" in found.stdout


def test_a_manifest_without_a_namespace_is_tried_in_the_kubeconfigs(
    cluster: ApiServer, namespace: str, tmp_path: pathlib.Path
) -> None:
    cluster.kubectl("create", "serviceaccount", "nobody", f"--namespace={namespace}")
    (tmp_path / "a.yaml").write_text(route("a", "x").replace(", namespace: x", ""))
    found = validate(tmp_path, kubeconfig=cluster.kubeconfig_for(namespace, "nobody"))

    assert f'in the namespace "{namespace}"' in found.stdout


def test_a_cluster_without_the_definition_is_one_sentence(own_server: ApiServer, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(route("a", "default"))
    found = validate(tmp_path, kubeconfig=own_server.kubeconfig)

    assert (found.returncode, found.stdout) == (1, "")
    assert "cannot be asked: the cluster does not know FanoutRoutes: install Fanout there" in found.stderr


def test_an_api_server_that_is_not_there_is_one_sentence(cluster: ApiServer, tmp_path: pathlib.Path) -> None:
    (port,) = free_ports(1)
    config = cluster.kubeconfig.read_text().replace(f":{cluster.port}", f":{port}")
    (tmp_path / "kubeconfig").write_text(config)
    (tmp_path / "a.yaml").write_text(route("a", "default"))
    found = validate(tmp_path / "a.yaml", kubeconfig=tmp_path / "kubeconfig")

    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (1, "", 1)
    assert found.stderr.startswith(f"Error: the API server at https://127.0.0.1:{port} cannot be reached: ")


def test_a_token_that_nobody_knows_is_one_sentence(cluster: ApiServer, tmp_path: pathlib.Path) -> None:
    config = cluster.kubeconfig.read_text().replace(cluster.admin_token, "wrong")
    (tmp_path / "kubeconfig").write_text(config)
    (tmp_path / "a.yaml").write_text(route("a", "default"))
    found = validate(tmp_path / "a.yaml", kubeconfig=tmp_path / "kubeconfig")

    assert "it does not know who asks (401)" in found.stderr


def test_without_any_kubeconfig_the_sentence_names_the_file_that_was_looked_for(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(route("a", "default"))
    found = validate(tmp_path, kubeconfig=tmp_path / "none")

    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("Error: no API server to ask: ")
    assert f"there is no {tmp_path}/none: use --kubeconfig FILE or KUBECONFIG" in found.stderr
