"""How the API server is asked: with our token, as it is at that moment, and wherever it is."""

import pathlib

import pytest
from aiohttp import web

from fanout_crds.apiserver import ApiServer
from fanout_dispatcher.cluster import connect, session
from fanout_dispatcher.settings import Unstartable


def test_where_there_is_none_the_sentence_is_said(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unstartable, match=f"kubeconfig {tmp_path}"):
        connect(tmp_path / "absent")


async def test_every_request_carries_the_token_that_is_in_its_file_then(tmp_path: pathlib.Path) -> None:
    seen: list[tuple[str, str | None]] = []

    async def serve(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Authorization")))
        return web.Response()

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server = f"http://127.0.0.1:{runner.addresses[0][1]}/clusters/c-1"
    token = tmp_path / "token"

    for cluster in (
        ApiServer(server=server, tls=None, namespace="fanout", token_file=token),
        ApiServer(server=server, tls=None, namespace="fanout", token="fixed"),
        ApiServer(server=server, tls=None, namespace="fanout"),
    ):
        async with session(cluster) as api:
            for text in ("one\n", "two\n"):
                token.write_text(text)
                await (await api.get(f"{server}/api")).read()
    await runner.cleanup()

    assert {path for path, _ in seen} == {"/clusters/c-1/api"}
    assert [said for _, said in seen] == ["Bearer one", "Bearer two", "Bearer fixed", "Bearer fixed", None, None]
