"""How the API server is found: in a pod, by a kubeconfig, and what is said when neither will do."""

import base64
import pathlib
import ssl
import typing

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from fanout_crds import apiserver
from fanout_crds.apiserver import Unusable, find, from_kubeconfig, from_pod


def kubeconfig(folder: pathlib.Path, user: typing.Any, **cluster: typing.Any) -> pathlib.Path:
    path = folder / "config"
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "fanout"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443"} | cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def encoded(blob: trustme.Blob) -> str:
    return base64.b64encode(blob.bytes()).decode()


def test_a_kubeconfig_with_a_token_is_used_as_it_says(tmp_path: pathlib.Path) -> None:
    found = from_kubeconfig(kubeconfig(tmp_path, {"token": "t0ken"}))

    assert (found.server, found.namespace) == ("https://127.0.0.1:6443", "fanout")
    assert (found.token, found.token_file) == ("t0ken", None)
    assert "t0ken" not in repr(found)


def test_a_token_file_is_named_relative_to_the_kubeconfig_and_not_read(tmp_path: pathlib.Path) -> None:
    found = from_kubeconfig(kubeconfig(tmp_path, {"tokenFile": "token"}))

    assert (found.token, found.token_file) == (None, tmp_path / "token")


@pytest.mark.parametrize("end", ["", "/"])
def test_a_servers_path_stays_and_the_slash_at_its_end_goes(tmp_path: pathlib.Path, end: str) -> None:
    found = from_kubeconfig(kubeconfig(tmp_path, {}, server=f"http://127.0.0.1:1/clusters/c-1{end}"))

    assert (found.server, found.tls) == ("http://127.0.0.1:1/clusters/c-1", None)


def test_client_certificates_and_authorities_come_inline_or_from_files(tmp_path: pathlib.Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("me")
    chain, key = issued.cert_chain_pems[0], issued.private_key_pem
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    user = {"client-certificate-data": encoded(chain), "client-key-data": encoded(key)}
    authorities = ({"certificate-authority": "ca.crt"}, {"certificate-authority-data": encoded(authority.cert_pem)})
    for said in authorities:
        found = from_kubeconfig(kubeconfig(tmp_path, user, **said))

        assert found.tls is not None
        assert (found.tls.verify_mode, found.tls.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert len(found.tls.get_ca_certs()) == 1


def test_verification_is_only_off_where_the_kubeconfig_says_so(tmp_path: pathlib.Path) -> None:
    found = from_kubeconfig(kubeconfig(tmp_path, {}, **{"insecure-skip-tls-verify": True}))

    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "[]",
        "{}",
        "7",
        "current-context: x",
        "current-context: c\ncontexts: []",
        "current-context: x\ncontexts: [{name: x}]\nclusters: []\nusers: []\n",
    ],
)
def test_a_kubeconfig_that_is_of_no_use_is_a_sentence_with_its_name(tmp_path: pathlib.Path, content: str) -> None:
    (tmp_path / "config").write_text(content)

    with pytest.raises(Unusable, match=f"kubeconfig {tmp_path}/config"):
        from_kubeconfig(tmp_path / "config")


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({}, {"client-certificate-data": "AAAA", "client-key-data": "AAAA"}),
        ({}, {"client-certificate-data": "no base64!", "client-key-data": "AAAA"}),
        ({}, {"client-certificate": "absent.pem", "client-key": "absent.pem"}),
        ({"certificate-authority-data": "AAAA"}, {}),
        ({"certificate-authority": "absent.pem"}, {}),
        ({}, ["no", "mapping"]),
        ({}, {"tokenFile": 7}),
    ],
    ids=["no certificate", "no base64", "no file", "no authority", "no authority's file", "no user", "no path"],
)
def test_data_in_a_kubeconfig_that_cannot_be_used_is_said_in_words(
    tmp_path: pathlib.Path, cluster: dict[str, object], user: object
) -> None:
    path = kubeconfig(tmp_path, user, **cluster)

    with pytest.raises(Unusable, match=f"kubeconfig {path}"):
        from_kubeconfig(path)


def test_a_key_under_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: pathlib.Path) -> None:
    issued = trustme.CA().issue_cert("me")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2"))
    user = {
        "client-certificate-data": encoded(issued.cert_chain_pems[0]),
        "client-key-data": base64.b64encode(locked).decode(),
    }

    with pytest.raises(Unusable, match=r"kubeconfig .* no pair that can be read \(PEM, not encrypted\)"):
        from_kubeconfig(kubeconfig(tmp_path, user))


@pytest.mark.parametrize("user", [{"exec": {"command": "rm"}}, {"auth-provider": {"name": "gcp"}}])
def test_a_credential_plugin_is_not_run(tmp_path: pathlib.Path, user: dict[str, object]) -> None:
    with pytest.raises(Unusable, match="use a token or a certificate"):
        from_kubeconfig(kubeconfig(tmp_path, user))


def test_a_pod_uses_its_service_account(tmp_path: pathlib.Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    (tmp_path / "namespace").write_text("fanout\n")

    found = from_pod("fd00::1", "443", tmp_path)

    assert (found.server, found.namespace) == ("https://[fd00::1]:443", "fanout")
    assert found.token_file == tmp_path / "token"


def test_a_pod_without_a_service_account_says_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unusable, match=f"{tmp_path}: the pod's service account cannot be used"):
        from_pod("10.96.0.1", "443", tmp_path)


def test_a_kubeconfig_that_is_named_comes_before_the_pod_and_the_pod_before_the_environments(
    tmp_path: pathlib.Path,
) -> None:
    path = kubeconfig(tmp_path, {"token": "t"})
    pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBECONFIG": str(path)}

    assert find(path, pod).token == "t"
    with pytest.raises(Unusable, match=str(apiserver.POD)):
        find(None, pod)


@pytest.mark.parametrize("of", ["{path}", "{path}:/nowhere"])
def test_of_several_in_the_environment_the_first_is_meant(tmp_path: pathlib.Path, of: str) -> None:
    path = kubeconfig(tmp_path, {"token": "t"})

    assert find(None, {"KUBECONFIG": of.format(path=path)}).namespace == "fanout"


def test_outside_of_everything_it_says_what_to_give(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unusable, match=r"there is no .*/absent: use --kubeconfig"):
        find(None, {"KUBECONFIG": str(tmp_path / "absent")})
