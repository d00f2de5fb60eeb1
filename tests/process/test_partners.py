"""The partners of the examples: what each is sent, in which order, by which certificate, and when nothing is."""

import base64
import collections.abc
import json
import pathlib
import ssl
import typing

import httpx
import pytest
import trustme

from tests.process.test_dispatcher import eventually, serial
from tests.process.test_examples import EXAMPLES
from tests.support.dispatcher import Process
from tests.support.strict_target import StrictTarget
from tests.support.targets import Target

EXAMPLE = EXAMPLES / "16-partners" / "route.yaml"
STATES = ("packed", "lost", "arrived")


class Partners:
    """The example's route with its targets here, and the dispatcher that runs it."""

    def __init__(self, folder: pathlib.Path, targets: dict[int, str]) -> None:
        self.folder = folder / "partners"
        self.folder.mkdir()
        self.text = EXAMPLE.read_text()
        for port, url in targets.items():
            self.text = self.text.replace(f"127.0.0.1:{port}", url.rpartition("//")[2])
        self.suspend(False)
        self.process = Process(folder, self.folder)

    def suspend(self, suspended: bool) -> None:
        """Write the manifest, with this."""
        fresh = self.folder / ".route.tmp"
        fresh.write_text(self.text.replace("suspend: false", f"suspend: {json.dumps(suspended)}"))
        fresh.replace(self.folder / "route.yaml")

    def certify(self, authority: trustme.CA, leaf: trustme.LeafCert) -> None:
        """Write the Secret that the example leaves to whoever has one."""
        values = {"tls.crt": leaf.cert_chain_pems[0], "tls.key": leaf.private_key_pem, "ca.crt": authority.cert_pem}
        data = {name: base64.b64encode(value.bytes()).decode() for name, value in values.items()}
        metadata = {"name": "shop-client", "namespace": "shop"}
        document = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls"} | {"metadata": metadata}
        (self.folder / "secret.json").write_text(json.dumps(document | {"data": data}))

    async def post(self, http: httpx.AsyncClient, state: str) -> str:
        """An order's next state; where to ask for the event."""
        head = {"ce-specversion": "1.0", "ce-source": "/shop", "ce-type": "order.shipped", "ce-subject": "order-7"}
        head |= {"ce-id": state, "X-Shop-Region": "eu", "X-Campaign-Id": "7", "X-Other": "no"}
        answer = await http.post(f"{self.process.listen}/shop/shipped", json={"state": state}, headers=head)
        assert answer.status_code == 202
        return f"{self.process.listen}{answer.headers['location']}"


async def told(http: httpx.AsyncClient, where: str) -> dict[str, dict[str, typing.Any]]:
    """What has become of an event, by target."""
    return {one["target"]: one for one in (await http.get(where)).json()["deliveries"]}


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def carrier(authority: trustme.CA) -> collections.abc.Iterator[StrictTarget]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    with StrictTarget(context) as found:
        yield found


async def test_each_partner_gets_what_it_wants_and_none_anything_while_the_route_is_suspended(
    tmp_path: pathlib.Path, authority: trustme.CA, carrier: StrictTarget
) -> None:
    marketplace, tracking = [await Target(name).open() for name in ("marketplace", "tracking")]
    marketplace.choose = lambda got: 503 if got.event == "packed" else 204
    tracking.choose = lambda got: 422 if got.event == "lost" else 204
    ports = {9137: marketplace.server, 9138: tracking.server}
    places = {port: f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for port, server in ports.items()}
    partners = Partners(tmp_path, places | {9139: f"localhost:{carrier.port}"})
    partners.suspend(True)
    ours = authority.issue_cert("us@shop.example")
    try:
        await partners.process.start()
        async with httpx.AsyncClient(trust_env=False) as http:
            events = [await partners.post(http, state) for state in STATES]
            suspended = await told(http, events[0])
            before = len(marketplace.got) + len(tracking.got)
            partners.suspend(False)

            async def held_for_the_secret_alone() -> bool:
                return (await told(http, events[-1]))["carrier"]["held"] == "SecretNotFound" and len(tracking.got) == 3

            await eventually(held_for_the_secret_alone)
            partners.certify(authority, ours)

            async def arrived() -> bool:
                found = [await told(http, event) for event in events]
                return len(carrier.shown) == 3 and all(one["carrier"]["state"] == "Delivered" for one in found)

            await eventually(arrived)
            ended = [await told(http, event) for event in events]
    finally:
        partners.process.stop()
        for target in (marketplace, tracking):
            await target.close()

    assert before == 0
    assert {one["held"] for one in suspended.values()} <= {"Suspended", "SecretNotFound"}
    assert [got.event for got in tracking.got] == list(STATES), "in order, past the one that it refused"
    assert [one["tracking"]["state"] for one in ended] == ["Delivered", "Dead", "Delivered"]
    assert carrier.shown == [serial(ours)] * 3
    forwarded = [(got.headers.get("x-shop-region"), got.headers.get("x-campaign-id")) for got in marketplace.got]
    assert set(forwarded) == {("eu", "7")}
    assert not any({"x-other", "x-shop-region"} & set(got.headers) for got in tracking.got)
    assert ended[0]["marketplace"]["state"] == "Pending", "its schedule has days left"
