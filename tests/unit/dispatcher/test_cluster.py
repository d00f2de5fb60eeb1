"""How the API server is found: in a pod, by a kubeconfig, and what is said when neither will do."""

import base64
import pathlib
import ssl
import typing

import pytest
import trustme
import yaml

from fanout_dispatcher import cluster
from fanout_dispatcher.cluster import Cluster, connect, from_pod
from fanout_dispatcher.settings import Unstartable

Json = dict[str, typing.Any]


def kubeconfig(path: pathlib.Path, user: Json, **of_cluster: typing.Any) -> pathlib.Path:
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "fanout"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443"} | of_cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def encoded(blob: trustme.Blob) -> str:
    return base64.b64encode(blob.bytes()).decode()


async def test_a_kubeconfig_with_a_token_is_used_as_it_says(tmp_path: pathlib.Path) -> None:
    found = connect(kubeconfig(tmp_path / "config", {"token": "t0ken"}))

    assert (found.server, found.namespace) == ("https://127.0.0.1:6443", "fanout")
    assert await found.headers() == {"Authorization": "Bearer t0ken"}
    assert "t0ken" not in repr(found)


async def test_a_token_file_is_read_anew_each_time_relative_to_the_kubeconfig(tmp_path: pathlib.Path) -> None:
    (tmp_path / "token").write_text("one\n")
    found = connect(kubeconfig(tmp_path / "config", {"tokenFile": "token"}))
    before = await found.headers()
    (tmp_path / "token").write_text("two\n")

    assert (before, await found.headers()) == ({"Authorization": "Bearer one"}, {"Authorization": "Bearer two"})


def test_client_certificates_and_authorities_come_inline_or_from_files(tmp_path: pathlib.Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("me")
    chain, key = issued.cert_chain_pems[0], issued.private_key_pem
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    user = {"client-certificate-data": encoded(chain), "client-key-data": encoded(key)}

    found = connect(kubeconfig(tmp_path / "config", user, **{"certificate-authority": "ca.crt"}))

    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_REQUIRED
    assert len(found.tls.get_ca_certs()) == 1


def test_verification_is_only_off_where_the_kubeconfig_says_so(tmp_path: pathlib.Path) -> None:
    found = connect(kubeconfig(tmp_path / "config", {}, **{"insecure-skip-tls-verify": True}))

    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    "content",
    ["", "[", "{}", "current-context: x", "current-context: x\ncontexts: [{name: x}]\nclusters: []\nusers: []\n", "7"],
)
def test_a_kubeconfig_that_is_of_no_use_is_a_sentence_with_its_name(tmp_path: pathlib.Path, content: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(Unstartable, match=f"kubeconfig {tmp_path}/config"):
        connect(tmp_path / "config")


def test_a_credential_plugin_is_not_run(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unstartable, match="use a token or a certificate"):
        connect(kubeconfig(tmp_path / "config", {"exec": {"command": "rm"}}))


async def test_a_pod_uses_its_service_account_and_reads_a_rotated_token(tmp_path: pathlib.Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    (tmp_path / "namespace").write_text("fanout")
    (tmp_path / "token").write_text("one")
    found: Cluster = from_pod("fd00::1", "443", tmp_path)
    (tmp_path / "token").write_text("two")

    assert (found.server, found.namespace) == ("https://[fd00::1]:443", "fanout")
    assert await found.headers() == {"Authorization": "Bearer two"}


def test_a_pod_without_a_service_account_says_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unstartable, match="the pod has no service account token"):
        from_pod("10.96.0.1", "443", tmp_path)


def test_without_a_kubeconfig_named_the_environment_names_one(tmp_path: pathlib.Path) -> None:
    path = kubeconfig(tmp_path / "config", {"token": "t"})

    assert connect(None, {"KUBECONFIG": f"{path}:/nowhere"}).namespace == "fanout"
    assert cluster.POD.is_absolute()
