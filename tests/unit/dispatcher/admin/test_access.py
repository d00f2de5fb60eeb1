"""Who may use the admin port: bearer tokens, and on loopback the guards against pages in a browser."""

import io

import pytest

from fanout_dispatcher.admin.app import application
from fanout_dispatcher.telemetry.logs import logger
from tests.unit.dispatcher.admin.fakes import FakeDesk, asking, log, route_view

TOKEN = "correct horse battery"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer ümlaut"},
    ],
)
async def test_without_its_token_every_answer_is_401_and_says_how_to_authenticate(headers: dict[str, str]) -> None:
    async with asking(application(FakeDesk(), log(), token=TOKEN, loopback=False)) as client:
        answer = await client.get("/v1/routes", headers=headers)

        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("path", ["/v1/routes", "/v1/events", "/v1/dead-letters", "/metrics", "/nothing"])
async def test_the_token_guards_every_path_but_the_probes(path: str) -> None:
    async with asking(application(FakeDesk(), log(), token=TOKEN, loopback=False)) as client:
        statuses = [(await client.get(one)).status for one in (path, "/livez", "/readyz")]

        assert statuses == [401, 200, 200]


async def test_with_its_token_the_port_answers_from_anywhere() -> None:
    async with asking(application(FakeDesk(), log(), token=TOKEN, loopback=False)) as client:
        answer = await client.get("/v1/routes", headers={"Authorization": f"bearer {TOKEN}", "Host": "fanout.example"})

        assert answer.status == 200


def test_a_port_that_can_be_reached_from_outside_is_not_made_without_a_token() -> None:
    with pytest.raises(ValueError, match="needs a token"):
        application(FakeDesk(), log(), token=None, loopback=False)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.7", "[2001:db8::1]", "a b"]
)
async def test_on_loopback_a_name_that_is_not_loopback_is_refused_for_it_may_be_rebound(host: str) -> None:
    async with asking(application(FakeDesk(), log(), token=None, loopback=True)) as client:
        answer = await client.get("/v1/routes", headers={"Host": host})

        assert answer.status in (400, 421)


@pytest.mark.parametrize("host", ["localhost:8081", "127.0.0.1", "127.8.8.8:1", "[::1]:8081", "LOCALHOST"])
async def test_on_loopback_every_name_of_this_machine_will_do(host: str) -> None:
    async with asking(application(FakeDesk(), log(), token=None, loopback=True)) as client:
        assert (await client.get("/v1/routes", headers={"Host": host})).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "file://"])
async def test_a_page_of_another_site_cannot_post(origin: str) -> None:
    async with asking(application(FakeDesk(), log(), token=None, loopback=True)) as client:
        answer = await client.post("/v1/dead-letters/remove", json={"all": True}, headers={"Origin": origin})

        assert answer.status == 403


async def test_our_own_page_can() -> None:
    async with asking(application(FakeDesk(), log(), token=None, loopback=True)) as client:
        own = str(client._base_url).rstrip("/")

        answer = await client.post("/v1/dead-letters/remove", json={"all": True}, headers={"Origin": own})

        assert answer.status == 200


async def test_answers_are_neither_kept_nor_guessed_at() -> None:
    async with asking(application(FakeDesk(), log(), token=None, loopback=True)) as client:
        for path in ("/v1/routes", "/v1/nothing", "/livez"):
            headers = (await client.get(path)).headers

            assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


async def test_a_fault_of_ours_is_logged_with_its_trace_and_answered_without() -> None:
    desk, said = FakeDesk(), io.StringIO()
    desk.change(route_view())
    desk.fault = RuntimeError("bearer s3cret")
    async with asking(application(desk, logger(said, form="json"), token=None, loopback=True)) as client:
        answer = await client.get("/v1/routes/shop/order")

        assert answer.status == 500
        assert "s3cret" not in await answer.text()
        assert "admin.failed" in said.getvalue()
        assert "RuntimeError" in said.getvalue()
