"""The API server as the dispatcher asks it: found at the start, and asked through sessions that show who we are.

A token that stands in a file is read anew for every request, since the kubelet rotates it.
"""

import asyncio
import os
import pathlib
import typing

import aiohttp

from fanout_crds import apiserver
from fanout_crds.apiserver import ApiServer
from fanout_dispatcher.settings import Unstartable

CONNECT: typing.Final = 10.0  # seconds


def connect(kubeconfig: pathlib.Path | None, environ: typing.Mapping[str, str] = os.environ) -> ApiServer:
    """Find the API server. Raises Unstartable with a sentence."""
    try:
        return apiserver.find(kubeconfig, environ)
    except apiserver.Unusable as fault:
        raise Unstartable(str(fault)) from None


def session(cluster: ApiServer) -> aiohttp.ClientSession:
    """Make a session that sends our token: no proxy from the environment, no cookies, connecting is bounded."""

    async def authorise(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        token = cluster.token
        if cluster.token_file:
            token = (await asyncio.to_thread(cluster.token_file.read_text)).strip()
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return await handler(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=cluster.tls or True),
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(authorise,),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
    )
