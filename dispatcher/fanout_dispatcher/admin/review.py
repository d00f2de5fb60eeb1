"""Who may read the report stream in a cluster: whoever shows a token that the API server knows for our audience.

The token is bound to `fanout-report`, so that one which leaks is of no use elsewhere, and one made for elsewhere is of
no use here. Answers are kept for a minute by the token's digest; when the API server is away nobody new is let in, and
those who were keep reading.
"""

import asyncio
import collections
import hashlib
import typing

import aiohttp
import orjson
from structlog.typing import FilteringBoundLogger

from fanout_crds.report import AUDIENCE
from fanout_dispatcher.cluster import Cluster

KEEP: typing.Final = 60.0  # seconds
KEPT: typing.Final = 256  # answers
LONGEST: typing.Final = 16 << 10  # characters of a token that are worth asking about
PATIENCE: typing.Final = 5.0  # seconds for one review


class TokenReviewer:
    """Asks the API server about tokens. *now* is a monotonic clock in seconds."""

    def __init__(
        self, cluster: Cluster, log: FilteringBoundLogger, *, now: typing.Callable[[], float], audience: str = AUDIENCE
    ) -> None:
        self._cluster = cluster
        self._log = log
        self._now = now
        self._audience = audience
        self._answers: collections.OrderedDict[bytes, tuple[float, bool]] = collections.OrderedDict()
        self._one_at_a_time = asyncio.Lock()  # a flood of wrong tokens must not become a flood of reviews

    async def __call__(self, token: str) -> bool:
        """Say whether *token* is one for our audience."""
        if not token or len(token) > LONGEST:
            return False
        digest = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        async with self._one_at_a_time:
            until, answer = self._answers.get(digest, (0.0, False))
            if self._now() < until:
                return answer
            try:
                answer = await self._review(token)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                self._log.warning("report.unchecked", why=type(error).__name__)
                return False  # not kept: the next one asks again
            self._keep(digest, answer)
            return answer

    def _keep(self, digest: bytes, answer: bool) -> None:
        self._answers[digest] = (self._now() + KEEP, answer)
        while len(self._answers) > KEPT:
            self._answers.popitem(last=False)

    async def _review(self, token: str) -> bool:
        asked = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        async with (
            asyncio.timeout(PATIENCE),
            self._cluster.session() as session,
            session.post(
                "/apis/authentication.k8s.io/v1/tokenreviews",
                data=orjson.dumps(asked),
                headers={"Content-Type": "application/json", **await self._cluster.headers()},
                allow_redirects=False,
            ) as response,
        ):
            response.raise_for_status()
            status = orjson.loads(await response.read()).get("status", {})
        return status.get("authenticated") is True and self._audience in (status.get("audiences") or [])
