"""How the operator finds the API server and shows who it is."""

import base64
import ssl
from pathlib import Path

import pytest
import trustme
import yaml
from aiohttp import web

from fanout_operator.access import Access, ReportAccess, TokenFile, find, from_kubeconfig, in_cluster
from fanout_operator.options import Unstartable


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


async def test_a_kubeconfig_gives_server_and_token(tmp_path: Path) -> None:
    access = from_kubeconfig(kubeconfig(tmp_path, {"token": "t"}), clock)

    assert access.server == "http://127.0.0.1:1"
    assert access.token is not None
    assert await access.token() == "t"


async def test_a_token_file_is_read_again_when_it_is_old(tmp_path: Path) -> None:
    now = 0.0
    (tmp_path / "token").write_text("first\n")
    token = TokenFile(tmp_path / "token", lambda: now)
    first = await token()
    (tmp_path / "token").write_text("second\n")
    soon = await token()
    now = 60.0

    assert (first, soon, await token()) == ("first", "first", "second")


@pytest.mark.parametrize("user", [{"exec": {"command": "aws"}}, {"auth-provider": {"name": "gcp"}}])
def test_a_login_by_plugin_is_refused_in_words(tmp_path: Path, user: dict[str, object]) -> None:
    with pytest.raises(Unstartable, match="logs in through a plug-in"):
        from_kubeconfig(kubeconfig(tmp_path, user), clock)


@pytest.mark.parametrize("text", ["", "[]", "current-context: x", "{", "current-context: c\ncontexts: []"])
def test_what_is_no_kubeconfig_is_said_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)

    with pytest.raises(Unstartable, match="config"):
        from_kubeconfig(path, clock)


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
    tmp_path: Path, cluster: dict[str, object], user: dict[str, object]
) -> None:
    path = kubeconfig(tmp_path, user, **{"server": "https://127.0.0.1:1", **cluster})

    with pytest.raises(Unstartable, match=str(path)):
        from_kubeconfig(path, clock)


def test_a_pod_without_its_account_is_said_with_the_file(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}

    with pytest.raises(Unstartable, match=r"ca\.crt"):
        in_cluster(environment, clock, tmp_path)


@pytest.mark.parametrize("text", ["", "two words", "two\nlines", "\xfc"])
async def test_a_token_file_without_a_token_is_a_fault_of_that_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)

    with pytest.raises(OSError, match="does not hold a token"):
        await TokenFile(tmp_path / "token", clock)()


async def test_a_renewed_authority_of_the_report_ports_is_trusted_at_the_next_connect(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    access = ReportAccess(authority=path)
    names = []
    for name in ("first", "second"):
        trustme.CA(organization_name=name).cert_pem.write_to_path(str(path))
        trusted = await access.tls()
        assert isinstance(trusted, ssl.SSLContext)
        names.append(str(trusted.get_ca_certs()[0]["subject"]))

    assert ["first" in names[0], "second" in names[1]] == [True, True]


def test_outside_of_everything_it_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(Unstartable, match="--kubeconfig"):
        find(None, {"KUBECONFIG": str(tmp_path / "absent")}, clock)


async def test_in_a_pod_the_pods_own_account_is_used(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    (tmp_path / "token").write_text("pod")
    environment = {"KUBERNETES_SERVICE_HOST": "::1", "KUBERNETES_SERVICE_PORT": "443"}
    access = in_cluster(environment, clock, tmp_path)

    assert access.server == "https://[::1]:443"
    assert access.token is not None
    assert await access.token() == "pod"


def test_certificates_in_a_kubeconfig_are_understood(tmp_path: Path) -> None:
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

    async def token() -> str:
        return next(tokens)

    access = Access(server=server, tls=None, token=token)
    async with access.session() as session:
        await (await session.get(server + "/")).read()
        await (await session.get(server + "/")).read()
    await runner.cleanup()

    assert seen == ["Bearer first", "Bearer second"]
    assert repr(access) == f"<Access {server}>"
