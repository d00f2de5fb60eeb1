"""What a dispatcher does as a process: the real command, the real journal, real targets."""

import asyncio
import base64
import collections.abc
import json
import ssl
import subprocess
import typing

import apsw
import cryptography.x509
import httpx
import pytest
import trustme

from tests.harness.process import free_ports, tail
from tests.process.conftest import Bench
from tests.support.dispatcher import Process
from tests.support.strict_target import StrictTarget

SOON = 15.0  # seconds: a test that waits longer has failed


async def eventually(probe: typing.Callable[[], typing.Awaitable[bool]]) -> None:
    """Wait until *probe* says yes."""
    async with asyncio.timeout(SOON):
        while not await probe():  # noqa: ASYNC110 (what is waited for is in another process)
            await asyncio.sleep(0.02)


async def view(bench: Bench, process: Process, receipt: str) -> dict[str, dict[str, typing.Any]]:
    """What the status URL says, by target."""
    answer = await bench.client.get(f"{process.listen}/-/events/{receipt}")
    assert answer.status_code == 200, answer.text
    return {one["target"]: one for one in answer.json()["deliveries"]}


async def test_an_event_reaches_every_target_unchanged_and_the_status_url_says_so(bench: Bench) -> None:
    a, b = await bench.target("a"), await bench.target("b")
    bench.route(a, b)
    process = await bench.started()
    body = b'{"total":\t99.00, "note": "\\u00e9"}  '

    answer = await bench.client.post(
        f"{process.listen}/shop/order-placed", content=body, headers={"content-type": "application/json"}
    )
    receipt = answer.json()["receipt"]

    async def settled() -> bool:
        return all(one["state"] == "Delivered" for one in (await view(bench, process, receipt)).values())

    await eventually(settled)
    assert answer.status_code == 202
    assert answer.headers["location"] == answer.json()["status"] == f"/-/events/{receipt}"
    assert [got.body for got in a.got + b.got] == [body, body]
    assert a.got[0].key != b.got[0].key


TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


async def test_a_trace_is_continued_by_every_attempt_and_a_request_id_goes_in_and_out(bench: Bench) -> None:
    a, b = await bench.target("a"), await bench.target("b")
    b.choose = lambda got: 503 if got.attempt == 1 else 204
    soon = {"retry": {"backoff": {"type": "Constant", "baseDelay": "1ms", "jitter": "None"}}}
    bench.route(a, b, defaults={"policy": soon})
    process = await bench.started()
    trace = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01", "tracestate": "a=1"}
    event = {"ce-specversion": "1.0", "ce-id": "o-1", "ce-source": "/o", "ce-type": "t", "ce-traceparent": "as it came"}

    async def all_came() -> bool:
        return len(a.got) == 2 and len(b.got) == 4

    url = f"{process.listen}/shop/order-placed"
    with_a_trace = await bench.client.post(url, headers=event | trace | {"x-request-id": "r7"})
    without = await bench.client.post(url, headers=event | {"ce-id": "o-2", "traceparent": "no", "tracestate": "a=1"})
    await eventually(all_came)

    assert [one.headers["x-request-id"] for one in (with_a_trace, without)] == ["r7", "o-2"]
    came = {True: [], False: []}  # type: dict[bool, list[dict[str, str]]]
    for one in a.got + b.got:
        came[one.event == "o-1"].append(one.headers)
    traced = [one["traceparent"].split("-") for one in came[True]]
    assert [(*one[:2], one[3]) for one in traced] == [("00", TRACE_ID, "01")] * 3
    assert len({one[2] for one in traced} | {"b7ad6b7169203331", "0" * 16}) == 5
    assert {(one["tracestate"], one["x-request-id"], one["ce-traceparent"]) for one in came[True]} == {
        ("a=1", "r7", "as it came")
    }
    assert {one["x-request-id"] for one in came[False]} == {"o-2"}
    assert {"traceparent", "tracestate"}.isdisjoint(name for one in came[False] for name in one)


async def test_a_rejected_delivery_is_a_dead_letter_and_its_replay_goes_to_that_target_alone(bench: Bench) -> None:
    good, bad = await bench.target("good"), await bench.target("bad")
    bad.status = 422
    bench.route(good, bad)
    process = await bench.started()
    answer = await bench.client.post(f"{process.listen}/shop/order-placed", content=b"\x00raw")
    receipt = answer.json()["receipt"]

    async def dead() -> bool:
        return bool((await view(bench, process, receipt))["bad"]["state"] == "Dead")

    await eventually(dead)
    dead_one = (await view(bench, process, receipt))["bad"]
    letters = (await bench.client.get(f"{process.admin}/v1/dead-letters")).json()["items"]
    bad.status = 200
    replayed = await bench.client.post(f"{process.admin}/v1/dead-letters/replay", json={"ids": [letters[0]["id"]]})

    async def arrived() -> bool:
        return len(bad.got) == 2

    await eventually(arrived)
    left = (await bench.client.get(f"{process.admin}/v1/dead-letters")).json()["items"]
    states = await view(bench, process, receipt)
    old = states["bad"]
    assert [(one["target"], one["reason"]) for one in letters] == [("bad", "TargetRejected")]
    assert replayed.status_code == 200
    assert len(good.got) == 1
    assert bad.got[0].key == bad.got[1].key, "the target can tell that it is the same"
    assert (bad.got[1].event, bad.got[1].body) == (bad.got[0].event, b"\x00raw")
    assert left == []
    assert (states["good"]["attempts"], dead_one["attempts"], dead_one["reason"]) == (1, 1, "TargetRejected")
    assert old["replayedAs"] == replayed.json()["receipts"][0]


async def test_an_unknown_cursor_or_id_is_a_problem_and_not_an_empty_page(bench: Bench) -> None:
    bench.route(await bench.target("a"))
    process = await bench.started()
    get, letters = bench.client.get, f"{process.admin}/v1/dead-letters"

    answers = [
        (await get(f"{letters}?after=nonsense"), 400),
        (await get(f"{process.admin}/v1/events?after=0-1-0000000000000000"), 400),
        (await get(f"{letters}/0-99999999999999999999999"), 404),
        (await get(f"{letters}/0-7"), 404),
    ]

    for answer, status in answers:
        assert answer.status_code == status, answer.text


async def test_sigterm_lets_what_is_in_flight_land_and_a_restart_delivers_only_the_rest(bench: Bench) -> None:
    a = await bench.target("a")
    a.delay = 1.5  # longer than whoever is connected is served on
    bench.route({"name": "a", "url": a.url, "policy": {"bulkhead": {"maxConcurrent": 1}}})
    process = await bench.started()
    url = f"{process.listen}/shop/order-placed"
    receipts = [(await bench.client.post(url, content=b"x")).json()["receipt"] for _ in range(3)]

    async def in_flight() -> bool:
        return len(a.got) == 1

    await eventually(in_flight)
    code = await asyncio.to_thread(process.stop, 10)
    landed = [got.event for got in a.got]
    await process.start()

    async def all_arrived() -> bool:
        return all([(await view(bench, process, one))["a"]["state"] == "Delivered" for one in receipts])

    await eventually(all_arrived)
    assert code == 0
    assert len(landed) == 1
    assert len(a.got) == len({got.event for got in a.got}) == 3, "what had landed is not sent again"


async def test_sigterm_serves_whoever_is_connected_once_more_and_says_goodbye(bench: Bench) -> None:
    """An idle connection closed at once would be closed under the POST that is on its way."""
    bench.route(await bench.target("a"))
    process = await bench.started()
    url = f"{process.listen}/shop/order-placed"
    first = await bench.client.post(url, content=b"x")
    stopping = asyncio.create_task(asyncio.to_thread(process.stop, 10))

    async def told() -> bool:
        return "dispatcher.stopping" in process.log.read_text()

    await eventually(told)
    last = await bench.client.post(url, content=b"x")

    assert (first.status_code, first.headers.get("connection")) == (202, None)
    assert (last.status_code, last.headers.get("connection")) == (202, "close")
    assert await stopping == 0


async def test_a_bad_manifest_is_told_and_the_last_good_plan_stays(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a)
    process = await bench.started()
    (bench.manifests / "order-placed.json").write_text('{"apiVersion": "fanout.dev/v1alpha1", "kind": ')

    async def told() -> bool:
        return "order-placed.json:1" in process.log.read_text()

    await eventually(told)
    answer = await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")
    assert answer.status_code == 202


async def test_a_changed_manifest_takes_effect_without_a_restart(bench: Bench) -> None:
    a, b = await bench.target("a"), await bench.target("b")
    bench.route(a)
    process = await bench.started()
    bench.route(a, b)

    async def both() -> bool:
        answer = await bench.client.get(f"{process.admin}/v1/routes/shop/order-placed")
        return len(answer.json()["targets"]) == 2

    await eventually(both)
    await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")

    async def arrived() -> bool:
        return len(b.got) == 1

    await eventually(arrived)


async def test_a_secret_in_the_folder_becomes_a_bearer_token_and_never_shows(bench: Bench) -> None:
    a = await bench.target("a")
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "crm", "namespace": "shop"}}
    encoded = base64.b64encode(b"canary-4711").decode()
    (bench.manifests / "secret.json").write_text(json.dumps(secret | {"data": {"token": encoded}}))
    bearer = {"bearer": {"secretRef": {"name": "crm", "key": "token"}}}
    bench.route({"name": "a", "url": a.url, "authentication": bearer})
    process = await bench.started()
    await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")

    async def arrived() -> bool:
        return len(a.got) == 1

    await eventually(arrived)
    routes = await bench.client.get(f"{process.admin}/v1/routes")
    metrics = await bench.client.get(f"{process.admin}/metrics")
    process.stop()
    assert a.got[0].headers["authorization"] == "Bearer canary-4711"
    everything = routes.text + metrics.text + process.log.read_text()
    journal = b"".join(file.read_bytes() for file in process.data.iterdir())
    assert "canary-4711" not in everything
    assert b"canary-4711" not in journal


class Certified(typing.NamedTuple):
    """A route to a target that wants a certificate; who issues what, and where its dispatcher runs."""

    bench: Bench
    found: StrictTarget
    authority: trustme.CA

    def route(self, *, shown: bool) -> None:
        """Write the route, with or without a client certificate."""
        target = {
            "name": "a",
            "url": f"https://localhost:{self.found.port}/",
            "tls": {"caSecret": {"name": "us", "key": "ca.crt"}},
        }
        says = {"authentication": {"clientCertificate": {"secretRef": {"name": "us"}}}} if shown else {}
        self.bench.route(target | says, defaults={"policy": PATIENT})

    def secret(self, key: trustme.Blob, certificate: trustme.Blob) -> None:
        """Write the Secret, as a whole."""
        values = {"tls.crt": certificate, "tls.key": key, "ca.crt": self.authority.cert_pem}
        data = {name: base64.b64encode(value.bytes()).decode() for name, value in values.items()}
        fresh = self.bench.manifests / ".secret.tmp"
        fresh.write_text(json.dumps({"kind": "Secret", "apiVersion": "v1", "metadata": US, "data": data}))
        fresh.replace(self.bench.manifests / "secret.json")

    async def got(self, count: int) -> None:
        """Wait for that many requests in all."""

        async def arrived() -> bool:
            return len(self.found.shown) == count

        await eventually(arrived)


US: typing.Final = {"name": "us", "namespace": "shop"}
PATIENT: typing.Final = {
    "retry": {"backoff": {"type": "Constant", "baseDelay": "50ms", "jitter": "None"}},
    "circuitBreaker": {"mode": "Disabled"},
}


@pytest.fixture
def certified(bench: Bench) -> collections.abc.Iterator[Certified]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    with StrictTarget(context) as found:
        yield Certified(bench, found, authority)


def serial(of: trustme.LeafCert) -> int:
    return cryptography.x509.load_pem_x509_certificate(of.cert_chain_pems[0].bytes()).serial_number


async def test_a_client_certificate_is_shown_and_a_rotated_one_in_its_place_and_its_key_nowhere(
    bench: Bench, certified: Certified
) -> None:
    first, second = (certified.authority.issue_cert("us@shop.example") for _ in range(2))
    certified.secret(first.private_key_pem, first.cert_chain_pems[0])
    certified.route(shown=True)
    process = await bench.started()
    before = await revision(bench, process)
    await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")
    await certified.got(1)
    certified.secret(second.private_key_pem, second.cert_chain_pems[0])

    async def adopted() -> bool:
        return await revision(bench, process) != before

    await eventually(adopted)
    await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")
    await certified.got(2)
    metrics = await bench.client.get(f"{process.admin}/metrics")
    says = await routes(bench, process)
    process.stop()

    assert certified.found.shown == [serial(first), serial(second)]
    everything = (says + metrics.text + process.log.read_text()).encode()
    everything += b"".join(file.read_bytes() for file in process.data.iterdir())
    for key in (first.private_key_pem, second.private_key_pem):
        assert not any(line in everything for line in key.bytes().splitlines()[1:-1])


async def test_without_the_certificate_that_a_target_wants_its_events_wait_until_there_is_one(
    bench: Bench, certified: Certified
) -> None:
    ours, other = (certified.authority.issue_cert("us@shop.example") for _ in range(2))
    certified.secret(ours.private_key_pem, other.cert_chain_pems[0])
    certified.route(shown=False)
    process = await bench.started()
    await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")

    async def says(words: str) -> bool:
        return words in await routes(bench, process)

    await eventually(lambda: says("TLS alert, certificate required"))
    certified.route(shown=True)
    await eventually(lambda: says("SecretUnusable"))
    certified.secret(ours.private_key_pem, ours.cert_chain_pems[0])
    await certified.got(1)

    assert certified.found.shown == [serial(ours)]


async def revision(bench: Bench, process: Process) -> str:
    """Of the only route's plan."""
    said = (await bench.client.get(f"{process.admin}/v1/routes")).json()
    return str(said["items"][0]["revision"])


async def routes(bench: Bench, process: Process) -> str:
    """What the admin port says of all routes."""
    return (await bench.client.get(f"{process.admin}/v1/routes")).text


async def test_a_service_without_an_address_holds_its_target_and_nothing_else(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a, {"name": "lost", "service": {"name": "nowhere", "port": 80}})
    process = await bench.started()
    receipt = (await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")).json()["receipt"]

    async def arrived() -> bool:
        return len(a.got) == 1

    await eventually(arrived)
    lost = (await view(bench, process, receipt))["lost"]
    assert (lost["state"], lost["held"]) == ("Pending", "ServiceNotFound")


async def test_a_target_at_one_of_our_own_ports_is_refused_even_where_loopback_is_allowed(bench: Bench) -> None:
    admin = free_ports(1)[0]
    bench.route({"name": "self", "url": f"http://127.0.0.1:{admin}/v1/dead-letters/remove"})
    process = bench.dispatcher()
    process.command[process.command.index("--admin") + 1] = f"127.0.0.1:{admin}"
    await process.start()
    await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")

    answer = await bench.client.get(f"{process.admin}/v1/routes/shop/order-placed")

    assert answer.json()["targets"][0]["held"] == "Unsendable"
    assert "an address of our own" in answer.json()["targets"][0]["lastError"]


def cut_off(bench: Bench, process: Process) -> None:
    """Have plans come from an API server that is away."""
    nobody = free_ports(1)[0]
    cluster = {"name": "gone", "cluster": {"server": f"http://127.0.0.1:{nobody}"}}
    context = {"name": "gone", "context": {"cluster": "gone", "user": "none", "namespace": "fanout"}}
    kubeconfig = bench.folder / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "clusters": [cluster],
                "contexts": [context],
                "users": [{"name": "none", "user": {}}],
                "current-context": "gone",
            }
        )
    )
    process.command.remove(str(bench.manifests))
    process.command += ["--plans", "kubernetes", "--kubeconfig", str(kubeconfig)]


async def test_a_restart_needs_no_api_server_to_go_on(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a)
    process = await bench.started()
    process.stop()
    cut_off(bench, process)

    await process.start()
    answer = await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")

    async def arrived() -> bool:
        return len(a.got) == 1

    await eventually(arrived)
    assert answer.status_code == 202


async def test_a_target_on_this_machine_is_held_with_a_warning_that_names_the_flag(bench: Bench) -> None:
    bench.route(await bench.target("a"))
    process = bench.dispatcher()
    process.command.remove("--allow-loopback")
    await process.start()

    log = [json.loads(line) for line in process.log.read_text().splitlines()]

    [held] = [line for line in log if line["event"] == "target.held"]
    assert (held["level"], held["target"], held["reason"]) == ("warning", "a", "Unsendable")
    assert "--allow-loopback" in held["why"]


async def test_a_port_in_use_is_said_with_what_to_do(bench: Bench) -> None:
    bench.route(await bench.target("a"))
    process = await bench.started()
    taken = process.listen.removeprefix("http://")

    other = subprocess.run(
        [*process.command[:3], "--listen", taken, "--data", str(bench.folder / "other")],
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )

    assert other.returncode == 1
    assert f"cannot listen on {taken}: address already in use" in other.stderr


async def test_two_dispatchers_never_share_a_journal(bench: Bench) -> None:
    bench.route(await bench.target("a"))
    process = await bench.started()

    other = subprocess.run(process.command, capture_output=True, text=True, timeout=SOON, check=False)

    assert other.returncode == 1
    assert "in use" in other.stderr


async def test_a_journal_of_a_newer_version_is_refused_and_left_alone(bench: Bench) -> None:
    bench.route(await bench.target("a"))
    process = await bench.started()
    assert process.stop() == 0
    journal = process.data / "journal.db"
    with apsw.Connection(str(journal)) as db:
        db.execute("PRAGMA user_version = 99")
    before = journal.read_bytes()

    other = subprocess.run(process.command, capture_output=True, text=True, timeout=SOON, check=False)

    assert other.returncode == 1
    assert "newer" in other.stderr
    assert journal.read_bytes() == before


async def test_requests_that_cannot_be_taken_are_answered_with_a_problem(bench: Bench) -> None:
    bench.route(await bench.target("a"), accept={"maxBodySize": "1Ki"})
    process = await bench.started()
    url = f"{process.listen}/shop/order-placed"
    post, get = bench.client.post, bench.client.get
    answers: list[tuple[httpx.Response, int]] = [
        (await post(f"{process.listen}/nowhere", content=b"x"), 404),
        (await get(url), 405),
        (await post(url, content=b"x" * 2000), 413),
        (await post(url, content=b"x", headers={"content-encoding": "gzip"}), 415),
        (await post(url, content=b"[]", headers={"content-type": "application/cloudevents-batch+json"}), 415),
        (await post(url, content=b'{"a": ', headers={"content-type": "application/json"}), 400),
        (await get(f"{process.listen}/-/events/0-1-0000000000000000"), 404),
    ]

    for answer, status in answers:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert answer.json()["detail"]


async def test_a_full_disk_is_answered_503_and_heals_without_a_restart(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a, accept={"maxBodySize": "4Mi"})
    small = bench.folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=7m", "tmpfs", str(small)], check=False)
    assert mounted.returncode == 0, "this test needs to mount a small tmpfs"
    try:
        process = bench.dispatcher()
        process.data = small / "data"
        process.command[process.command.index("--data") + 1] = str(process.data)
        await process.start()
        ballast = small / "ballast"
        ballast.write_bytes(b"\0" * (5 << 20))
        url = f"{process.listen}/shop/order-placed"
        refused = await bench.client.post(url, content=b"x" * (2 << 20))
        ready = await bench.client.get(f"{process.admin}/readyz")
        ballast.unlink()

        async def heals() -> bool:
            return (await bench.client.post(url, content=b"y" * 1000)).status_code == 202

        await eventually(heals)

        async def arrived() -> bool:
            return len(a.got) == 1

        await eventually(arrived)
        process.stop()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)
    assert refused.status_code == 503, tail(process.log)
    assert refused.headers["retry-after"]
    assert ready.status_code == 503
    assert a.got[0].body == b"y" * 1000


async def test_the_report_stream_begins_with_a_snapshot_of_what_runs(bench: Bench) -> None:
    bench.route(await bench.target("a"))
    port = free_ports(1)[0]
    await bench.started("--report", f"127.0.0.1:{port}")
    kinds = []

    async with bench.client.stream("GET", f"http://127.0.0.1:{port}/v1/report") as stream:
        async for line in stream.aiter_lines():
            kinds.append(json.loads(line))
            if kinds[-1]["kind"] == "snapshotEnd":
                break

    assert [one["kind"] for one in kinds] == ["hello", "route", "snapshotEnd"]
    assert kinds[1]["route"] == "shop/order-placed"
    assert kinds[1]["targets"][0]["circuit"] == "Closed"
