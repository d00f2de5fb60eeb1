"""Accepts an event once for each idempotency key (draft-ietf-httpapi-idempotency-key-header).

The key is written in the same transaction as its event. So a crash leaves nothing to be cleaned up: either both are in
the journal, and the next request with the key gets the first answer, or neither is.

Between the first request with a key and its answer there is a *ticket* in memory, made before the key is looked up in
the journal. A request with the same key joins the ticket and gets the same answer, so at most one event per key is on
its way. When the commit fails all of them are refused, and the next request begins anew.

On a route whose callers wait for targets the key stays in use until the caller is answered, and that answer is kept
with it (`awaited`).

Keys are bounded by age and by number for each route (its *door*), answers by their bytes; the oldest go first. They
are deleted a few rows at a time, between two commits.
"""

import functools
import math
import typing

import msgspec

from fanout_crds import plan
from fanout_crds.accept import LONGEST_TTL
from fanout_dispatcher.engine.acceptance import Acceptance, count, journal_trouble
from fanout_dispatcher.engine.awaited import Awaited
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.journal.protocol import KeyRow
from fanout_dispatcher.values.answers import Accepted, Answered, Client, Repeated, Reply, Turned
from fanout_dispatcher.values.each import safely
from fanout_dispatcher.values.keyed import Keyed

STEP: typing.Final = 500  # keys forgotten at a time: some 2 ms on the journal's thread
PAUSE: typing.Final = 0.05  # seconds between two such deletions
REUSED: typing.Final = Turned(
    status=422,
    reason="IdempotencyKeyReused",
    detail="a different request (method, path or body, byte for byte) came with this Idempotency-Key before",
)
IN_USE: typing.Final = Turned(
    status=409,
    reason="IdempotencyKeyInUse",
    detail="the first request with this Idempotency-Key waits for its answer still: ask again later",
    retry_after=1,
)
ANSWERS_SHARE: typing.Final = 8  # kept answers may have an eighth of the journal's bytes, together …
ANSWERS_MOST: typing.Final = 64 << 20  # … and no more than these: to find the oldest, their sizes are added up
ANSWERS_STEP: typing.Final = 50  # answers forgotten at a time: 3 MiB at most


class Ticket(msgspec.Struct, eq=False):
    """A key that is being looked up, or whose event is being committed, and the requests that wait for that."""

    route: Route
    keyed: Keyed
    replies: list[Reply]
    awaited: Awaited | None = None  # the first request, where its caller waits for targets
    renews: bool = False  # it replaces a key that is older than its ttl


class Once:
    """The keys of one book. *kept* is how many of each door its journal has."""

    def __init__(self, book: Book, acceptance: Acceptance, kept: typing.Mapping[int, int]) -> None:
        self.book = book
        self.acceptance = acceptance
        self.kept = dict(kept)
        self.rules: dict[int, plan.Idempotency] = {}  # by door, of those in ``kept`` whose keys came since the start
        self.tickets: dict[bytes, Ticket] = {}
        self.awaited: dict[bytes, Awaited] = {}
        self.most = min(book.max_bytes // ANSWERS_SHARE, ANSWERS_MOST)
        self.grown = self.most if self.kept else 0  # bytes of answers kept since it was last seen how many there are
        self.wanted: list[Ticket] = []  # to be looked up together in the next turn of the loop
        self.forgetting: set[int] = set()

    def __repr__(self) -> str:
        return f"<Once kept={sum(self.kept.values())} tickets={len(self.tickets)} awaited={len(self.awaited)}>"

    def accept(self, route: Route, keyed: Keyed, reply: Reply) -> None:
        """Accept an event unless its key is known; *reply* is called once, with the first answer if it is."""
        ticket = self.tickets.get(keyed.key)
        if ticket is not None:
            if ticket.keyed.fingerprint != keyed.fingerprint:
                return reply(count(route.meter, REUSED))
            return ticket.replies.append(reply)
        barred = self.acceptance.barred(route.book)
        if barred is not None:
            return reply(count(route.meter, barred))
        self._want(Ticket(route, keyed, [reply]))
        return None

    def accept_waiting(self, route: Route, keyed: Keyed, client: Client) -> Awaited | None:
        """Accept an event whose caller waits for targets, unless its key is known; *client* is told once.

        None: the client has been told already, that its key is in use, that it is turned away, or the kept answer.
        """
        busy = self.awaited.get(keyed.key) or self.tickets.get(keyed.key)
        if busy is not None:
            client.tell(self._busy(busy, keyed))
            return None
        callers = self.acceptance.callers
        turned = self.acceptance.barred(route.book) or callers.turned(route.plan.key)
        if turned is not None:
            client.tell(count(route.meter, turned))
            return None
        assert route.waits is not None, f"nobody waits for the targets of {route.plan.key}"
        awaited = self.awaited[keyed.key] = Awaited(route, keyed, client, over=self._over, kept=self._grew)
        awaited.caller = callers.wait(route.waits, route.meter, awaited.told)
        self._want(Ticket(route, keyed, [awaited.caller.taken], awaited))
        return awaited

    def sweep(self) -> None:
        """Forget the oldest keys of routes that have more than maxKeys, and answers beyond their share."""
        for door, rule in self.rules.items():
            over = self.kept.get(door, 0) - rule.max_keys
            if over > 0:
                self._forget(door, math.inf, over)
        if self.grown > self.most // 16:
            self._forget_answers()

    def keep_house(self, now: float) -> None:
        """Forget the keys that are older than their route's ttl, at *now* in engine time.

        The ttl of a route is known here from its first request after a start; until then the longest one holds.
        """
        for door in self.kept:
            rule = self.rules.get(door)
            self._forget(door, now - (rule.ttl if rule is not None else LONGEST_TTL), None)

    # --- a ticket's way ----------------------------------------------------------------------------------------------

    def _want(self, ticket: Ticket) -> None:
        self.tickets[ticket.keyed.key] = ticket
        if not self.wanted:
            self.book.loop.call_soon(self._look)
        self.wanted.append(ticket)

    def _look(self) -> None:
        tickets, self.wanted = self.wanted, []
        keys = [ticket.keyed.key for ticket in tickets]
        self.book.disk.run(lambda journal: journal.keys(keys), functools.partial(self._found, tickets))

    def _found(self, tickets: list[Ticket], answer: list[KeyRow] | Exception) -> None:
        if isinstance(answer, Exception):
            turned = journal_trouble(answer)
            for ticket in tickets:
                self._end(ticket, count(ticket.route.meter, turned))
            return
        rows = {row.key: row for row in answer}
        for ticket in tickets:
            self._judge(ticket, rows.get(ticket.keyed.key))

    def _judge(self, ticket: Ticket, row: KeyRow | None) -> None:
        rule = ticket.route.plan.idempotency
        keyed = ticket.keyed
        if row is None or rule is None or row.at + rule.ttl <= self.acceptance.clock.now():
            ticket.renews = row is not None
            self._begin(ticket)
        elif row.fingerprint != keyed.fingerprint:
            self._end(ticket, count(ticket.route.meter, REUSED))
        else:
            ticket.route.meter.repeated += 1
            receipt = self.book.receipts.make(row.seq)
            if ticket.awaited is not None:
                safely(self.book.loop, ticket.awaited.known, Repeated(receipt, row.answer))
            self._end(ticket, Accepted(receipt))

    def _begin(self, ticket: Ticket) -> None:
        """Accept the event: its key is new."""
        route, keyed = ticket.route, ticket.keyed
        reply = functools.partial(self._accepted, ticket)
        if ticket.awaited is None:
            self.acceptance.accept(route, keyed.head, keyed.body, reply, keyed=keyed)
        else:
            self.acceptance.accept_for(ticket.awaited.caller, route, keyed, reply)

    def _accepted(self, ticket: Ticket, answer: Answered) -> None:
        door, rule = ticket.keyed.door, ticket.route.plan.idempotency
        if isinstance(answer, Accepted):
            self.kept[door] = max(self.kept.get(door, 0) + (not ticket.renews), 1)  # what it renews may be gone by now
            if rule is not None:
                self.rules[door] = rule
        self._end(ticket, answer)

    def _end(self, ticket: Ticket, answer: Answered) -> None:
        """Answer all requests that brought the key; the first one is counted already."""
        del self.tickets[ticket.keyed.key]
        meter = ticket.route.meter
        for place, reply in enumerate(ticket.replies):
            if place and isinstance(answer, Turned):
                count(meter, answer)
            elif place:
                meter.repeated += 1
            safely(self.book.loop, reply, answer)

    # --- where callers wait ------------------------------------------------------------------------------------------

    def _busy(self, busy: Awaited | Ticket, keyed: Keyed) -> Repeated | Turned:
        """Say what a request is told that brings a key in use."""
        meter = busy.route.meter
        if busy.keyed.fingerprint != keyed.fingerprint:
            return count(meter, REUSED)
        if isinstance(busy, Ticket) or busy.answer is None:
            return count(meter, IN_USE)
        meter.repeated += 1
        return busy.answer

    def _over(self, awaited: Awaited) -> None:
        """Free the key: it is not in use any more."""
        if self.awaited.get(awaited.keyed.key) is awaited:
            del self.awaited[awaited.keyed.key]

    def _grew(self, size: int) -> None:
        self.grown += size

    # --- forgetting -------------------------------------------------------------------------------------------------

    def _forget(self, door: int, before: float, limit: int | None) -> None:
        """Delete the oldest keys of *door* from before *before* (engine time, s), *limit* at most (None: all of them).

        One deletion of a door is under way at a time; it goes on by itself until nothing is left to delete.
        """
        if door in self.forgetting:
            return
        self.forgetting.add(door)
        some = STEP if limit is None else min(STEP, limit)

        def forgotten(answer: int | Exception) -> None:
            self.forgetting.discard(door)
            if isinstance(answer, Exception):
                return  # the committer reports a failing disk; the next sweep tries again
            left = self.kept.get(door, 0) - answer
            if left > 0:
                self.kept[door] = left
            else:
                self.kept.pop(door, None)
                self.rules.pop(door, None)
            more = None if limit is None else limit - answer
            if answer == some and more != 0:
                self.book.loop.call_later(PAUSE, self._forget, door, before, more)

        self.book.disk.run(lambda journal: journal.forget_keys(door, before, some), forgotten)

    def _forget_answers(self) -> None:
        """Delete the oldest answers beyond their share, a few at a time; their keys stay."""
        self.grown = 0

        def forgotten(answer: int | Exception) -> None:
            if answer == ANSWERS_STEP:
                self.book.loop.call_later(PAUSE, self._forget_answers)

        self.book.disk.run(lambda journal: journal.forget_answers(self.most, ANSWERS_STEP), forgotten)
