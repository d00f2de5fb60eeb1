"""What keeps an operator from starting: one sentence and exit status 1, never a traceback."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from fanout_operator.options import Options, Unstartable
from fanout_operator.process import run
from tests.unit.operator.test_access import kubeconfig


async def test_a_missing_report_ca_is_said_with_its_flag(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"

    with pytest.raises(Unstartable, match=f"--report-ca {path}: No such file"):
        await run(Options(namespace="fanout", kubeconfig=kubeconfig(tmp_path, {}), report_ca=path))


async def test_a_report_ca_that_is_none_is_said_with_its_flag(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    path.write_text("somebody's notes")

    with pytest.raises(Unstartable, match=f"--report-ca {path}"):
        await run(Options(namespace="fanout", kubeconfig=kubeconfig(tmp_path, {}), report_ca=path))


async def test_a_missing_report_token_is_said_with_its_flag(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    token = tmp_path / "token"
    options = Options(
        namespace="fanout", kubeconfig=kubeconfig(tmp_path, {}), report_ca=tmp_path / "ca.crt", report_token=token
    )

    with pytest.raises(Unstartable, match=f"--report-token {token}: No such file"):
        await run(options)


async def test_a_health_address_that_is_taken_is_said_with_its_flag(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = Options(namespace="fanout", kubeconfig=kubeconfig(tmp_path, {}), health=("127.0.0.1", port))

        with pytest.raises(Unstartable, match=f"--health: cannot listen on 127.0.0.1:{port}: "):
            await run(options)


def test_the_command_ends_with_that_sentence_and_status_1(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"client-certificate-data": "AAAA", "client-key-data": "AAAA"}, server="https://h:1")
    command = [str(Path(sys.executable).parent / "fanout-operator"), "--namespace=fanout", f"--kubeconfig={path}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Error: kubeconfig {path} cannot be used: ")
    assert ended.stderr.count("\n") == 1
