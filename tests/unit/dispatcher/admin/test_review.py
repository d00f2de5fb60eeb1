"""TokenReview against a server that answers on cue: whose tokens count, what is remembered, what a failure means."""

import contextlib
import typing

import orjson
import pytest
from aiohttp import web

from fanout_crds.apiserver import ApiServer
from fanout_dispatcher.admin.review import KEEP, KEPT, TokenReviewer
from tests.unit.dispatcher.admin.fakes import log, serving

Json = dict[str, typing.Any]


OPERATOR = "system:serviceaccount:fanout:fanout-operator"


class Reviews:
    """An API server that knows some tokens, by audience, and counts how often it is asked."""

    def __init__(self, **known: list[str]) -> None:
        self.known = known
        self.username: str | None = OPERATOR
        self.asked: list[Json] = []
        self.status = 201
        self.now = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        asked: Json = orjson.loads(await request.read())
        self.asked.append(asked)
        audiences = self.known.get(asked["spec"]["token"])
        known: Json = {"authenticated": True, "audiences": audiences, "user": {"username": self.username}}
        status: Json = known if audiences else {"error": "unknown"}
        return web.json_response({"status": status}, status=self.status)

    @contextlib.asynccontextmanager
    async def reviewer(self) -> typing.AsyncIterator[TokenReviewer]:
        app = web.Application()
        app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", self.answer)
        async with serving(app) as base:
            cluster = ApiServer(server=base, tls=None, namespace="fanout", token="our-own")
            yield TokenReviewer(cluster, log(), readers=[OPERATOR], now=lambda: self.now)


async def test_a_token_for_our_audience_may_read_and_one_for_another_may_not() -> None:
    reviews = Reviews(ours=["fanout-report"], theirs=["https://kubernetes.default.svc"])
    async with reviews.reviewer() as allowed:
        answers = [await allowed(token) for token in ("ours", "theirs", "forged")]

    assert answers == [True, False, False]
    assert reviews.asked[0]["spec"] == {"token": "ours", "audiences": ["fanout-report"]}


@pytest.mark.parametrize(
    "username",
    [
        "system:serviceaccount:shop:fanout-operator",
        "system:serviceaccount:fanout:fanout-dispatcher",
        "system:serviceaccount:fanout:fanout-operator-2",
        "fanout-operator",
        "",
        None,
    ],
)
async def test_who_is_not_a_reader_may_not_read_though_his_token_is_for_our_audience(username: str | None) -> None:
    reviews = Reviews(ours=["fanout-report"])
    reviews.username = username
    async with reviews.reviewer() as allowed:
        answer = await allowed("ours")

    assert answer is False


async def test_no_token_and_one_of_absurd_length_are_not_even_asked_about() -> None:
    reviews = Reviews()
    async with reviews.reviewer() as allowed:
        answers = [await allowed(token) for token in ("", "x" * 20_000)]

    assert answers == [False, False]
    assert reviews.asked == []


async def test_an_answer_is_remembered_for_a_minute_and_then_asked_for_again() -> None:
    reviews = Reviews(ours=["fanout-report"])
    async with reviews.reviewer() as allowed:
        await allowed("ours")
        reviews.now = KEEP - 1
        await allowed("ours")
        asked_within = len(reviews.asked)
        reviews.now, reviews.known = KEEP + 1, {}
        after = await allowed("ours")

    assert asked_within == 1
    assert after is False


async def test_a_server_that_fails_lets_nobody_in_and_is_asked_again() -> None:
    reviews = Reviews(ours=["fanout-report"])
    async with reviews.reviewer() as allowed:
        reviews.status = 500
        during = await allowed("ours")
        reviews.status = 201
        after = await allowed("ours")

    assert (during, after) == (False, True)


async def test_many_wrong_tokens_do_not_fill_the_memory() -> None:
    reviews = Reviews()
    async with reviews.reviewer() as allowed:
        for number in range(KEPT + 10):
            await allowed(f"wrong-{number}")

    assert len(allowed._answers) == KEPT
