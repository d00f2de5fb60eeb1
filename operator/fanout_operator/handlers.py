"""kopf, and the only module that knows it: watches FanoutRoutes and hands every event on.

It runs embedded, `standalone`, with `on.event` handlers only: such handlers need no finalizer and leave no annotation
on an object, and a definition may be deleted under them without a deadlock. Nothing is decided here and no Event
posted. What kopf asks of the API goes through a session of ours, so that a rotated token is read again and liveness
can see that the watch is alive: it is renewed every minute.

Kopf only watches. Before it does, it lists all routes and takes each through its machinery: 5,000 of them held up what
people changed meanwhile by 11 s, and took 100 MB. So its lists are made to find nothing, and for each of them we take
one of our own, afterwards: whatever it does not tell, its watch does, which goes on from where its own list was.

Much of what an API server may do in a bad hour ends kopf: an error or half a line in a watch, a 500 that lasts. Then it
is begun anew, in this process. Only missing rights end the operator. And when their definition is deleted and made
again, kopf may go on without a watch of routes: it asks what there is at each event about a definition, and the last of
them may come before the API server serves the new one. Without a watch for a while, it is begun anew too.
"""

import asyncio
import logging
import random
import typing
from collections.abc import Awaitable, Callable, Collection

import aiohttp
import kopf
import structlog

from fanout_crds.schema import NAME as DEFINITION_NAME
from fanout_operator.access import Access
from fanout_operator.backoff import Backoff
from fanout_operator.kube import DEFINITIONS, ROUTES, Document

NAME: typing.Final = "fanout-operator"  # what kopf would tell its peers; we have none
RENEW: typing.Final = 60  # whole seconds after which the server ends a watch, and kopf asks for the next
SILENCE: typing.Final = 70.0  # seconds; a watch that is neither ended nor heard of is dead
ANSWER: typing.Final = 20.0  # seconds for any other request
NOTHING: typing.Final = "metadata.name=-"  # a field selector that no object meets: a dash alone is no name
BLIND: typing.Final = 5.0  # seconds without a watch of routes, longer than kopf waits before it asks again
LOOKS: typing.Final = 10  # in that time
AGAIN: typing.Final = Backoff(base=0.5, cap=10.0)
SETTLED: typing.Final = 60.0  # seconds after which a life of kopf was a good one

log = structlog.get_logger()


class Inbox(typing.Protocol):
    """Who wants to know."""

    def route(self, document: Document) -> None:
        """A route is there, and this is how it looks."""
        ...

    def gone(self, document: Document) -> None:
        """A route was deleted, and this is how it looked."""
        ...


class Blind(Exception):
    """Kopf runs and watches no route."""


class Pulse:
    """When kopf last asked for a watch, and whether it has one: an aiohttp middleware.

    Its lists find nothing, and are told. Kopf lists before its first watch, and when its watch was too old.
    """

    def __init__(self) -> None:
        self.listed = asyncio.Event()
        self._asked: float | None = None
        self._asking = 0
        self._streams: list[aiohttp.ClientResponse] = []

    def __repr__(self) -> str:
        return f"<Pulse {self._asked}>"

    def age(self, now: float) -> float:
        """Seconds since the last watch was asked for; 0 before the first."""
        return now - self._asked if self._asked is not None else 0.0

    def watches(self) -> bool:
        """Whether a watch of routes is open, or something about routes is being asked for."""
        self._streams = [one for one in self._streams if not one.closed]
        return bool(self._asking or self._streams)

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if not request.url.path.endswith(f"/{ROUTES.plural}"):
            return await handler(request)
        self._asked = asyncio.get_running_loop().time()
        watch = "watch" in request.url.query
        if not watch:
            request.url = request.url.update_query(fieldSelector=NOTHING)
        self._asking += 1
        try:
            answer = await handler(request)
        finally:
            self._asking -= 1
        if watch:
            self._streams.append(answer)
        else:
            self.listed.set()
        return answer


async def watch(
    inbox: Inbox,
    access: Access,
    pulse: Pulse,
    *,
    namespaces: Collection[str],
    relist: Callable[[], Awaitable[None]],
    started: Callable[[], None],
    rng: random.Random,
) -> None:
    """Watch until cancelled; raises what nobody here can mend, such as missing rights.

    Kopf also gives up when the definition of routes is deleted between two of its requests (404). We wait until routes
    can be listed, and begin anew. `relist` lists all routes, however long it takes; it is told of again and again.
    """
    _quiet()
    loop, failures = asyncio.get_running_loop(), 0
    while True:
        await relist()
        began = loop.time()
        lister = asyncio.create_task(_list_with(pulse, relist))
        try:
            fault = await _once(inbox, access, pulse, namespaces, started)
        finally:
            lister.cancel()
        if fault is None or _final(fault):
            raise fault or RuntimeError("kopf ended by itself")
        failures = 1 if loop.time() - began > SETTLED else failures + 1
        log.warning("watch.lost", kind=ROUTES.plural, fault=f"{type(fault).__name__}: {fault}")
        await asyncio.sleep(AGAIN.wait(failures, rng))


async def _list_with(pulse: Pulse, relist: Callable[[], Awaitable[None]]) -> None:
    """List all routes whenever kopf has; until cancelled."""
    while True:
        await pulse.listed.wait()
        pulse.listed.clear()
        await relist()


def _final(fault: BaseException) -> bool:
    """Whether asking again is of no use: we may not (kopf has asked for half a minute), or are not known."""
    return isinstance(fault, kopf.LoginError) or getattr(fault, "status", None) in {401, 403}


async def _once(
    inbox: Inbox, access: Access, pulse: Pulse, namespaces: Collection[str], started: Callable[[], None]
) -> BaseException | None:
    """One life of kopf, until the first of its tasks ends; answers why.

    Not kopf.run_tasks: in the end that cancels every task of the loop that is younger than kopf, ours too.
    """
    tasks = await kopf.spawn_tasks(
        registry=_registry(inbox, access, pulse),
        settings=_settings(namespaced=bool(namespaces)),
        # Else kopf asks for the user's name, and the numeric user of an image has none.
        identity=NAME,  # type: ignore[arg-type]    # its type is a str that kopf does not export
        standalone=True,
        clusterwide=not namespaces,
        namespaces=list(namespaces),
    )
    started()  # kopf has taken the signals; whoever wants them back takes them here
    tasks = [*tasks, asyncio.create_task(_until_blind(pulse), name="watch of routes")]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return next((task.exception() for task in done if not task.cancelled() and task.exception()), None)


async def _until_blind(pulse: Pulse) -> typing.NoReturn:
    """Raise `Blind` once kopf has been without a watch of routes for `BLIND` seconds."""
    looks = 0
    while looks < LOOKS:
        await asyncio.sleep(BLIND / LOOKS)
        looks = 0 if pulse.watches() else looks + 1
    raise Blind(f"no watch of routes for {BLIND:.0f} s")


def _registry(inbox: Inbox, access: Access, pulse: Pulse) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    async def login(**_: object) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=access.server, aiohttp_session=access.session(pulse))

    async def event(event: kopf.RawEvent, **_: object) -> None:
        document = typing.cast(Document, event["object"])
        if event["type"] == "DELETED":
            inbox.gone(document)
        else:
            inbox.route(document)

    kopf.on.login(registry=registry)(login)
    kopf.on.event(ROUTES.group, ROUTES.version, ROUTES.plural, registry=registry)(event)
    return registry


class _Forgetful(kopf.DiffBaseStorage):
    """Kopf compares each event with what it handled last, for handlers of a kind that we have none of.

    It copies the whole object for that: a quarter of what 5,000 routes cost us.
    """

    def build(self, **_: object) -> kopf.BodyEssence:
        return typing.cast(kopf.BodyEssence, {})

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        pass


def _settings(*, namespaced: bool) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _Forgetful()
    settings.scanning.disabled = namespaced  # with Roles only it may not look at the cluster, and would see nothing
    settings.watching.server_timeout = RENEW
    settings.watching.inactivity_timeout = SILENCE
    settings.networking.request_timeout = ANSWER
    settings.watching.field_selectors[DEFINITIONS.group, DEFINITIONS.plural] = f"metadata.name={DEFINITION_NAME}"
    settings.networking.error_backoffs = [0.2, 0.5, 1, 2, *[3] * 9]  # half a minute, and never long asleep
    settings.queueing.exit_timeout = 0.2
    settings.process.ultimate_exiting_timeout = None
    return settings


def _quiet() -> None:
    """Make kopf say less: it tells every event it hands on; what matters of it are its warnings."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
