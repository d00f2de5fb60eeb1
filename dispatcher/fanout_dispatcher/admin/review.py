"""Who may read the report stream in a cluster: the operator's account, by a token that the API server knows.

The token is bound to the audience `fanout-report`, so that one which leaks is of no use elsewhere, and one made for
elsewhere is of no use here. That alone would let in everybody, since any pod may have a token of its own for any
audience: so the account must be one of the readers, by name. A yes is kept for a minute by the token's digest, a no for
some seconds; when the API server is away nobody new is let in, and those who were keep reading.

Whoever reaches the port can show tokens that nobody made. A few are reviewed at a time and a few more wait; what comes
beyond these is told to come again, which is no answer about its token. A reader that was let in before, with the same
token, waits behind nobody.
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

KEEP: typing.Final = 60.0  # seconds that a yes is kept
KEEP_NO: typing.Final = 10.0  # seconds
KEPT: typing.Final = 256  # refusals, and so many tokens that were let in
REVIEWS: typing.Final = 4  # at a time, of tokens that were never let in
WAITING: typing.Final = 16  # with those under way
LONGEST: typing.Final = 16 << 10  # characters of a token that are worth asking about
PATIENCE: typing.Final = 5.0  # seconds for one review

Answers = collections.OrderedDict[bytes, float]  # by a token's digest: until when the answer is kept


class Unchecked(Exception):
    """Nobody can say now whether a token is a reader's; a sentence."""


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
        self._let_in: Answers = collections.OrderedDict()
        self._refused: Answers = collections.OrderedDict()
        self._slots = asyncio.Semaphore(REVIEWS)
        self._waiting = 0

    async def __call__(self, token: str) -> bool:
        """Say whether *token* is a reader's, for our audience. Raises Unchecked."""
        if not token or len(token) > LONGEST:
            return False
        digest = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        known = self._known(digest)
        if known is not None:
            return known
        if digest in self._let_in:
            return await self._ask(digest, token)
        if self._waiting >= WAITING:
            raise Unchecked("too many tokens are being checked")
        self._waiting += 1
        try:
            async with self._slots:
                known = self._known(digest)  # the same token may have been before us
                return await self._ask(digest, token) if known is None else known
        finally:
            self._waiting -= 1

    def _known(self, digest: bytes) -> bool | None:
        now = self._now()
        if now < self._let_in.get(digest, now):
            return True
        return False if now < self._refused.get(digest, now) else None

    async def _ask(self, digest: bytes, token: str) -> bool:
        try:
            answer = await self._review(token)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._log.warning("report.unchecked", why=type(error).__name__)
            raise Unchecked("the API server does not say whose token it is") from error  # the next one asks again
        here, there = (self._let_in, self._refused) if answer else (self._refused, self._let_in)
        there.pop(digest, None)
        here[digest] = self._now() + (KEEP if answer else KEEP_NO)
        here.move_to_end(digest)
        while len(here) > KEPT:
            here.popitem(last=False)
        return answer

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
