"""Installing without Helm: dist/install.yaml by kubectl, deploy/kustomize by an overlay, in a real API server."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from scripts.manifests import BASE, KUSTOMIZE, ROOT, base, install
from tests.controlplane.certificates import presented
from tests.controlplane.installed import established
from tests.harness.apiserver import ApiServer, running
from tests.harness.binaries import binary
from tests.harness.helm import HelmError

REPOSITORY = "registry.example.com/fanout"
IMAGE = f"{REPOSITORY}:1.2.3"
Objects = dict[tuple[str, str], dict[str, object]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[ApiServer]:
    """A server of its own, with nothing of Fanout in it."""
    with running() as server:
        yield server


def objects(text: str) -> Objects:
    """The documents of a stream, by kind and name."""
    found = [one for one in yaml.safe_load_all(text) if one]
    named = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert len(named) == len(found)
    return named


def images(found: Objects) -> set[str]:
    """Every image that is named."""
    return set(re.findall(r'"image": "(.*?)"', json.dumps(list(found.values()))))


def overlay(folder: Path, **wanted: object) -> Path:
    """A kustomization on the base, as a user writes one."""
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(KUSTOMIZE, folder)],
        **wanted,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document))
    return folder


def test_the_kustomize_base_is_what_the_chart_renders() -> None:
    assert BASE.read_text() == base(), "`make chart` writes it anew"


def test_both_ways_make_the_same_objects(cluster: ApiServer) -> None:
    assert objects(cluster.kubectl("kustomize", str(KUSTOMIZE))) == objects(install())


def test_no_secret_and_nothing_of_helms_is_in_them() -> None:
    assert "Secret" not in {kind for kind, _ in objects(install())}
    assert "helm" not in install().lower()


@pytest.mark.parametrize("image", [IMAGE, f"localhost:5000/fanout@sha256:{'a' * 64}", f"{REPOSITORY}:20261128"])
def test_the_image_is_the_one_that_is_named(image: str) -> None:
    assert images(objects(install(image))) == {image}


@pytest.mark.parametrize("image", ["fanout", "localhost:5000/fanout", "fanout@latest"])
def test_an_image_without_a_version_is_refused(image: str) -> None:
    with pytest.raises((ValueError, HelmError), match=r"expected an image|digest"):
        install(image)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the docs' commands make a certificate with openssl")
def test_one_file_and_the_commands_of_the_docs_install_everything(cluster: ApiServer, tmp_path: Path) -> None:
    cluster.kubectl("apply", "-f", "-", input=install(IMAGE))
    established(cluster)

    operations = (ROOT / "docs" / "operations.md").read_text()
    (commands,) = re.findall(r"```sh\n(NAMESPACE=.*?)```", operations, re.DOTALL)
    path = f"{binary('kubectl').parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig)}
    subprocess.run(["sh", "-euc", commands], cwd=tmp_path, env=env, check=True, capture_output=True)

    namespaced = ("--namespace=fanout", "-o", "json")
    report = json.loads(cluster.kubectl("get", "secret", "fanout-report-tls", *namespaced))["data"]
    admin = json.loads(cluster.kubectl("get", "secret", "fanout-admin-token", *namespaced))["data"]
    assert presented(report, "fanout-report.fanout.svc", tmp_path) == (("DNS", "fanout-report.fanout.svc"),)
    assert set(admin) == {"token"}
    for kind in ("deployment/fanout-operator", "statefulset/fanout-dispatcher"):
        assert IMAGE in cluster.kubectl("get", kind, *namespaced)


def test_an_overlay_moves_it_all_to_another_namespace(cluster: ApiServer, tmp_path: Path) -> None:
    moved = overlay(tmp_path, namespace="elsewhere", images=[{"name": "fanout", "newName": "example", "newTag": "9"}])

    cluster.kubectl("apply", "-k", str(moved), "--server-side", "--force-conflicts")

    found = objects(cluster.kubectl("kustomize", str(moved)))
    assert images(found) == {"example:9"}
    assert ("Namespace", "elsewhere") in found
    assert '"namespace": "fanout"' not in json.dumps(list(found.values()))
    account = cluster.kubeconfig_for("elsewhere", "fanout-operator")
    for question in (["patch", "configmaps", "--namespace=elsewhere"], ["list", "fanoutroutes.fanout.dev", "-A"]):
        assert cluster.kubectl("auth", "can-i", *question, kubeconfig=account).strip() == "yes"


def test_applying_it_again_changes_nothing(cluster: ApiServer) -> None:
    cluster.kubectl("apply", "-f", "-", input=install(IMAGE))

    assert cluster.kubectl("diff", "-f", "-", input=install(IMAGE)) == ""
