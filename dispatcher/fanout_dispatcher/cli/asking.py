"""Asking an API server whether it would take manifests: a server-side apply that is only a try (dryRun).

It knows what no file can tell: which version of the definition the cluster has, whether the namespace is there, what
its admission policies say and what we may do. Nothing is changed. What it objects to becomes faults like any other,
with file, line and path; where it cannot be asked at all, one sentence says why. Secrets are not sent.
"""

import asyncio
import re
import typing
from collections.abc import Iterable, Mapping

import aiohttp
import orjson

from fanout_crds.apiserver import ApiServer
from fanout_crds.faults import Fault
from fanout_crds.manifests import Sourced
from fanout_crds.route import API_VERSION, KIND
from fanout_crds.schema import PLURAL
from fanout_dispatcher.cluster import session

PATIENCE: typing.Final = aiohttp.ClientTimeout(total=30, sock_connect=10)  # seconds
AT_ONCE: typing.Final = 8  # requests
DISCOVERY: typing.Final = f"/apis/{API_VERSION}"
ASKED: typing.Final = {"dryRun": "All", "fieldValidation": "Strict", "fieldManager": "fanout-validate", "force": "true"}

_VALUE = re.compile(r'^(?:Invalid|Unsupported) value: (?:(?:"(?:[^"\\]|\\.)*"|-?[\d.]+|true|false|null): )?')
_TYPED = re.compile(r"^failed to (?:create|convert) .*?\(.*?\): (\.\S+|\.\S*\[.*?\]\S*): (.+)$", re.DOTALL)
_KEYED = re.compile(r'\[name="([^"]*)"\]')

Json = Mapping[str, typing.Any]


class Unasked(Exception):
    """The API server cannot be asked; a sentence."""


async def ask(cluster: ApiServer, sources: Iterable[Sourced]) -> list[Fault]:
    """Give what the API server objects to, in the order of the manifests. Raises Unasked."""
    turn = asyncio.Semaphore(AT_ONCE)
    async with session(cluster) as api:
        try:
            await _known(cluster, api)
            found = await asyncio.gather(*(_tried(cluster, api, one, turn) for one in sources))
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            said = str(fault.os_error if isinstance(fault, aiohttp.ClientConnectorError) else fault)  # no TLS context
            said = said or "it does not answer"
            raise Unasked(f"the API server at {cluster.server} cannot be reached: {said}") from None
    return [fault for faults in found for fault in faults]


async def _known(cluster: ApiServer, api: aiohttp.ClientSession) -> None:
    """See to it that the cluster has our kind, and that it knows who asks."""
    async with api.get(cluster.server + DISCOVERY, timeout=PATIENCE) as answer:
        text = await answer.read()
        match answer.status:
            case 200 if any(one.get("name") == PLURAL for one in _json(text).get("resources") or ()):
                return
            case 200 | 404:
                said = (
                    f"the cluster does not know {KIND}s: install Fanout there, or apply crds/{PLURAL}.fanout.dev.yaml"
                )
            case 401:
                said = "it does not know who asks (401): is the kubeconfig's token or certificate out of date?"
            case _:
                said = f"it answered {answer.status}: {_message(text)}"
    raise Unasked(f"the API server at {cluster.server} cannot be asked: {said}")


async def _tried(
    cluster: ApiServer, api: aiohttp.ClientSession, source: Sourced, turn: asyncio.Semaphore
) -> list[Fault]:
    document = placed_in(source.document, cluster.namespace)
    metadata = document["metadata"]
    url = f"{cluster.server}{DISCOVERY}/namespaces/{metadata['namespace']}/{PLURAL}/{metadata['name']}"
    headers = {"Content-Type": "application/apply-patch+yaml"}
    async with (
        turn,
        api.patch(url, params=ASKED, data=orjson.dumps(document), headers=headers, timeout=PATIENCE) as answer,
    ):
        text = await answer.read()
    if answer.status < 300:
        return []
    return [source.placed(fault) for fault in objections(text, document)]


def placed_in(document: Json, namespace: str) -> dict[str, typing.Any]:
    """Give a manifest the namespace that kubectl would: its own, else that of the kubeconfig's context."""
    metadata = document["metadata"]
    return {**document, "metadata": {**metadata, "namespace": metadata.get("namespace") or namespace}}


def objections(text: bytes, document: Json) -> list[Fault]:
    """Read what an API server said no with, a Status, as faults of *document*."""
    status = _json(text)
    details = status.get("details") or {}
    if causes := details.get("causes"):
        return [Fault(_path(one.get("field", "")), _VALUE.sub("", one.get("message", ""))) for one in causes]
    message = _message(text)
    if status.get("reason") == "NotFound" and details.get("kind") == "namespaces":
        return [Fault("metadata.namespace", f'the cluster has no namespace "{details.get("name", "")}"')]
    if typed := _TYPED.match(message):
        return [Fault(_placed(typed[1], document), f"the cluster's definition of routes says: {typed[2]}")]
    return [Fault("", f"the API server says: {message}")]


def _path(field: str) -> str:
    return "" if field == "<nil>" else field


def _placed(path: str, document: Json) -> str:
    """Turn ``.spec.targets[name="crm"].urll`` into ``spec.targets[0].urll``."""
    targets = (document.get("spec") or {}).get("targets") or ()
    places = {one.get("name"): place for place, one in enumerate(targets) if isinstance(one, dict)}
    found = path.removeprefix(".")
    return _KEYED.sub(lambda key: f"[{places[key[1]]}]" if key[1] in places else key[0], found, count=1)


def _json(text: bytes) -> Json:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _message(text: bytes) -> str:
    return str(_json(text).get("message") or text[:200].decode("utf-8", "replace").strip())
