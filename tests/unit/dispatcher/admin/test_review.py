"""TokenReview against a server that answers on cue: whose tokens count, what is remembered, what a failure means."""

import asyncio
import contextlib
import typing

import orjson
import pytest
from aiohttp import web

from fanout_crds.apiserver import ApiServer
from fanout_dispatcher.admin.review import KEEP, KEEP_NO, KEPT, REVIEWS, WAITING, TokenReviewer, Unchecked
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
        self.open = asyncio.Event()  # while it is not, no review is answered
        self.open.set()
        self._came = asyncio.Condition()

    async def answer(self, request: web.Request) -> web.Response:
        asked: Json = orjson.loads(await request.read())
        async with self._came:
            self.asked.append(asked)
            self._came.notify_all()
        await self.open.wait()
        audiences = self.known.get(asked["spec"]["token"])
        known: Json = {"authenticated": True, "audiences": audiences, "user": {"username": self.username}}
        status: Json = known if audiences else {"error": "unknown"}
        return web.json_response({"status": status}, status=self.status)

    async def came(self, count: int) -> None:
        """Wait until it was asked so often."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.asked) >= count)

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


async def test_a_no_is_remembered_for_some_seconds() -> None:
    reviews = Reviews()
    async with reviews.reviewer() as allowed:
        await allowed("early")
        reviews.known, reviews.now = {"early": ["fanout-report"]}, KEEP_NO - 1
        within = await allowed("early")
        reviews.now = KEEP_NO + 1
        after = await allowed("early")

    assert (within, after, len(reviews.asked)) == (False, True, 2)


async def test_a_server_that_fails_lets_nobody_in_says_so_and_is_asked_again() -> None:
    reviews = Reviews(ours=["fanout-report"])
    async with reviews.reviewer() as allowed:
        reviews.status = 500
        with pytest.raises(Unchecked, match="the API server does not say"):
            await allowed("ours")
        reviews.status = 201

        assert await allowed("ours")


async def test_many_wrong_tokens_fill_no_memory_and_push_out_no_reader() -> None:
    reviews = Reviews(ours=["fanout-report"])
    async with reviews.reviewer() as allowed:
        await allowed("ours")
        for number in range(KEPT + 10):
            await allowed(f"wrong-{number}")
        asked = len(reviews.asked)
        still = await allowed("ours")

    assert (still, len(reviews.asked)) == (True, asked)
    assert (len(allowed._refused), len(allowed._let_in)) == (KEPT, 1)


async def test_a_flood_of_wrong_tokens_is_a_few_reviews_at_a_time_and_the_rest_is_told_to_come_again() -> None:
    reviews = Reviews(ours=["fanout-report"])
    async with reviews.reviewer() as allowed:
        await allowed("ours")
        reviews.now = KEEP + 1  # so that it is asked about again
        reviews.open.clear()
        flood = [asyncio.ensure_future(allowed(f"wrong-{number}")) for number in range(WAITING + 5)]
        ours = asyncio.ensure_future(allowed("ours"))
        await reviews.came(1 + REVIEWS + 1)
        under_way = [asked["spec"]["token"] for asked in reviews.asked[1:]]
        reviews.open.set()
        answers = await asyncio.gather(*flood, return_exceptions=True)

        assert await ours

    assert sorted(under_way) == ["ours", *(f"wrong-{number}" for number in range(REVIEWS))]
    assert answers[:WAITING] == [False] * WAITING
    assert [type(one) for one in answers[WAITING:]] == [Unchecked] * 5


async def test_the_same_wrong_token_many_times_is_reviewed_a_few_times() -> None:
    reviews = Reviews()
    async with reviews.reviewer() as allowed:
        answers = await asyncio.gather(*(allowed("forged") for _ in range(WAITING)))

    assert answers == [False] * WAITING
    assert len(reviews.asked) <= REVIEWS
