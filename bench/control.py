"""How long a change takes to be in force: operator, dispatcher and a real API server, as processes, on this machine."""

import json
import time
import typing

from bench.results import Result, judged, percentile
from bench.terms import Terms, folder
from tests.controlplane.dispatcher import Dispatcher
from tests.controlplane.installed import Installation, define, running_operator
from tests.harness import apiserver

ROUTES: typing.Final = 60
RUNS: typing.Final = 3
PATIENCE: typing.Final = 30.0  # seconds for one route


def apply_to_ready_ms(terms: Terms) -> dict[str, Result]:
    """From creating a route of three targets to Ready=True on the object, one after another: p99."""
    runs = []
    with apiserver.running() as server, folder(terms) as path:
        define(server)
        installation = Installation(server, "bench")
        installation.install()
        dispatcher = Dispatcher(installation, path)
        with dispatcher.running(), running_operator(installation, f"--dispatcher=http://127.0.0.1:{dispatcher.report}"):
            for number in range(RUNS):
                took = _took(installation, server.namespace("bench"))
                runs.append({"value": percentile(took, 0.99), "p50_ms": percentile(took, 0.5), "max_ms": took[-1]})
                terms.tell(f"{number + 1}: p50 {runs[-1]['p50_ms']:.0f} ms, p99 {runs[-1]['value']:.0f} ms")
    note = f"{ROUTES} routes a run; operator and API server share the cores"
    return {"apply_to_ready_ms": judged("value", runs, unit="ms", must="< 1000", note=note)}


def _took(installation: Installation, namespace: str) -> list[float]:
    """Milliseconds of each route, sorted."""
    path = f"/apis/fanout.dev/v1alpha1/namespaces/{namespace}/fanoutroutes"
    targets = [{"name": name, "url": f"https://{name}.example.com/"} for name in ("a", "b", "c")]
    took = []
    with installation.server.client() as client:
        since = client.get(path).raise_for_status().json()["metadata"]["resourceVersion"]
        watching = {"watch": "true", "resourceVersion": since}
        with client.stream("GET", path, params=watching, timeout=PATIENCE) as changes:
            lines = changes.iter_lines()
            for number in range(ROUTES):
                route = installation.route(namespace, f"route-{number}", *targets)
                begun = time.perf_counter()
                client.post(path, json=route).raise_for_status()
                next(line for line in lines if _ready(json.loads(line)["object"], f"route-{number}"))
                took.append((time.perf_counter() - begun) * 1000)
    return sorted(took)


def _ready(route: dict[str, typing.Any], name: str) -> bool:
    said = route.get("status", {}).get("conditions", ())
    return route["metadata"]["name"] == name and any(one["type"] == "Ready" and one["status"] == "True" for one in said)
