"""Answers used again: a lane with a cache, between the window and the gates.

A delivery that an earlier answer fits is settled by it and never comes to the gates: it takes no slot and no token, a
circuit that is open does not hold it up, and it is evidence of nothing. Of several with one key, the first *leads*: it
asks, and the others wait for its answer in memory, each once and not for long. Where it gives them none (it failed, or
may not be kept) all of them ask for themselves, through the gates: a failure is nobody's but that of whoever asked, and
one after the other they would be too late for their callers.
"""

import functools
import hashlib
import typing

import msgspec

from fanout_crds import expressions, plan
from fanout_crds.expressions import Failed
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.handover import Handover
from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.pending import Asked, Delivery, weight
from fanout_dispatcher.engine.settling import Settling
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.policies.decide import DONE, Rules
from fanout_dispatcher.policies.freshness import lifetime
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.earlier import Earlier, earlier, unpacked
from fanout_dispatcher.values.event import Head, State
from fanout_dispatcher.values.facts import facts
from fanout_dispatcher.values.outcome import Again, Dead, Delivered, Outcome, Reason, Refused

PATIENCE: typing.Final = 5.0  # seconds that deliveries wait for the answer to another one
MOST: typing.Final = 2_500  # of them in a lane; as many callers may wait for a route
MOST_BYTES: typing.Final = 8 << 20  # of their bodies, and of what is kept with them
DIGEST: typing.Final = 32  # bytes of a key: two that share one would share their answers
_PER_EVENT: typing.Final = frozenset(
    {
        *("content-type", "content-length", "idempotency-key", "fanout-attempt"),
        *("traceparent", "tracestate", "x-request-id"),
    }
)
_ALONE: typing.Final = Refused("the one it waited for has brought no answer that may be used again")


class Lane(typing.Protocol):
    """What this asks of its lane."""

    book: Book
    clock: Clock
    handover: Handover
    index: Index
    route: str
    rules: Rules
    settling: Settling
    tally: Tally
    works: Works

    def soon(self) -> None:
        """Pump in the next turn of the loop."""

    def why_held(self) -> str | None:
        """Why nothing is sent, in a word."""


class Lead(msgspec.Struct, eq=False):
    """A delivery that asks for others too, and those that wait for it."""

    key: bytes
    delivery: Delivery
    since: float
    others: list[Delivery]


class Reuse:
    """The cache of one lane under one plan: a target that is another one gets another."""

    __slots__ = ("_bytes", "_count", "_differs", "_key", "_lane", "_leads", "_rule", "_shelf")

    def __init__(self, lane: Lane, target: plan.Target, rule: plan.Cache) -> None:
        self._lane = lane
        self._rule = rule
        self._key = expressions.compile(rule.key_expression, expressions.QUESTION)
        self._differs = functools.partial(_differs, _varying(target) - self._key.reads.headers)
        self._shelf = lane.works.cache.shelf(lane.route, lane.tally.meter)
        self._leads: dict[bytes, Lead] = {}
        self._count = 0  # that wait
        self._bytes = 0
        lane.tally.meter.caches = 1

    def __repr__(self) -> str:
        return f"<Reuse {len(self._shelf.entries)} answers, {self._count} wait for {len(self._leads)}>"

    def meets(self, delivery: Delivery) -> bool:
        """Take care of a delivery that need not ask, or not now; False: it goes on to the gates."""
        pending = delivery.pending
        if pending.states[delivery.index] & State.MASK:
            return False  # called off while it waited
        if pending.course is not None and pending.course.flow.compensated(delivery.index):
            return False  # it came in before there was a cache: what another one did must not be undone in its name
        now = self._lane.clock.now()
        if self._expires(delivery, now):
            return True
        asked = self._ask(delivery)
        if asked is None:
            return True
        key = asked.key
        entry = self._lane.works.cache.get(self._shelf, key, now) if key else None
        if entry is not None and entry.answer is not None:
            self._give(delivery, entry.answer)
            return True
        if asked.alone or not key:
            return False
        lead, tried = self._leads.get(key), _tried(delivery)
        if entry is None and lead is not None and not tried and self._may_wait(delivery.pending.event.body):
            self._wait(lead, delivery)
            return True
        if tried:
            asked.alone = asked.counted = True
        else:
            self._alone(delivery)
        if entry is None and lead is None and self._lane.why_held() is None:
            self._leads[key] = Lead(key, delivery, now, [])
        return False

    def serves(self, head: Head, body: bytes) -> bool:
        """Whether an event that comes in now would be settled without asking, or wait for another one's answer."""
        try:
            key = self._digest(head, body, None)
        except Failed:
            return True  # given up
        entry = self._lane.works.cache.get(self._shelf, key, self._lane.clock.now()) if key else None
        if entry is not None:
            return entry.answer is not None
        return key in self._leads and self._may_wait(body)

    def spills(self, delivery: Delivery) -> bool:
        """Put a delivery that is to ask, but for which there is no room, into the index."""
        lane = self._lane
        now = lane.clock.now()
        full = not lane.index.windows[0].fits(now)
        if full:
            self.left(delivery)
            lane.index.put_back(delivery, now)
        return full

    def landed(self, flight: Flight, delivery: Delivery, outcome: Outcome) -> None:
        """Keep what the target said, as far as it may be, and give it to those who wait for it."""
        asked = delivery.asked
        if asked is None or not asked.key:
            return
        if not asked.counted and not isinstance(outcome, Refused):  # only now: until then it may go back to the index
            asked.counted = True
            self._lane.tally.meter.cache_misses += 1
        if asked.shelf is not self._shelf:
            return
        now = self._lane.clock.now()
        lead = self._leads.get(asked.key)
        kept: Captured | None = None
        if isinstance(outcome, Delivered) and outcome.answer is not None:
            kept = self._keep(asked.key, outcome.answer, flight.entered, now)
        if lead is not None and kept is not None:
            del self._leads[lead.key]
            for one in lead.others:
                self._let_go(one)
                self._give(one, kept)
        elif lead is not None and lead.delivery is delivery:
            self._release(lead)

    def left(self, delivery: Delivery) -> None:
        """A delivery is given up, or put off, without having asked: whoever waits for it asks."""
        asked = delivery.asked
        lead = self._leads.get(asked.key) if asked is not None else None
        if lead is not None and lead.delivery is delivery:
            self._release(lead)

    def sweep(self, now: float) -> None:
        """Once a second: nobody waits long for another's answer, nor for longer than it would for its own."""
        for lead in list(self._leads.values()):
            if lead.since <= now - PATIENCE:
                self._release(lead)
            else:
                self._thin(lead, now)

    def part(self) -> None:
        """Nothing is sent any more: whoever waits for an answer hears why, and has what stands in for it."""
        for lead in list(self._leads.values()):
            self._release(lead)

    def close(self) -> None:
        """Forget every answer; who waits for one asks for itself, or whom the next plan names."""
        self.part()
        self._lane.works.cache.clear(self._shelf)
        self._lane.tally.meter.caches = 0

    # --- within -----------------------------------------------------------------------------------------------------

    def _expires(self, delivery: Delivery, now: float) -> bool:
        """Give up a delivery whose time has passed, whatever is known by now."""
        over = now >= self._lane.rules.expires(delivery.pending.event.accepted)
        if over:
            self._lane.settling.expire(delivery, now)
        return over

    def _ask(self, delivery: Delivery) -> Asked | None:
        """What its key is, worked out once; None: that has no value, and the delivery is given up."""
        asked = delivery.asked
        if asked is not None and asked.shelf is self._shelf:
            return asked
        event, reads = delivery.pending.event, self._key.reads
        told = _earlier(delivery).read(reads.targets) if "targets" in reads.variables else None
        try:
            key = self._digest(event.head, event.body, told)
        except Failed as why:
            dead = Dead(Reason.EXPRESSION_FAILED, f"cache.keyExpression: {why}", spent=False)
            self._lane.settling.give_up(delivery, dead, self._lane.clock.now())
            return None
        asked = delivery.asked = Asked(key, self._shelf)
        return asked

    def _digest(self, head: Head, body: bytes, told: dict[str, object] | None) -> bytes:
        """The key of an event, or nothing where it is an empty one. Raises Failed."""
        value = str(self._key.value(facts(self._key.reads, head, body, told)))
        return hashlib.blake2b(value.encode(), digest_size=DIGEST).digest() if value else b""

    def _may_wait(self, body: bytes) -> bool:
        """There is room to wait in, and nothing that a caller should hear instead."""
        room = self._count < MOST and self._bytes + len(body) <= MOST_BYTES and self._lane.works.stock.roomy
        return room and self._lane.why_held() is None

    def _wait(self, lead: Lead, delivery: Delivery) -> None:
        size = delivery.weight = weight(delivery.pending)
        self._count += 1
        self._bytes += size
        self._lane.works.stock.came(size)
        lead.others.append(delivery)
        if (caller := delivery.pending.caller) is not None:
            caller.flies(delivery.index)

    def _let_go(self, delivery: Delivery) -> None:
        size = delivery.weight
        self._count -= 1
        self._bytes -= size
        self._lane.works.stock.went(size)

    def _alone(self, delivery: Delivery) -> None:
        """It asks for itself, or for others too, but waits for nobody any more."""
        asked = delivery.asked
        assert asked is not None, f"{self!r} has not asked for a key"
        asked.alone = True
        if (caller := delivery.pending.caller) is not None:
            caller.stands(delivery.index)
            caller.landed(delivery.index, _ALONE, Again(0.0, spent=False))

    def _release(self, lead: Lead) -> None:
        lane = self._lane
        del self._leads[lead.key]
        fresh, _ = lane.index.windows
        for one in lead.others:
            self._let_go(one)
            if one.pending.states[one.index] & State.MASK:  # called off while it waited
                lane.handover.drop(one)
                continue
            fresh.push(one)
            self._alone(one)
        if lead.others:
            lane.soon()

    def _thin(self, lead: Lead, now: float) -> None:
        """Give up those whose time has passed while they waited."""
        others, lead.others = lead.others, []
        for one in others:
            if now < self._lane.rules.expires(one.pending.event.accepted):
                lead.others.append(one)
            else:
                self._let_go(one)
                self._lane.settling.expire(one, now)

    def _keep(self, key: bytes, answer: Captured, since: float, now: float) -> Captured | None:
        """Keep *answer*; what may not be kept is remembered too: nobody waits for the like of it for a while."""
        lane, ttl = self._lane, self._rule.ttl
        fresh = lifetime(answer, ttl, self._differs, lane.clock.wall(now))
        if fresh <= now - since:
            lane.works.cache.put(self._shelf, key, None, now + ttl, now)
            return None
        kept = msgspec.structs.replace(answer, cached=True)
        lane.works.cache.put(self._shelf, key, kept, since + fresh, now)
        return kept

    def _give(self, delivery: Delivery, answer: Captured) -> None:
        """Settle a delivery by what was said to another one."""
        lane, pending, place = self._lane, delivery.pending, delivery.index
        if pending.states[place] & State.MASK:  # called off while it waited
            return lane.handover.drop(delivery)
        lane.tally.meter.cache_hits += 1
        outcome = Delivered(answer.status, answer)
        if pending.course is not None:
            lane.book.conductor.landed(pending, place, outcome)
        lane.settling.settle(delivery, State.settled(State.DELIVERED, delivery.attempts))
        if (caller := pending.caller) is not None:
            caller.landed(place, outcome, DONE)
        return None


def _tried(delivery: Delivery) -> bool:
    """Whether it has asked before, in vain: it came back as a new one, of which only its row is known."""
    return bool(delivery.attempts or delivery.history)  # a probe that failed spent none, and stands in the history


def _earlier(delivery: Delivery) -> Earlier:
    """What became of the targets before; of a replay, what its dead letter says of them."""
    pending = delivery.pending
    if pending.course is None:
        return unpacked(pending.event.head.earlier)
    return earlier(pending.event.frozen, pending.states, pending.course.kept)


def _varying(target: plan.Target) -> frozenset[str]:
    """The headers in which one request to *target* may differ from another, but for the event's attributes."""
    mapped = {one.name.lower() for one in target.mapping.headers} if target.mapping is not None else set()
    return _PER_EVENT | mapped | {name.lower() for name in target.forward_headers}


def _differs(varying: frozenset[str], name: str) -> bool:
    """Whether *name* is one of these, or one that an entry such as ``x-*`` stands for."""
    prefixes = tuple(one[:-1] for one in varying if one.endswith("*"))
    return name in varying or name.startswith(("ce-", *prefixes))
