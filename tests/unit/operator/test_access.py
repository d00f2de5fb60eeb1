"""How the operator finds the API server and shows who it is."""

import base64
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from fanout_operator.access import Access, NoAccess, TokenFile, find, from_kubeconfig, in_cluster


def kubeconfig(folder: Path, user: dict[str, object], **cluster: object) -> Path:
    path = folder / "config"
    content = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def clock() -> float:
    return 0.0


def test_a_kubeconfig_gives_server_and_token(tmp_path: Path) -> None:
    access = from_kubeconfig(kubeconfig(tmp_path, {"token": "t"}), clock)

    assert access.server == "http://127.0.0.1:1"
    assert access.token is not None
    assert access.token() == "t"


def test_a_token_file_is_found_beside_the_kubeconfig_and_read_again_when_it_is_old(tmp_path: Path) -> None:
    now = 0.0
    (tmp_path / "token").write_text("first\n")
    token = TokenFile(tmp_path / "token", lambda: now)
    first = token()
    (tmp_path / "token").write_text("second\n")
    soon = token()
    now = 60.0

    assert (first, soon, token()) == ("first", "first", "second")


@pytest.mark.parametrize("user", [{"exec": {"command": "aws"}}, {"auth-provider": {"name": "gcp"}}])
def test_a_login_by_plugin_is_refused_in_words(tmp_path: Path, user: dict[str, object]) -> None:
    with pytest.raises(NoAccess, match="logs in through a plug-in"):
        from_kubeconfig(kubeconfig(tmp_path, user), clock)


@pytest.mark.parametrize("text", ["", "[]", "current-context: x", "{", "current-context: c\ncontexts: []"])
def test_what_is_no_kubeconfig_is_said_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)

    with pytest.raises(NoAccess, match="config"):
        from_kubeconfig(path, clock)


def test_outside_of_everything_it_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(NoAccess, match="--kubeconfig"):
        find(None, {"KUBECONFIG": str(tmp_path / "absent")}, clock)


def test_in_a_pod_the_pods_own_account_is_used(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    (tmp_path / "token").write_text("pod")
    environment = {"KUBERNETES_SERVICE_HOST": "::1", "KUBERNETES_SERVICE_PORT": "443"}
    access = in_cluster(environment, clock, tmp_path)

    assert access.server == "https://[::1]:443"
    assert access.token is not None
    assert access.token() == "pod"


def test_certificates_in_a_kubeconfig_are_understood(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    leaf = authority.issue_cert("client")
    user: dict[str, object] = {
        "client-certificate-data": base64.b64encode(leaf.cert_chain_pems[0].bytes()).decode(),
        "client-key-data": base64.b64encode(leaf.private_key_pem.bytes()).decode(),
    }
    pem = base64.b64encode(authority.cert_pem.bytes()).decode()
    path = kubeconfig(tmp_path, user, server="https://127.0.0.1:1", **{"certificate-authority-data": pem})
    access = from_kubeconfig(path, clock)

    assert access.tls is not None
    assert access.tls.check_hostname
    assert access.token is None


async def test_every_request_carries_the_token_of_the_moment() -> None:
    seen: list[str] = []

    async def serve(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response()

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    tokens = iter(["first", "second"])
    async with Access(server=server, tls=None, token=lambda: next(tokens)).session() as session:
        await (await session.get(server + "/")).read()
        await (await session.get(server + "/")).read()
    await runner.cleanup()

    assert seen == ["Bearer first", "Bearer second"]
    assert "first" not in repr(Access(server=server, tls=None, token=lambda: "first"))
