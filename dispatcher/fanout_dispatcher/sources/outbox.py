"""Fetches the rows of one outbox, each exactly once into the journal. One round after the other, and each round does
the same, whatever came before it:

1. reserve rows in the table for this journal and route (a transaction of the database);
2. read what is reserved, also what an earlier round, connection or process has left behind;
3. take what the journal does not remember, each row's id in the same commit as its event;
4. check off in the table what is on disk (a transaction of the database), then let the journal forget it.

A crash before 3 is committed leaves rows that are reserved and not remembered: they are taken by the next round. One
after it leaves rows that are both: they are only checked off. An answer of the database that is lost changes nothing,
since no step is believed: the next round reads the table. Nobody else takes a row that is reserved.

At most one batch is in hand. Where the journal or a target's queue is full the batch stays reserved from the first row
that has no room on, and the round is made again later: so what waits, waits in the table, and in order.
"""

import asyncio
import functools
import random
import typing

import msgspec

from fanout_dispatcher.engine.engine import Engine
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.sources import events
from fanout_dispatcher.sources.connect import Dialer
from fanout_dispatcher.sources.events import Unfit
from fanout_dispatcher.sources.table import Row, Table
from fanout_dispatcher.sources.trouble import Cause, Trouble
from fanout_dispatcher.values.answers import Accepted, Answered, Turned

FIRST_PAUSE: typing.Final = 0.5  # seconds at most before the next try to connect, doubling …
LONGEST_PAUSE: typing.Final = 30.0  # … up to this
SHOWN: typing.Final = 200  # characters of why a row is refused that go into the table


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a round came to."""

    fetched: int = 0
    refused: int = 0
    turned: Turned | None = None  # why some rows have to wait
    emptied: bool = True  # nothing was left to reserve


class Notices(typing.Protocol):
    """Whoever is told how it goes."""

    def progressed(self, progress: Progress) -> None:
        """A round is over."""

    def troubled(self, cause: Cause) -> None:
        """Nothing can be fetched for now."""


class Outbox:
    """Fetches for *route* until told to end; *name* is whom rows are reserved for."""

    def __init__(
        self, dialer: Dialer, *, engine: Engine, route: str, name: str, notices: Notices, rng: random.Random
    ) -> None:
        self._dialer = dialer
        self._engine = engine
        self._route = route
        self._name = name
        self._notices = notices
        self._rng = rng
        self._wake = asyncio.Event()
        self._ending = False
        self._pause = FIRST_PAUSE

    def __repr__(self) -> str:
        return f"Outbox({self._route}, {self._dialer.outbox.table}{', ending' * self._ending})"

    def end(self) -> None:
        """Finish the round that is under way, if there is one, and leave what it could not take to others."""
        self._ending = True
        self._wake.set()

    async def run(self) -> None:
        """Fetch until told to end; connect again as often as need be."""
        while not self._ending:
            try:
                async with self._dialer.connected() as connection:
                    table = await Table.open(connection, self._dialer.outbox, self._name)
                    await table.listen(self._wake.set)
                    await self._follow(table)
            except Trouble as trouble:
                self._notices.troubled(trouble.cause)
                await self._rest(self._rng.uniform(0.0, self._pause))
                self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _follow(self, table: Table) -> None:
        while not self._ending:
            self._wake.clear()
            progress = await self._round(table)
            self._pause = FIRST_PAUSE
            self._notices.progressed(progress)
            if progress.turned is not None:
                self._wake.clear()  # a notification does not make room
                await self._rest(progress.turned.retry_after or self._dialer.outbox.poll_interval)
            elif progress.emptied:
                await self._rest(self._dialer.outbox.poll_interval)
        await self._leave(table)

    async def _leave(self, table: Table) -> None:
        """What is on disk is checked off, the rest is left to whoever comes."""
        on_disk = list(self._engine.remembered(self._route))
        await table.check_off(on_disk)
        await table.release(on_disk)
        self._engine.forget(self._route, on_disk)

    async def _round(self, table: Table) -> Progress:
        route = self._engine.table.by_key.get(self._route)
        if route is None:
            self._ending = True
            return Progress()
        added = await table.reserve()
        reserved = await table.reserved(route.plan.max_body_size)
        remembered = self._engine.remembered(self._route)
        there = {row.id for row in reserved.rows}
        if len(reserved.rows) == reserved.total:  # what is not among them was checked off, and that was not heard
            self._engine.forget(self._route, remembered - there)
        new = [] if self._ending else [row for row in reserved.rows if row.id not in remembered]
        answers, unfit = await self._take(route, new)
        remembered = self._engine.remembered(self._route)  # those that were just taken are among them
        on_disk = [ident for ident in there if ident in remembered]
        await table.check_off(on_disk)
        self._engine.forget(self._route, on_disk)
        for ident, why in unfit.items():
            await table.refuse(ident, why)
        return Progress(
            fetched=sum(isinstance(answer, Accepted) for answer in answers.values()),
            refused=len(unfit),
            turned=next((answer for answer in answers.values() if isinstance(answer, Turned)), None),
            emptied=not added and len(reserved.rows) == reserved.total,
        )

    async def _take(self, route: Route, rows: list[Row]) -> tuple[dict[str, Answered], dict[str, str]]:
        """Hand *rows* to the engine, in order; what it said, and why some are no events, by id.

        So that no row is taken before one it comes after, this stops at the first that is turned away, which is said at
        once: a later one may be smaller and have room. What is handed over before it is so in one turn of the loop, and
        hence in one commit, which takes all of it or nothing.
        """
        answers: dict[str, Answered] = {}
        unfit: dict[str, str] = {}
        fit = []
        for row in rows:
            try:
                fit.append((row.id, *events.read(row, route)))
            except Unfit as why:
                unfit[row.id] = str(why)[:SHOWN]
        told = asyncio.Event()

        def answered(ident: str, answer: Answered) -> None:
            answers[ident] = answer
            told.set()

        handed = 0
        for ident, head, body in fit:  # without a wait: see above
            self._engine.fetch(route, ident, head, body, functools.partial(answered, ident))
            handed += 1
            if ident in answers and isinstance(answers[ident], Turned):
                break
        while len(answers) < handed:
            told.clear()
            await told.wait()
        return answers, unfit

    async def _rest(self, seconds: float) -> None:
        """Wait, unless there is something to do."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass  # nobody notified us: look again
