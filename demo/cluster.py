"""`make demo-cluster`: the same three acts by `kubectl apply`, against a real Kubernetes API server of the demo's own.

etcd and kube-apiserver run on this machine for as long as the demo does; `fanout-operator` turns routes into plans and
`fanout run --plans kubernetes` carries them out, both as processes. There are no nodes and no cluster DNS, so targets
are at URLs of this machine; a Service that is missing, and then is not, shows what a reference does.
"""

import asyncio
import contextlib
import os
import time
import typing
from pathlib import Path

from demo import acts, references
from demo.curtain import play
from demo.errors import prove
from demo.kube import Kube
from demo.ledger import Ledger
from demo.main import ROOT
from demo.ports import manifests, placed
from demo.process import Program
from demo.show import Show
from demo.stage import Stage, cloudevent, opened, order
from tests.harness.apiserver import ApiServer, running
from tests.harness.process import free_ports

NAMESPACE: typing.Final = "fanout"  # the dispatcher's: plans are written there
CRD: typing.Final = "crds/fanoutroutes.fanout.dev.yaml"
AFTERWARDS: typing.Final = 501  # an order posted when the CRD is gone


async def demo(show: Show, ledger: Ledger) -> None:
    """Play it all."""
    os.chdir(ROOT)
    show.say("starting etcd and kube-apiserver")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running())  # on this thread, with which its processes end
        kube = Kube(server, show)
        await _prepare(kube)
        targets = stack.enter_context(placed())
        dispatcher, operator, door, admin = programs(server)
        async with opened(
            show, ledger, targets=targets, programs=(dispatcher, operator), door=door, admin=admin
        ) as stage:
            await _program(kube, stage, server.home)
            await acts.fan_out(stage)
            await kube.shown("get", "fr", "-n", "shop")
            show.heading("2  The warehouse comes up, crm is mended")
            await acts.mend(stage)
            show.heading("3  kill -9 in mid-flight")
            await acts.kill(stage)
            for target in stage.targets.values():
                target.slow = 0
            show.heading("4  What is wrong, and what is missing")
            await references.refuse(kube, stage)
            await references.missing(kube, stage)
            show.heading("5  Everything is deleted")
            await _delete(kube, stage)
            statuses = (operator.stop(), stage.dispatcher.stop())
            prove(statuses == (0, 0), f"operator and dispatcher should end with status 0 at SIGTERM: {statuses}")
            show.say("SIGTERM: operator and dispatcher ended with status 0")


async def _prepare(kube: Kube) -> None:
    await kube.shown("apply", "-f", CRD)
    # A template, not a JSONPath: at first there are no conditions, and a filter over none is an error.
    established = 'go-template={{range .status.conditions}}{{if eq .type "Established"}}{{.status}}{{end}}{{end}}'
    await kube.until("True", "get", "crd", "fanoutroutes.fanout.dev", "-o", established)
    for namespace in (NAMESPACE, "shop"):
        await kube.quietly("create", "namespace", namespace)


def programs(server: ApiServer) -> tuple[Program, Program, str, str]:
    """Make dispatcher and operator; gives them with the addresses of the data and the admin port."""
    door, admin, report, health = (f"127.0.0.1:{port}" for port in free_ports(4))
    both = ["--namespace", NAMESPACE, "--kubeconfig", str(server.kubeconfig)]
    run = ["fanout", "run", "--plans", "kubernetes", *both, "--allow-loopback", "--data", str(server.home / "data")]
    run += ["--listen", door, "--admin", admin, "--report", report]
    operate = ["fanout-operator", *both, "--dispatcher", f"http://{report}", "--health", health]
    dispatcher = Program(run, server.home / "dispatcher.log", ready=f"http://{admin}/readyz")
    operator = Program(operate, server.home / "operator.log", ready=f"http://{health}/readyz")
    return dispatcher, operator, door, admin


async def _program(kube: Kube, stage: Stage, home: Path) -> None:
    """Apply the example, and wait until the route says that it is Ready."""
    stage.show.heading("1  Three targets: billing is well, crm stumbles, warehouse is down")
    stage.show.say("the example is copied, with free ports for its targets: what else runs here is left alone")
    await kube.shown("apply", "-f", f"{manifests(home, stage.targets)}/")
    applied = time.monotonic()
    await kube.quietly("wait", "--for=condition=Ready", "fr/order-placed", "-n", "shop", "--timeout=20s")
    took = time.monotonic() - applied
    await kube.shown("get", "fr", "-n", "shop")
    stage.show.proof(f"programmed: Ready {took:.1f} s after kubectl apply came back (kubectl's own start included)")


async def _delete(kube: Kube, stage: Stage) -> None:
    """Delete a route, then the definition of all routes: neither hangs, and only the first stops anything."""
    await kube.shown("delete", "fr", "order-shipped", "-n", "shop")
    await _gone(stage, f"/v1/routes/{references.ROUTE}")
    stage.show.proof(f"deleted: {references.ROUTE} takes no more events")
    await kube.shown("delete", "crd", "fanoutroutes.fanout.dev", "--timeout=20s")
    await asyncio.sleep(1)
    await stage.post(order(AFTERWARDS, "paid"), cloudevent(AFTERWARDS, "paid"))
    await stage.watch.until(lambda sight: sight.settled(), "the order after the end was delivered")
    stage.show.proof("the definition is gone, which never hangs; the dispatcher serves its last plan all the same")


async def _gone(stage: Stage, path: str) -> None:
    async with asyncio.timeout(20):
        while (await stage.http.get(stage.admin.base + path)).is_success:  # noqa: ASYNC110 (another process's state)
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    play("Fanout: the same against a Kubernetes API", demo)
