"""The harness keeps its own promises: a real API, real RBAC, and data that outlives a killed server."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.apiserver import WORKDIR, ApiServer, KubectlError
from tests.harness.binaries import binary, folder
from tests.harness.helm import HelmError, helm
from tests.harness.workdir import workdir

ROOT = Path(__file__).parents[2]


def configmap(name: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})


def test_the_server_is_the_version_the_go_module_pins(apiserver: ApiServer) -> None:
    version = json.loads(apiserver.kubectl("version", "--output=json"))

    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"] == "v1.35.4"


def test_each_namespace_is_new(apiserver: ApiServer) -> None:
    first, second = apiserver.namespace(), apiserver.namespace()

    assert first != second
    assert apiserver.kubectl("get", "namespace", first, second, "--output=name").count("namespace/") == 2


def test_a_serviceaccount_may_do_nothing_until_a_role_says_so(apiserver: ApiServer, namespace: str) -> None:
    apiserver.kubectl("create", "serviceaccount", "reader", f"--namespace={namespace}")
    with apiserver.client(apiserver.token_for(namespace, "reader")) as client:
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        before = client.get(path).status_code
        within = f"--namespace={namespace}"
        apiserver.kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps", within)
        account = f"--serviceaccount={namespace}:reader"
        apiserver.kubectl("create", "rolebinding", "reader", "--role=reader", account, within)

        assert before == 403
        assert eventually(lambda: client.get(path).status_code == 200)


def test_a_serviceaccounts_kubeconfig_acts_as_that_account(apiserver: ApiServer, namespace: str) -> None:
    apiserver.kubectl("create", "serviceaccount", "worker", f"--namespace={namespace}")
    kubeconfig = apiserver.kubeconfig_for(namespace, "worker")

    assert f"system:serviceaccount:{namespace}:worker" in apiserver.kubectl("auth", "whoami", kubeconfig=kubeconfig)
    with pytest.raises(KubectlError, match="forbidden"):
        apiserver.kubectl("get", "secrets", kubeconfig=kubeconfig)


def test_a_killed_server_comes_back_with_its_data_at_its_address(own_server: ApiServer) -> None:
    namespace = own_server.namespace()
    own_server.kubectl("create", f"--namespace={namespace}", "-f", "-", input=configmap("kept"))

    own_server.stop()
    with pytest.raises(KubectlError):
        own_server.kubectl("get", "namespaces")
    own_server.start()

    assert "kept" in own_server.kubectl("get", "configmaps", f"--namespace={namespace}", "--output=name")


def test_nothing_survives_a_killed_runner() -> None:
    script = (
        "from tests.harness.apiserver import running\n"
        "import time\n"
        "with running() as server:\n"
        "    print(server.home, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        home = runner.stdout.readline().strip()
        was_running = processes_naming(home)
        runner.send_signal(signal.SIGKILL)

    assert len(was_running) == 2
    assert eventually(lambda: not processes_naming(home))
    with workdir(WORKDIR):  # as the next run does
        assert not Path(home).exists()


def test_helm_is_there_and_says_what_is_wrong() -> None:
    assert helm("version", "--template={{.Version}}").startswith("v4.")
    with pytest.raises(HelmError, match="no-such-chart"):
        helm("lint", "no-such-chart")


def test_assets_that_are_there_already_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etcd").touch(mode=0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))

    assert binary("etcd") == tmp_path / "etcd"
    assert binary("helm").parent == folder("tools")  # not among them: from the cache


def processes_naming(word: str) -> list[str]:
    """The command lines of running processes that mention `word`."""
    lines = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes().decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if word in line:
            lines.append(line)
    return lines


def eventually(holds: Callable[[], bool], seconds: float = 10) -> bool:
    """Ask until it is true, or for so long."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
