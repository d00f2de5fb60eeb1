"""How the operator finds the API server and shows who it is."""

import ssl
from pathlib import Path

import pytest
import trustme
import yaml
from aiohttp import web

from fanout_operator.access import Access, ReportAccess, TokenFile, find
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


@pytest.mark.parametrize("user", [{"token": "t"}, {"tokenFile": "token"}])
async def test_a_kubeconfig_gives_server_and_token(tmp_path: Path, user: dict[str, object]) -> None:
    (tmp_path / "token").write_text("t\n")
    access = find(kubeconfig(tmp_path, user), {}, clock)

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
