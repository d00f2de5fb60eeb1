"""What the examples promise, by the real command: each manifest as it stands, but for where its targets are."""

import asyncio
import json
import pathlib
import re
import typing

import httpx
from aiohttp import web

from tests.support.dispatcher import Process
from tests.support.served import Served
from tests.support.targets import Target

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
SOON = 15.0  # seconds
SEVEN = {"state": "Delivered", "status": 200, "body": {"price": 7}}


async def test_a_payment_that_is_sent_again_is_booked_once_also_across_a_kill(tmp_path: pathlib.Path) -> None:
    came: list[bytes] = []
    booked = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        came.append(await request.read())
        if len(set(came)) == 2:
            booked.set()
        return web.Response(status=204)

    served = await Served(take, "POST", "/bookings").open()
    folder = moved(tmp_path, "05-idempotent-intake", "127.0.0.1:9105", served.port)
    process = Process(tmp_path, folder)

    async def pay(http: httpx.AsyncClient, payment: int, key: str) -> httpx.Response:
        headers = {"Idempotency-Key": key}
        return await http.post(f"{process.listen}/payments/paid", json={"payment": payment}, headers=headers)

    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False) as http:
            answers = await asyncio.gather(*(pay(http, 7, '"pay-7"') for _ in range(5)))
        process.kill()
        await process.start()
        async with httpx.AsyncClient(trust_env=False) as http:
            answers.append(await pay(http, 7, "pay-7"))
            reused = await pay(http, 8, "pay-7")
            other = await pay(http, 8, "pay-8")
        async with asyncio.timeout(SOON):
            await booked.wait()
    finally:
        process.stop()
        await served.close()

    assert {one.status_code for one in answers} == {202}
    assert len({one.json()["receipt"] for one in answers}) == 1
    assert (reused.status_code, reused.json()["type"].rpartition("/")[2]) == (422, "idempotency-key-reused")
    assert other.status_code == 202
    assert sorted(set(came)) == [b'{"payment":7}', b'{"payment":8}'], "at least once: a kill may repeat a delivery"


async def test_a_tenant_that_brings_more_than_its_burst_is_told_to_wait_and_another_is_not(
    tmp_path: pathlib.Path,
) -> None:
    """By the hour instead of by the second, so that the test has all the time it takes."""
    folder = moved(tmp_path, "06-throttled-intake", "127.0.0.1:9106", 9)
    route = folder / "route.yaml"
    route.write_text(route.read_text().replace("per: 1s", "per: 1h"))
    process = Process(tmp_path, folder)
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False) as http:

            async def post(tenant: str) -> httpx.Response:
                return await http.post(f"{process.listen}/metering/readings", json={}, headers={"X-Tenant": tenant})

            answers = await asyncio.gather(*(post("ada") for _ in range(120)))
            other = await post("grace")
    finally:
        process.stop()

    refused = [one for one in answers if one.status_code == 429]
    assert (len(answers), len(refused)) == (120, 20)
    assert all(0 < int(one.headers["retry-after"]) <= 72 for one in refused), "a fiftieth of an hour"
    assert all(one.headers["ratelimit"].startswith('"header";r=0;') for one in refused)
    assert (other.status_code, other.headers["ratelimit-policy"]) == (202, '"header";q=100;w=7200')


async def test_the_bearer_token_beside_its_route_reaches_the_target(tmp_path: pathlib.Path) -> None:
    came: asyncio.Queue[str | None] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        came.put_nowait(request.headers.get("Authorization"))
        return web.Response(status=204)

    served = await Served(take, "POST", "/signups").open()
    process = Process(tmp_path, moved(tmp_path, "02-bearer-token", "127.0.0.1:9102", served.port))
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"{process.listen}/accounts/signed-up", json={"user": "ada"})
        async with asyncio.timeout(SOON):
            token = await came.get()
    finally:
        process.stop()
        await served.close()

    assert answer.status_code == 202
    assert token == "Bearer an-example-and-no-secret"


async def test_scatter_gather_answers_with_what_all_two_or_the_first_have_said(tmp_path: pathlib.Path) -> None:
    """A port each for fast, slow and broken: what the five routes make of the same three services."""
    fast, slow, broken = [await Target(name).open() for name in ("fast", "slow", "broken")]
    fast.says, slow.says = b'{"price": 7}', b'{"price": 9}'
    slow.delay, broken.status = 0.3, 422
    folder = tmp_path / "04-scatter-gather"
    folder.mkdir()
    for file in (EXAMPLES / "04-scatter-gather").iterdir():
        text = file.read_text()
        for port, target in ((9111, fast), (9112, slow), (9113, broken)):
            text = text.replace(f"http://127.0.0.1:{port}/", f"{target.url}/")
        (folder / file.name).write_text(text)
    process = Process(tmp_path, folder)
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False, base_url=process.listen, timeout=SOON) as http:
            paths = ("/travel/offer", "/ledger/record", "/rates/lookup", "/shop/checkout", "/travel/quote")
            order = {"id": 7, "from": "HAM", "to": "LIS"}
            every, two, first, critical, quote = await asyncio.gather(*(http.post(path, json=order) for path in paths))
    finally:
        process.stop()
        for target in (fast, slow, broken):
            await target.close()

    assert every.status_code == 502
    assert [one["state"] for one in every.json()["targets"].values()][2] == "Dead"
    assert (two.status_code, two.json()["targets"]["middle"]["body"]) == (200, {"price": 9})
    assert first.json()["targets"] == {"primary": SEVEN, "mirror": {"state": "Pending"}}
    assert critical.json()["targets"] == {"payment": SEVEN}
    assert quote.json() == {"from": "HAM", "flight": 7, "hotel": 9, "total": 16}
    assert (quote.headers["cache-control"], quote.headers["x-route"]) == ("no-store", "HAM-LIS")


async def test_a_page_is_answered_without_what_is_down_and_at_once_when_its_circuit_is_open(
    tmp_path: pathlib.Path,
) -> None:
    price, recommendations, other = [await Target(name).open() for name in ("price", "recommendations", "other")]
    price.says, other.says, recommendations.status = b'{"price": 7}', b'["good"]', 503
    places = {9101: price.url, 9102: recommendations.url, 9103: other.url, 9104: price.url}
    folder = tmp_path / "12-graceful-degradation"
    folder.mkdir()
    text = (EXAMPLES / folder.name / "route.yaml").read_text()
    for port, url in places.items():
        text = text.replace(f"http://127.0.0.1:{port}/", f"{url}/")
    (folder / "route.yaml").write_text(text.replace("127.0.0.1:9105", "127.0.0.1:9"))
    process = Process(tmp_path, folder)
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False, timeout=SOON) as http:
            answers = [await http.post(f"{process.listen}/shop/page", json={"product": n}) for n in range(8)]
            states = (await http.get(f"{process.listen}{answers[-1].headers['location']}")).json()["deliveries"]
            metrics = (await http.get(f"{process.admin}/metrics")).text
            letters = (await http.get(f"{process.admin}/v1/dead-letters")).json()["items"]
    finally:
        process.stop()
        for target in (price, recommendations, other):
            await target.close()

    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json()["targets"] == {
            "price": SEVEN,
            "recommendations": {"state": "Delivered", "status": 200, "body": [], "fallback": True},
            "reviews": {"state": "Delivered", "status": 200, "body": ["good"], "fallback": True},
        }
    reasons = {one["target"]: (one["state"], one.get("reason")) for one in states}
    assert reasons["recommendations"] == reasons["reviews"] == ("Dead", "FellBack")
    assert reasons["reviews.fallback"] == ("Delivered", None)
    assert 'fanout_fallbacks_total{route="shop/page",target="recommendations",reason="CircuitOpen"}' in metrics
    assert letters == []


async def test_each_target_gets_what_concerns_it_as_the_request_that_it_understands(tmp_path: pathlib.Path) -> None:
    came: asyncio.Queue[tuple[str, str, str | None, typing.Any]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        told = json.loads(body) if body else None
        came.put_nowait((request.method, request.raw_path, request.headers.get("x-priority"), told))
        return web.Response(status=204)

    served = await Served(take).open()
    folder = moved(tmp_path, "03-filter-and-transform", "127.0.0.1:910[1-3]", served.port)
    process = Process(tmp_path, folder)
    order = {"id": "7/8", "total": 2500, "country": "de"}
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False) as http:
            states = [
                await settled(http, process, order),
                await settled(http, process, {"id": 9, "status": "cancelled"}),
                await settled(http, process, {"total": 2500}),
            ]
            letters = (await http.get(f"{process.admin}/v1/dead-letters")).json()["items"]
    finally:
        process.stop()
        await served.close()

    assert states == [
        {"billing": "Delivered", "analytics": "Delivered", "search": "Skipped"},
        {"billing": "Skipped", "analytics": "Delivered", "search": "Delivered"},
        {"billing": "Dead", "analytics": "Delivered", "search": "Skipped"},
    ]
    asked = sorted([came.get_nowait() for _ in range(came.qsize())], key=str)
    assert [(method, path, priority) for method, path, priority, _ in asked if method != "POST"] == [
        ("DELETE", "/orders/9", None),
        ("PUT", "/invoices/7%2F8", "high"),
    ]
    assert [body for method, _, _, body in asked if method == "PUT"] == [{"amount": 2500, "currency": "EUR"}]
    assert {path for method, path, _, _ in asked if method == "POST"} == {
        "/events?source=fanout&country=de",
        "/events?source=fanout",
    }
    (letter,) = letters
    assert (letter["reason"], letter["attempts"]) == ("ExpressionFailed", 0)
    assert letter["detail"] == 'request.pathExpression: there is no "id" in data; has() asks whether there is'


async def test_a_get_is_answered_with_what_three_services_were_asked_for_by_get(tmp_path: pathlib.Path) -> None:
    came: list[tuple[str, str]] = []

    async def take(request: web.Request) -> web.Response:
        came.append((request.method, request.raw_path))
        return web.json_response({"of": request.match_info["kind"]})

    served = await Served(take, "GET", "/{kind}/{rest:.*}").open()
    folder = moved(tmp_path, "11-api-orchestration", "127.0.0.1:912[1-3]", served.port)
    process = Process(tmp_path, folder)
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False, base_url=process.listen, timeout=SOON) as http:
            answer = await http.get("/shop/products/4711?currency=CHF")
            asked, came[:] = sorted(came), []
            short = await http.get("/shop/products/a%2Fb?reviews=no")
            posted = await http.post("/shop/products/4711", json={})
    finally:
        process.stop()
        await served.close()

    bodies = {name: one["body"] for name, one in answer.json()["targets"].items()}
    assert bodies == {"price": {"of": "prices"}, "stock": {"of": "stock"}, "reviews": {"of": "products"}}
    assert asked == [
        ("GET", "/prices/4711?currency=CHF"),
        ("GET", "/products/4711/reviews?limit=5"),
        ("GET", "/stock/4711"),
    ]
    assert sorted(came) == [("GET", "/prices/a%2Fb?currency=EUR"), ("GET", "/stock/a%2Fb")]
    assert short.json()["targets"]["reviews"] == {"state": "Skipped"}
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def settled(http: httpx.AsyncClient, process: Process, order: dict[str, typing.Any]) -> dict[str, str]:
    """Post *order*, and give what became of each of its deliveries."""
    answer = await http.post(f"{process.listen}/shop/orders", json=order)
    assert answer.status_code == 202
    async with asyncio.timeout(SOON):
        while True:
            found = (await http.get(f"{process.listen}{answer.headers['location']}")).json()
            if found["settled"]:
                return {one["target"]: one["state"] for one in found["deliveries"]}
            await asyncio.sleep(0.05)


async def test_changes_of_one_order_arrive_in_order_though_the_first_has_to_be_tried_again(
    tmp_path: pathlib.Path,
) -> None:
    came: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    refusals = iter(range(3))

    async def take(request: web.Request) -> web.Response:
        what = request.headers["ce-subject"], request.headers["ce-id"]
        came.put_nowait(what)
        return web.Response(status=503 if what == sent[0] and next(refusals, None) is not None else 204)

    served = await Served(take, "POST", "/events").open()
    process = Process(tmp_path, moved(tmp_path, "07-ordered", "127.0.0.1:9101", served.port))
    sent = [("order-7", "1"), ("order-7", "2"), ("order-7", "3"), ("order-8", "1"), ("order-8", "2")]
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False) as http:
            for subject, ident in sent:
                head = {"ce-specversion": "1.0", "ce-source": "/shop", "ce-type": "order.changed"}
                head |= {"ce-subject": subject, "ce-id": ident}
                answer = await http.post(f"{process.listen}/shop/order-changed", json={}, headers=head)
                assert answer.status_code == 202
        arrived: list[tuple[str, str]] = []
        async with asyncio.timeout(SOON):
            while ("order-7", "3") not in arrived:
                arrived.append(await came.get())
    finally:
        process.stop()
        await served.close()

    of_seven = [ident for subject, ident in arrived if subject == "order-7"]
    assert list(dict.fromkeys(of_seven)) == ["1", "2", "3"]
    assert of_seven.count("1") > 1
    assert [ident for subject, ident in arrived if subject == "order-8"] == ["1", "2"]


def moved(folder: pathlib.Path, example: str, address: str, port: int) -> pathlib.Path:
    """Copy an example, with its targets (a pattern of addresses) elsewhere on this machine."""
    copy = folder / example
    copy.mkdir()
    for file in (EXAMPLES / example).iterdir():
        (copy / file.name).write_text(re.sub(address, f"127.0.0.1:{port}", file.read_text()))
    return copy
