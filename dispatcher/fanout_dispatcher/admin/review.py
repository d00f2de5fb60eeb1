"""Who may read the report stream in a cluster: the operator's account, by a token that the API server knows.

The token is bound to the audience `fanout-report`, so that one which leaks is of no use elsewhere, and one made for
elsewhere is of no use here. That alone would let in everybody, since any pod may have a token of its own for any
audience: so the account must be one of the readers, by name. Answers are kept for a minute by the token's digest; when
the API server is away nobody new is let in, and those who were keep reading.
"""

import asyncio
import collections
import hashlib
import typing

import aiohttp
import orjson
from structlog.typing import FilteringBoundLogger

from fanout_crds.apiserver import ApiServer
from fanout_crds.report import AUDIENCE
from fanout_dispatcher.cluster import session

KEEP: typing.Final = 60.0  # seconds
KEPT: typing.Final = 256  # answers
LONGEST: typing.Final = 16 << 10  # characters of a token that are worth asking about
PATIENCE: typing.Final = 5.0  # seconds for one review


class TokenReviewer:
    """Asks the API server about tokens. *readers* are user names, *now* is a monotonic clock in seconds."""

    def __init__(
        self,
        cluster: ApiServer,
        log: FilteringBoundLogger,
        *,
        readers: typing.Collection[str],
        now: typing.Callable[[], float],
        audience: str = AUDIENCE,
    ) -> None:
        self._cluster = cluster
        self._log = log
        self._readers = frozenset(readers)
        self._now = now
        self._audience = audience
        self._answers: collections.OrderedDict[bytes, tuple[float, bool]] = collections.OrderedDict()
        self._one_at_a_time = asyncio.Lock()  # a flood of wrong tokens must not become a flood of reviews

    async def __call__(self, token: str) -> bool:
        """Say whether *token* is a reader's, for our audience."""
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
            session(self._cluster) as api,
            api.post(
                f"{self._cluster.server}/apis/authentication.k8s.io/v1/tokenreviews",
                data=orjson.dumps(asked),
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as response,
        ):
            response.raise_for_status()
            status = orjson.loads(await response.read()).get("status", {})
        if status.get("authenticated") is not True or self._audience not in (status.get("audiences") or []):
            return False
        user = (status.get("user") or {}).get("username", "")
        if user not in self._readers:
            self._log.warning("report.stranger", user=user)
            return False
        return True


def user_of(account: str, home: str) -> str:
    """Name a ServiceAccount, given as ``name`` in *home* or as ``namespace/name``, as the API server does."""
    namespace, _, name = account.rpartition("/")
    return f"system:serviceaccount:{namespace or home}:{name}"
