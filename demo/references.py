"""A route whose target is a Service that is not there: the others run, its deliveries are held, and nothing is lost.

The demo's API server has no cluster DNS: once the Service is there the reference resolves, but its name leads nowhere
on this machine. So in the end the target is given a URL, and what was held goes there.
"""

import dataclasses
import typing

from demo.admin import Admin
from demo.errors import prove
from demo.kube import Kube
from demo.stage import Stage, cloudevent, order
from demo.watch import Watch

ROUTE: typing.Final = "shop/order-shipped"
ORDER: typing.Final = 500
MANIFEST: typing.Final = """
apiVersion: fanout.dev/v1alpha1
kind: FanoutRoute
metadata: {{name: order-shipped, namespace: shop}}
spec:
  targets:
  - name: billing
    url: {url}
  - name: printer
    {place}
    policy:
      circuitBreaker: {{openDuration: 1s, maxOpenDuration: 1s, halfOpen: {{maxCalls: 1, successThreshold: 1}}}}
"""
IN_CLUSTER: typing.Final = "service: {name: printer, port: 80, path: /events}"
SERVICE: typing.Final = """
apiVersion: v1
kind: Service
metadata: {name: printer, namespace: shop}
spec:
  ports: [{port: 80}]
"""
BAD: typing.Final = """
apiVersion: fanout.dev/v1alpha1
kind: FanoutRoute
metadata: {name: order-lost, namespace: shop}
spec:
  targets:
  - name: billing
    url: http://127.0.0.1:9101/events
    service: {name: billing, port: 80}
"""


async def refuse(kube: Kube, stage: Stage) -> None:
    """A route that cannot be understood never takes effect."""
    said = await kube.refused("order-lost.yaml", BAD)
    prove("exactly one of url and service" in said, f"the refusal should say what is wrong: {said}")
    stage.show.proof("refused: a target with a url and a service, by the API server itself, in a sentence")


async def missing(kube: Kube, first: Stage) -> None:
    """Play the missing Service."""
    stage = _beside(first)
    url = stage.targets["billing"].url
    await kube.apply("order-shipped.yaml", MANIFEST.format(url=url, place=IN_CLUSTER))
    await kube.until("ServiceNotFound", *_reason("ResolvedRefs"))
    await kube.shown("get", "fr", "-n", "shop")
    said = await kube.condition(ROUTE, "ResolvedRefs")
    await stage.post(order(ORDER, "shipped"), cloudevent(ORDER, "shipped"))
    sight = await stage.watch.until(lambda sight: sight.count("billing", "Delivered") == 1, "billing has it")
    held = sight.targets["printer"]["held"]
    prove(held == "ServiceNotFound", f"printer should be held: {held}")
    stage.show.proof(f"missing Service: ResolvedRefs={said}; billing has the event, printer's delivery is held")
    await kube.apply("printer.yaml", SERVICE)
    await kube.until("Ready", *_reason("Ready"))
    stage.show.proof("the Service appeared: ResolvedRefs=True and Ready=True, without touching the route")
    stage.show.say("(there is no cluster DNS here, so printer gets a url: what is owed goes where the route says now)")
    await kube.apply("order-shipped.yaml", MANIFEST.format(url=url, place=f"url: {url}"))
    await stage.watch.until(lambda sight: sight.settled(), "the held delivery arrived")
    stage.show.proof(f"arrived: the held delivery of order {ORDER}")


def _reason(type_: str) -> tuple[str, ...]:
    path = "{.status.conditions[?(@.type=='" + type_ + "')].reason}"
    return ("get", "fr", "order-shipped", "-n", "shop", "-o", f"jsonpath={path}")


def _beside(first: Stage) -> Stage:
    """The same stage, looking at this route."""
    admin = Admin(first.http, first.admin.base, ROUTE)
    url = first.url.removesuffix(first.admin.route) + ROUTE
    return dataclasses.replace(first, url=url, admin=admin, watch=Watch(admin, first.show))
