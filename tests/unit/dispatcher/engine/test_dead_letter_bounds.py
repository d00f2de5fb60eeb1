"""Dead letters are kept for `deadLetter.keep` and up to `deadLetter.maxBytes`; whatever goes is counted.

Each counts for its body and for some more, so that letters without a body have a bound too.

`Letters` is the list of what has died and was neither removed nor replayed, oldest first. At each look those that are
gone must be the oldest of it, and each of them must have been kept long enough, or, with DropOldest, be one that does
not fit beside all that are younger. None may be there that is too old or does not fit. What the outside is told of all
this adds up. The journal in memory and the embedded one keep them alike.
"""

import pathlib
import tempfile
import unittest.mock

import hypothesis
import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fanout_crds.plan import Plan
from fanout_dispatcher.engine import dead
from fanout_dispatcher.engine.book import PRUNE_PAUSE
from fanout_dispatcher.engine.engine import HOUSEKEEPING, SWEEP
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.journal.protocol import LETTER, Journal
from fanout_dispatcher.values.answers import Accepted, Turned
from fanout_dispatcher.values.outcome import Failed
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.support.journals import a_journal
from tests.support.plans import a_plan, a_target
from tests.unit.dispatcher.engine.stepped import CALM, Stepped

SIZES = st.sampled_from([0, 100, 100, 200, 300])
KEEPS = st.sampled_from([30.0, 100.0])
BOUNDS = st.sampled_from([1, 1200, 1400, 3000])
FULLS = st.sampled_from(["Reject", "DropOldest"])
SOON = HOUSEKEEPING + SWEEP + 1.0  # seconds after which what is kept too long is gone
ALL = DeadLetterFilter(target="a", limit=1000)
AT_ONCE = 2  # letters that are dropped in one step, so that several are needed …
STEPS = 20 * PRUNE_PAUSE  # … and time for all of them


class Letter(msgspec.Struct):
    """One that died."""

    at: float
    size: int


class Letters(RuleBasedStateMachine):
    """One target that wants nothing, and what is kept of it. Another target's letters are none of its business."""

    def journal(self) -> Journal:
        return MemoryJournal()

    @initialize(keep=KEEPS, most=BOUNDS, full=FULLS)
    def begins(self, keep: float, most: int, full: str) -> None:
        self.keep, self.most, self.full, self.edits = keep, most, full, 0
        self.stepped = Stepped(self.plan(), journal=self.journal())
        self.few = unittest.mock.patch.object(dead, "PRUNE", AT_ONCE)
        self.few.start()
        self.kept: dict[str, Letter] = {}  # by event, oldest first
        self.gone = 0
        self.changed = -SOON

    def plan(self) -> Plan:
        bounds = {"keep": self.keep, "max_bytes": self.most, "on_full": self.full}
        other = a_target("b", policy=CALM)
        return a_plan(a_target("a", policy=CALM | {"dead_letter": bounds}), other, revision=str(self.edits))

    @rule(sizes=st.lists(SIZES, min_size=1, max_size=8))
    def events_come_and_die(self, sizes: list[int]) -> None:
        """All at once: their bodies are no dead letters yet when the others are asked about."""
        kept = sum(one.size + LETTER for one in self.kept.values())
        dying: dict[str, int] = {}
        for (ident, answer), size in zip(self.stepped.post(*sizes), sizes, strict=True):
            if self.full == "Reject" and kept and kept + size + LETTER > self.most:
                assert isinstance(answer, Turned)
                assert answer.reason == "DeadLettersFull"
            else:
                assert isinstance(answer, Accepted)
                dying[ident] = size
        for ident, size in dying.items():
            for name in ("b", "a"):
                self.kept[ident] = Letter(self.stepped.land(name, ident, Failed(status=422)), size)
            self.stepped.passes(STEPS)
            self.looks()

    @rule(seconds=st.sampled_from([1.0, 29.0, 70.0, 100.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.stepped.passes(seconds)
        self.looks()

    @rule(keep=KEEPS, most=BOUNDS, full=FULLS, then=st.sampled_from([0.0, SOON + 1.0]))
    def the_bounds_change(self, keep: float, most: int, full: str, then: float) -> None:
        """Room is made by the next look at what is kept too long."""
        self.keep, self.most, self.full, self.edits = keep, most, full, self.edits + 1
        self.changed = self.stepped.now
        self.stepped.adopt(self.plan())
        self.stepped.passes(then)
        self.looks()

    @precondition(lambda self: self.kept)
    @rule(which=st.sets(st.integers(0, 20), min_size=1, max_size=3))
    def some_are_removed_by_hand(self, which: set[int]) -> None:
        picked = self.picks(which)
        removed = self.stepped.ask(self.stepped.desk.remove(DeadLetterFilter(ids=tuple(picked.values()))))
        assert removed == len(picked)
        for ident in picked:
            del self.kept[ident]
        self.looks()

    @precondition(lambda self: self.kept)
    @rule(which=st.sets(st.integers(0, 20), min_size=1, max_size=3))
    def some_are_replayed_and_die_again(self, which: set[int]) -> None:
        picked = self.picks(which)
        replayed = self.stepped.ask(self.stepped.desk.replay(DeadLetterFilter(ids=tuple(picked.values()))))
        assert len(replayed) == len(picked)
        again = {ident: self.kept.pop(ident) for ident in picked}
        self.looks()
        for ident, letter in again.items():
            letter.at = self.stepped.land("a", ident, Failed(status=422))
            self.kept[ident] = letter
            self.stepped.passes(STEPS)
            self.looks()

    def picks(self, which: set[int]) -> dict[str, str]:
        """Ids of dead letters, by event."""
        found = self.stepped.ask(self.stepped.desk.dead_letters(ALL))
        return {found[n % len(found)].event_id: found[n % len(found)].id for n in which}

    def looks(self) -> None:
        now = self.stepped.now
        found = [letter.event_id for letter in self.stepped.ask(self.stepped.desk.dead_letters(ALL))]
        room, drops = self.most, self.full == "DropOldest"
        due = now > self.changed + SOON  # what a change of bounds asks for is done
        fit = 0
        for ident, one in reversed(list(self.kept.items())):
            fit += one.size + LETTER
            old, over = now - one.at >= self.keep, drops and fit > room
            if ident in found:
                assert not (due and now - one.at > self.keep + SOON), f"{ident} is kept too long"
                assert not (due and over), f"{ident} does not fit"
            else:
                assert old or over, f"{ident} is gone too early"
                self.gone += 1
        assert found == list(self.kept)[len(self.kept) - len(found) :], "the oldest go first"
        self.kept = {ident: self.kept[ident] for ident in found}
        tally = self.stepped.lane("a").tally
        assert tally.meter.dead_letters == len(found)
        assert tally.dead_bytes == sum(one.size for one in self.kept.values())
        assert sum(tally.meter.dropped.values()) == self.gone
        assert self.stepped.lane("b").tally.meter.dropped == {}

    def teardown(self) -> None:
        if hasattr(self, "stepped"):
            self.stepped.close()
            self.few.stop()


class LettersOnDisk(Letters):
    """The same in the embedded journal."""

    def journal(self) -> Journal:
        self.folder = tempfile.TemporaryDirectory()
        return a_journal(pathlib.Path(self.folder.name) / "journal.db")

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


Letters.TestCase.settings = hypothesis.settings(max_examples=25, stateful_step_count=20, derandomize=True)
LettersOnDisk.TestCase.settings = hypothesis.settings(max_examples=10, stateful_step_count=20, derandomize=True)
TestLetters = Letters.TestCase
TestLettersOnDisk = LettersOnDisk.TestCase
