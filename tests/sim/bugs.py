"""Bugs to plant in a copy of the product, one at a time: each breaks a promise, and the simulation has to notice.

Every one was made, or nearly made, by somebody somewhere. ``old`` is short on purpose, so that it survives changes
around it; when it is gone all the same, the bug has to be planted anew where the code that it spoils has gone.
"""

import pathlib
import typing

import msgspec

ENGINE = "fanout_dispatcher/engine"
JOURNAL = "fanout_dispatcher/journal"
POLICIES = "fanout_dispatcher/policies"


class Bug(msgspec.Struct, frozen=True, kw_only=True):
    """Replace *old* by *new* in *file*, wherever it stands; seeds of *family* are where to look.

    *promise* is the one whose checker has to notice, which may be another than the one that people would name.
    """

    name: str
    promise: str
    family: str
    file: str
    old: str
    new: str
    also: tuple[str, str] | None = None  # a second old and new, where one is not enough


class Uprooted(Exception):
    """The text that a bug replaces is not in the source any more."""


def plant(bug: Bug, packages: pathlib.Path) -> None:
    """Put *bug* into the copy of the product at *packages*. Raises Uprooted."""
    (packages / bug.file).write_text(spoilt(bug, packages), encoding="utf-8")


def spoilt(bug: Bug, packages: pathlib.Path) -> str:
    """The text of its file with *bug* in it. Raises Uprooted."""
    path = packages / bug.file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for old, new in [*([bug.also] if bug.also else []), (bug.old, bug.new)]:
        if old not in text:
            raise Uprooted(
                f"planted bug “{bug.name}”: {bug.file} does not contain {old!r} any more;"
                " find what does its work now, and give the bug in tests/sim/bugs.py the new text"
            )
        text = text.replace(old, new)
    return text


BUGS: typing.Final = (
    # --- acceptance and commits -------------------------------------------------------------------------------------
    Bug(
        name="acknowledge before the commit",
        promise="P1",
        family="mixed",
        file=f"{ENGINE}/committer.py",
        also=("        each(self.loop, group.appends, _landed)\n", ""),
        old="        self.begun = self.loop.time()\n        batch,",
        new="        self.begun = self.loop.time()\n        each(self.loop, group.appends, _landed)\n        batch,",
    ),
    Bug(
        name="fsync forgotten",
        promise="P2",
        family="embedded",
        file=f"{JOURNAL}/sqlite/opening.py",
        old="PRAGMA synchronous = full;",
        new="PRAGMA synchronous = normal;",
    ),
    Bug(
        name="what a failed commit carried is not tried again",
        promise="P2",
        family="ailing",
        file=f"{ENGINE}/committer.py",
        old="self.rest = joined(group.rest, self.rest)",
        new="self.rest = joined(Batch(), self.rest)",
    ),
    Bug(
        name="an ambiguous commit is not taken back",
        promise="P3",
        family="ailing",
        file=f"{ENGINE}/committer.py",
        old="repair = [one.event.seq for one in group.appends] if",
        new="repair = [] if",
    ),
    Bug(
        name="an unbounded queue",
        promise="P7",
        family="backlog",
        file=f"{ENGINE}/bounds.py",
        old="return meter.pending > 0 and",
        new="return False and",
    ),
    Bug(
        name="every event is a commit of its own",
        promise="P4",
        family="flood",
        file=f"{ENGINE}/committer.py",
        old="group = Group(self.appends, self.rest, self.touched, self.after)\n        self.appends, self",
        new="group = Group(self.appends[:1], self.rest, self.touched, self.after)\n        self.appends, self",
        also=("self.after = [], Batch(), [], []", "self.after = self.appends[1:], Batch(), [], []"),
    ),
    Bug(
        name="a key is not written with its event",
        promise="P17",
        family="repeating",
        file=f"{ENGINE}/group.py",
        old="keys=[one.key for one in appends if one.key is not None],",
        new="keys=[],",
    ),
    Bug(
        name="a key that is on its way is not joined",
        promise="P17",
        family="repeating",
        file=f"{ENGINE}/once.py",
        old="ticket = self.tickets.get(keyed.key)",
        new="ticket = None",
        also=("del self.tickets[ticket.keyed.key]", "self.tickets.pop(ticket.keyed.key, None)"),
    ),
    Bug(
        name="an answer is told and not kept",
        promise="P17",
        family="recalling",
        file=f"{ENGINE}/group.py",
        old="answers=rest.answers,",
        new="answers=[],",
    ),
    Bug(
        name="a key stays in use when time was up",
        promise="P17",
        family="recalling",
        file=f"{ENGINE}/awaited.py",
        old="            self.over(self)\n            return self._tell(told)",
        new="            return self._tell(told)",
    ),
    Bug(
        name="who comes again waits for the event beside the first",
        promise="P17",
        family="recalling",
        file=f"{ENGINE}/once.py",
        old="busy = self.awaited.get(keyed.key) or self.tickets.get(keyed.key)",
        new="busy = None",
        also=("del self.tickets[ticket.keyed.key]", "self.tickets.pop(ticket.keyed.key, None)"),
    ),
    # --- stopping ---------------------------------------------------------------------------------------------------
    Bug(
        name="what waits is dropped on SIGTERM",
        promise="P2",
        family="stopping",
        file=f"{ENGINE}/routes.py",
        old='            lane.hold("Draining")\n',
        new='            lane.hold("Draining")\n'
        "            while lane.fresh.ready:\n"
        "                lane.settling.settle(lane.fresh.take(), 1)\n",
    ),
    Bug(
        name="settles are lost at shutdown",
        promise="P3",
        family="stopping",
        file=f"{ENGINE}/engine.py",
        old="book.committer.flushed()",
        new="asyncio.sleep(0)",
    ),
    Bug(
        name="a stopping process goes on sending",
        promise="P1",
        family="stopping",
        file=f"{ENGINE}/routes.py",
        old='            lane.hold("Draining")\n',
        new="            lane.soon()\n",
    ),
    Bug(
        name="a stopping process goes on accepting",
        promise="P1",
        family="stopping",
        file=f"{ENGINE}/engine.py",
        old="        self.close_door()\n",
        new="",
    ),
    # --- callers ----------------------------------------------------------------------------------------------------
    Bug(
        name="a caller hears of it before it is on disk",
        promise="P16",
        family="waiting",
        file=f"{ENGINE}/caller.py",
        old="        if self.waits.durable:\n",
        new="        if False:\n",
    ),
    Bug(
        name="a caller is forgotten while its target waits for a retry",
        promise="P16",
        family="waiting",
        file=f"{ENGINE}/caller.py",
        old="        pending.refs += 1\n",
        new="        pass\n",
        also=("            self.waits.book.release(pending)\n", "            pass\n"),
    ),
    Bug(
        name="a dead target counts towards the quorum",
        promise="P16",
        family="waiting",
        file=f"{ENGINE}/caller.py",
        old="self.succeeded += heard.state == State.DELIVERED",
        new="self.succeeded += heard.state != State.PENDING",
    ),
    Bug(
        name="a stopping process leaves callers without an answer",
        promise="P16",
        family="waiting",
        file=f"{ENGINE}/engine.py",
        old="        self.works.callers.drain()\n",
        new="",
        also=("        self.works.callers.close()\n", ""),
    ),
    Bug(
        name="the deadline of a caller runs anew with each attempt",
        promise="P16",
        family="waiting",
        file=f"{ENGINE}/caller.py",
        old="        if place != NOBODY:\n            self.busy[place] = True\n",
        new="        if place != NOBODY:\n            self.busy[place] = True\n"
        "            self.callers.deadlines.drop(self)\n"
        "            self.callers.deadlines.add(self, self.callers.loop.time() + self.waits.rule.timeout)\n",
    ),
    Bug(
        name="a failed step is told to the caller as held",
        promise="P16",
        family="waiting",
        file=f"{ENGINE}/caller.py",
        old="            self.callers.loop.call_soon(self._look_again)\n",
        new="            self._look_again()\n",
    ),
    # --- fallbacks --------------------------------------------------------------------------------------------------
    Bug(
        name="a fallback is asked although its target delivered",
        promise="P16",
        family="sagas",
        file=f"{ENGINE}/flow.py",
        old="            if of == State.DEAD:\n",
        new="            if of != State.PENDING:\n",
    ),
    Bug(
        name="what a fallback stood in for is a dead letter too",
        promise="P16",
        family="sagas",
        file=f"{ENGINE}/handover.py",
        old="        elif conductor.stands_in(pending, place, dead.reason):\n",
        new="        elif False:\n",
    ),
    Bug(
        name="the target is asked after its caller had the fallback",
        promise="P16",
        family="waiting",
        file=f"{ENGINE}/fallbacks.py",
        old="        self._lane.book.conductor.forgo(pending, place)\n",
        new="",
    ),
    Bug(
        name="a static answer is told before it is on disk that the target is given up",
        promise="P16",
        family="waiting",
        file=f"{ENGINE}/caller.py",
        old="            self._settled(place, static)\n",
        new="            self._hear(place, static)\n",
    ),
    # --- caches -----------------------------------------------------------------------------------------------------
    Bug(
        name="an answer is used again after its time",
        promise="P18",
        family="caching",
        file=f"{POLICIES}/cache.py",
        old="if entry.until <= now:\n            self._remove(entry)\n            return None",
        new="if False:\n            return None",
    ),
    Bug(
        name="a target that is another one now serves what the old one said",
        promise="P18",
        family="caching",
        file=f"{ENGINE}/lane.py",
        old="if self.reuse is not None and (sender is not self.sender or target != self.target):",
        new="if False:",
    ),
    Bug(
        name="an answer is used for another key",
        promise="P18",
        family="caching",
        file=f"{ENGINE}/reuse.py",
        old="hashlib.blake2b(value.encode(), digest_size=DIGEST)",
        new="hashlib.blake2b(value[:1].encode(), digest_size=DIGEST)",
    ),
    Bug(
        name="who waited for a failure is forgotten",
        promise="P2",
        family="caching",
        file=f"{ENGINE}/reuse.py",
        old="fresh.push(one)",
        new="pass",
    ),
    # --- lanes ------------------------------------------------------------------------------------------------------
    Bug(
        name="a row is claimed by window and index",
        promise="P3",
        family="crossing",
        file=f"{ENGINE}/index.py",
        old="frozenset(window.claimed)",
        new="frozenset()",
    ),
    Bug(
        name="a row that comes back during a pull is forgotten",
        promise="P2",
        family="crossing",
        file=f"{ENGINE}/window.py",
        old="self.meanwhile = min(self.meanwhile, at)",
        new="self.meanwhile = self.meanwhile",
    ),
    Bug(
        name="a retry forgets what was tried before",
        promise="P9",
        family="dying",
        file=f"{ENGINE}/index.py",
        old="row.due.attempts, row.due.history",
        new="0, ()",
    ),
    Bug(
        name="sent again after a clean success",
        promise="P3",
        family="mixed",
        file=f"{ENGINE}/lane.py",
        old="verdict: Verdict = DONE",
        new="verdict = DONE if self.rng.random() < 0.98 else judge(self, delivery, Failed(status=503), False, now)",
    ),
    Bug(
        name="a retry holds the disk for everybody",
        promise="P4",
        family="neighbours",
        file=f"{ENGINE}/index.py",
        old="        row = DueRow(self.number,",
        new="        for _ in range(40):\n"
        "            self.book.disk.run(lambda journal: journal.oldest(self.number, 1, ()), lambda answer: None)\n"
        "        row = DueRow(self.number,",
    ),
    Bug(
        name="one more in flight than allowed",
        promise="P13",
        family="mixed",
        file=f"{POLICIES}/bulkhead.py",
        old="self.in_flight < self.limit",
        new="self.in_flight <= self.limit",
    ),
    Bug(
        name="retries wait for no budget",
        promise="P10",
        family="backlog",
        file=f"{ENGINE}/gates.py",
        old="now if self.budget is None else self.budget.opens_at(now)",
        new="now",
    ),
    Bug(
        name="a rate limit forgets what has just started",
        promise="P12",
        family="breaking",
        file=f"{POLICIES}/throttle.py",
        old="self.even = max(self.even, now) + self.interval",
        new="self.even = now + self.interval",
    ),
    # --- hedges -----------------------------------------------------------------------------------------------------
    Bug(
        name="two tries of one attempt settle it twice",
        promise="P35",
        family="hedged",
        file=f"{ENGINE}/hedging.py",
        old="        self._cancel(tries)\n        tries.whole.landing",
        new="        tries.whole.landed = False\n        tries.whole.landing",
    ),
    Bug(
        name="a try that was cancelled is taken for a failure",
        promise="P11",
        family="hedged",
        file=f"{ENGINE}/hedging.py",
        old="self.lane.gates.leave(one, NO_EVIDENCE,",
        new="self.lane.gates.leave(one, Failed(status=503),",
    ),
    Bug(
        name="a hedge keeps its slot",
        promise="P2",
        family="hedged",
        file=f"{ENGINE}/hedging.py",
        old="            self.lane.gates.leave(one, NO_EVIDENCE, self.lane.clock.now())\n",
        new="            pass\n",
    ),
    Bug(
        name="a failure decides while another try is in flight",
        promise="P35",
        family="hedged",
        file=f"{ENGINE}/hedging.py",
        old="        if not tries.flying:\n",
        new="        if True:\n",
    ),
    Bug(
        name="a success pays for the next hedge",
        promise="P35",
        family="hedged",
        file=f"{ENGINE}/hedging.py",
        old="            self.budget.spend(now)\n",
        new="",
    ),
    Bug(
        name="a hedge takes from no retry budget",
        promise="P10",
        family="hedged",
        file=f"{ENGINE}/gates.py",
        old="            self.budget.spend(now)\n",
        new="            pass\n",
    ),
    Bug(
        name="a hedge is sent to a target that is left alone",
        promise="P11",
        family="hedged",
        file=f"{ENGINE}/gates.py",
        old="return well and self.opens_at(now) <= now and",
        new="return all(gate.opens_at(now) <= now for gate in self.asked[1:]) and",
    ),
    Bug(
        name="a hedge passes by those who wait for a slot",
        promise="P13",
        family="hedged",
        file=f"{ENGINE}/gates.py",
        old="return well and self.opens_at(now) <= now and",
        new="return well and",
    ),
    Bug(
        name="a stopping process sends hedges",
        promise="P1",
        family="hedged",
        file=f"{ENGINE}/hedging.py",
        old="if self.closed or lane.held is not None or",
        new="if self.closed or",
    ),
    Bug(
        name="a hedge is sent when the time of its delivery is over",
        promise="P9",
        family="hedged",
        file=f"{ENGINE}/hedging.py",
        old="if now < lane.rules.expires(tries.whole.event.accepted) and",
        new="if",
    ),
    # --- order ------------------------------------------------------------------------------------------------------
    Bug(
        name="two of a key go at once",
        promise="P5",
        family="ordered",
        file=f"{JOURNAL}/memory/ranks.py",
        old="return self._order[lane, held.key][0] is held",
        new="return True",
    ),
    Bug(
        name="lanes go with the durability although events under way have steps to come",
        promise="P2",
        family="overlapping",
        file=f"{ENGINE}/routes.py",
        old="route.book is not book and not self._owes(book, key):\n",
        new="route.book is not book and not lane.tally.meter.pending:\n",
    ),
    Bug(
        name="what follows from a step that is gone is lost",
        promise="P2",
        family="overlapping",
        file=f"{ENGINE}/barred.py",
        old="ask=conditions.holds, moves=moves)",
        new="ask=conditions.holds)",
    ),
    Bug(
        name="the next of a key goes while a retry waits",
        promise="P5",
        family="ordered",
        file=f"{ENGINE}/index.py",
        old="        self.book.committer.index(row, functools.partial(self.let_go, delivery, at))\n",
        new="        self.book.committer.index(row, functools.partial(self.let_go, delivery, at))\n"
        "        self.book.committer.give_up_place(self.number, row.seq)\n",
    ),
    Bug(
        name="a dead letter holds up nothing",
        promise="P5",
        family="ordered",
        file=f"{ENGINE}/lane.py",
        old="return self.order is not None and self.order.holds and self.ending is None",
        new="return False",
    ),
    Bug(
        name="a replay goes to the end of its key",
        promise="P5",
        family="ordered",
        file=f"{JOURNAL}/memory/store.py",
        old="            self.ranks.move(letter.row.lane, letter.row.seq, seq)\n",
        new="            self._pass(letter.row.lane, letter.row.seq)\n",
    ),
    Bug(
        name="what was behind a settled one is forgotten",
        promise="P2",
        family="ordered",
        file=f"{ENGINE}/index.py",
        old="        self.windows[0].row_added(0.0)\n        self.woken()\n",
        new="",
        also=("            self.freed()\n", "            pass\n"),
    ),
    # --- batches ----------------------------------------------------------------------------------------------------
    Bug(
        name="all of a rejected batch dies",
        promise="P14",
        family="batched",
        file=f"{ENGINE}/batches.py",
        old="if len(batch) > 1 and _rejected(verdicts[0]):",
        new="if False:",
    ),
    Bug(
        name="only half of a rejected batch comes back",
        promise="P2",
        family="batched",
        file=f"{ENGINE}/batching.py",
        old="for delivery, _ in reversed(batch):",
        new="for delivery, _ in reversed(batch[: len(batch) // 2]):",
    ),
    Bug(
        name="a rejection of many spends an attempt of each",
        promise="P9",
        family="batched",
        file=f"{ENGINE}/batching.py",
        old="            delivery.together = half\n",
        new="            delivery.together = half\n            delivery.attempts += 1\n",
    ),
    Bug(
        name="one more goes in a batch than its plan says",
        promise="P19",
        family="batched",
        file=f"{ENGINE}/batching.py",
        old="if taken and (len(taken) >= most or",
        new="if taken and (len(taken) > most or",
    ),
    Bug(
        name="a batch is larger than its plan says",
        promise="P19",
        family="batched",
        file=f"{ENGINE}/batching.py",
        old="if taken and size + len(written) >= self.rule.max_bytes:",
        new="if False:",
    ),
    Bug(
        name="what does not fit into a batch is forgotten",
        promise="P2",
        family="batched",
        file=f"{ENGINE}/batching.py",
        old="                window.give_back(delivery)\n                break",
        new="                break",
    ),
    Bug(
        name="to the bulkhead a batch is nothing",
        promise="P13",
        family="batched",
        file=f"{ENGINE}/batches.py",
        old="        lane.launch(flight, sender)\n",
        new="        lane.gates.bulkhead.in_flight -= 1\n        lane.launch(flight, sender)\n",
        also=(
            "        outcome = lane.over(flight, outcome, now)\n",
            "        lane.gates.bulkhead.in_flight += 1\n        outcome = lane.over(flight, outcome, now)\n",
        ),
    ),
    # --- the breaker ------------------------------------------------------------------------------------------------
    Bug(
        name="the breaker never half-opens",
        promise="P2",
        family="breaking",
        file=f"{POLICIES}/circuit.py",
        old="return max(now, self.until)",
        new='return float("inf")',
    ),
    Bug(
        name="the half-open breaker lets everything through",
        promise="P11",
        family="breaking",
        file=f"{POLICIES}/circuit.py",
        old="return self.probes < half_open.max_calls and",
        new="return True or",
    ),
    Bug(
        name="a stale result moves the breaker",
        promise="P11",
        family="breaking",
        file=f"{POLICIES}/circuit.py",
        old="if flight.epoch != self.epoch or",
        new="if",
    ),
    Bug(
        name="a success does not end a run of failures",
        promise="P11",
        family="breaking",
        file=f"{POLICIES}/circuit.py",
        old="        else:\n            self.consecutive = 0\n",
        new="        else:\n",
    ),
    Bug(
        name="a failed probe does not double the wait",
        promise="P11",
        family="breaking",
        file=f"{POLICIES}/circuit.py",
        old="self.reopened += 1",
        new="self.reopened += 0",
    ),
    # --- retries ----------------------------------------------------------------------------------------------------
    Bug(
        name="Retry-After is ignored",
        promise="P9",
        family="mixed",
        file=f"{POLICIES}/decide.py",
        old="if rules.retry.retry_after else None",
        new="if False else None",
    ),
    Bug(
        name="the cap comes after the jitter",
        promise="P9",
        family="crossing",
        file=f"{POLICIES}/backoff.py",
        old="    wait = min(wait, rule.max_delay)\n",
        new='    if rule.jitter == "Full":\n'
        "        return min(rng.uniform(0.0, wait), rule.max_delay)\n"
        "    wait = min(wait, rule.max_delay)\n",
    ),
    Bug(
        name="maxAttempts is ignored",
        promise="P9",
        family="dying",
        file=f"{POLICIES}/decide.py",
        old="if most is not None and attempts >= most:",
        new="if most is not None and attempts >= most + 1:",
    ),
    Bug(
        name="a failed probe spends an attempt",
        promise="P9",
        family="breaking",
        file=f"{POLICIES}/decide.py",
        old="_asked(failed, rules, standing.wall), spent=False)",
        new="_asked(failed, rules, standing.wall), spent=True)",
    ),
    Bug(
        name="a late probe spends nothing although others have closed the circuit",
        promise="P9",
        family="breaking",
        file=f"{POLICIES}/circuit.py",
        old="return flight.probe and self.holds and now < self.until and",
        new="return flight.probe and",
    ),
    # --- sagas ------------------------------------------------------------------------------------------------------
    Bug(
        name="what is about to be sent is not noted before",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/conductor.py",
        old="        if not course.flow.compensated(place):\n",
        new="        if True:\n",
    ),
    Bug(
        name="what waits for a slot is noted as started",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/conductor.py",
        old="            lane.begin(pending, place)\n",
        new="            pending.states[place] |= State.STARTED\n"
        "            self.book.committer.touch(pending)\n"
        "            lane.begin(pending, place)\n",
    ),
    Bug(
        name="an attempt that failed is made again although its saga has failed",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/conductor.py",
        old="flow.role(place) <= Role.FALLBACK and flow.failing(pending.states)",
        new="False",
    ),
    Bug(
        name="what is being noted is sent although its saga has failed",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/starting.py",
        old="return free and in_time and not called_off and",
        new="return free and in_time and",
    ),
    Bug(
        name="what a crash found in flight is sent again although its saga has failed",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/conductor.py",
        old="        if self.called_off(delivery.pending, delivery.index):",
        new="        if False:",
    ),
    Bug(
        name="what was noted and not sent is undone",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/conductor.py",
        old="        pending.states[place] &= ~State.STARTED\n",
        new="        pending.states[place] |= State.UNKNOWN\n",
    ),
    Bug(
        name="a saga is undone forwards",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/flow.py",
        old="        self._later = _descendants(graph)\n",
        new="        later = _descendants(graph)\n"
        "        self._later = {place: frozenset(one for one in later if place in later[one]) for place in later}\n",
    ),
    Bug(
        name="what was called off and never asked is undone",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/flow.py",
        old="asked = states[place] & (State.STARTED | State.UNKNOWN)",
        new="asked = True",
    ),
    Bug(
        name="a saga is undone while a target is in flight",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/flow.py",
        old="elif failing and place not in flying:",
        new="elif failing:",
    ),
    Bug(
        name="an answer that was lost is taken for a no",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/acted.py",
        old="            return fault not in _NOT_SENT",
        new="            return False",
    ),
    Bug(
        name="a compensation that is given up is dropped",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/conductor.py",
        old="        if not over and",
        new="        if False and",
    ),
    Bug(
        name="callbacks do not wait for what is undone",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/flow.py",
        old="        if any(_pending(states, place) for place in self._undo.values()):\n            return\n",
        new="",
    ),
    Bug(
        name="what a step answered is not written down",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/conductor.py",
        old="            self.book.committer.keep(KeptRow(event.seq, place, kept))\n",
        new="",
    ),
    Bug(
        name="what a step answered is forgotten with the next step",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/conductor.py",
        old="        if not pending.left and course.kept:\n",
        new="        if course.kept:\n",
    ),
    Bug(
        name="a restart does not look for what steps answered",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/index.py",
        old="course = self.book.conductor.course(event.frozen, row.kept)",
        new="course = self.book.conductor.course(event.frozen, {})",
    ),
    Bug(
        name="the answer of an attempt that failed is taken for the one that counts",
        promise="P15",
        family="sagas",
        file=f"{ENGINE}/conductor.py",
        old="        if type(outcome) is Delivered:\n",
        new="        if isinstance(outcome, Delivered | Failed) and place not in course.kept:\n",
    ),
    # --- ends and clocks --------------------------------------------------------------------------------------------
    Bug(
        name="a dead letter is lost",
        promise="P2",
        family="dying",
        file=f"{ENGINE}/settling.py",
        old="        lane.book.committer.bury(row)\n",
        new="",
    ),
    Bug(
        name="a replayed dead letter stays",
        promise="P14",
        family="dying",
        file=f"{ENGINE}/acceptance.py",
        old="link = None if replayed is None else Replayed(replayed, seq)",
        new="link = None",
    ),
    Bug(
        name="a delivery expires at half its time",
        promise="P14",
        family="mixed",
        file=f"{POLICIES}/decide.py",
        old="return accepted + self.total if",
        new="return accepted + self.total / 2 if",
    ),
    Bug(
        name="time away is read from the wall clock",
        promise="P14",
        family="outage",
        file=f"{JOURNAL}/clock.py",
        old="now.boottime - then.boottime if now.boot == then.boot else",
        new="",
    ),
    # --- plans ------------------------------------------------------------------------------------------------------
    Bug(
        name="an event is kept under another generation",
        promise="P24",
        family="changing",
        file=f"{ENGINE}/book.py",
        old="return self.register.freeze(route, generation, targets, graph)",
        new="return self.register.freeze(route, 0, targets, graph)",
    ),
    Bug(
        name="attempts go to the address of an older plan",
        promise="P2",
        family="changing",
        file=f"{ENGINE}/lane.py",
        old="        self.sender = sender\n        self.ending",
        new="        self.sender = self.sender or sender\n        self.ending",
    ),
    # --- delays -----------------------------------------------------------------------------------------------------
    Bug(
        name="a delay is ignored",
        promise="P9",
        family="forcing",
        file=f"{ENGINE}/acceptance.py",
        old="wait = lane.target.delay if replayed is None else 0.0",
        new="wait = 0.0",
    ),
    Bug(
        name="a delay is counted anew after a crash",
        promise="P9",
        family="forcing",
        file=f"{JOURNAL}/memory/store.py",
        old="                if state in State.WAITING and self.index(lane).get(event.seq) is None:\n",
        new="                row = self.index(lane).get(event.seq)\n"
        "                if row is not None and row.at > now and not row.attempts:\n"
        "                    self.index(lane).put(DueRow(lane, event.seq, now + row.at - event.accepted))\n"
        "                if state in State.WAITING and row is None:\n",
    ),
    Bug(
        name="a step's delay begins when its event comes in",
        promise="P9",
        family="forcing",
        file=f"{ENGINE}/handover.py",
        old="seq, lane.clock.now() + lane.target.delay)",
        new="seq, pending.event.accepted + lane.target.delay)",
    ),
    # --- modes and slow calls ---------------------------------------------------------------------------------------
    Bug(
        name="slow calls are not counted",
        promise="P11",
        family="forcing",
        file=f"{POLICIES}/circuit.py",
        old="self.slow_after = rule.slow_call_duration or math.inf",
        new="self.slow_after = math.inf",
    ),
    Bug(
        name="a circuit closes although its probes were slow",
        promise="P11",
        family="forcing",
        file=f"{POLICIES}/circuit.py",
        old="        if self.slow and self.slow *",
        new="        if False and self.slow *",
    ),
    Bug(
        name="another mode is taken up by the next process",
        promise="P11",
        family="forcing",
        file=f"{POLICIES}/circuit.py",
        old='        self.mode: CircuitMode = rule.mode if rule.enabled else "Disabled"\n',
        new='        self.mode: CircuitMode = getattr(self, "mode", rule.mode if rule.enabled else "Disabled")\n',
    ),
    Bug(
        name="a dry run holds",
        promise="P9",
        family="forcing",
        file=f"{POLICIES}/circuit.py",
        old='return now if self.mode == "DryRun" else at',
        new="return at",
    ),
    Bug(
        name="a failed probe of a dry run spends no attempt",
        promise="P9",
        family="forcing",
        file=f"{POLICIES}/circuit.py",
        old='flight.probe = self.mode == "Auto"',
        new="flight.probe = True",
        also=("flight.probe and self.holds and", "flight.probe and"),
    ),
    Bug(
        name="a window of calls is one of seconds",
        promise="P11",
        family="forcing",
        file=f"{POLICIES}/window.py",
        old='return TimeWindow(rule.size) if rule.type == "Time" else CountWindow(int(rule.size))',
        new="return TimeWindow(rule.size)",
    ),
    # --- limits that adapt themselves -------------------------------------------------------------------------------
    Bug(
        name="an adaptive limit grows beyond its highest",
        promise="P13",
        family="adapting",
        file=f"{POLICIES}/adaptive.py",
        old="max(float(self.rule.min), min(float(self.rule.max), wanted))",
        new="max(float(self.rule.min), wanted)",
    ),
    Bug(
        name="an adaptive limit falls below its lowest",
        promise="P9",
        family="adapting",
        file=f"{POLICIES}/adaptive.py",
        old="max(float(self.rule.min), min(float(self.rule.max), wanted))",
        new="max(1.0, min(float(self.rule.max), wanted))",
    ),
    Bug(
        name="an adaptive limit never shrinks",
        promise="P13",
        family="adapting",
        file=f"{POLICIES}/adaptive.py",
        old="gradient = max(LOWEST, min(1.0, TOLERANCE * usual / took))",
        new="gradient = 1.0",
    ),
    Bug(
        name="an adaptive limit never grows back",
        promise="P9",
        family="adapting",
        file=f"{POLICIES}/adaptive.py",
        old="wanted = self.limit * gradient + QUEUE",
        new="wanted = self.limit * gradient",
    ),
)
