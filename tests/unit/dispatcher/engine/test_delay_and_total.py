"""A delivery is asked for not before its delay and not after its total, and is given up in time (promises of api.md).

`Owed` says of one delivery what the fields say: its first attempt comes `delay` after the event was accepted, each next
one a backoff after the last has failed, and none once `timeouts.total` has passed since acceptance; then it is a dead
letter, Expired, whatever it waited for. Hypothesis lets events come, targets answer, people suspend the route and
change its plan, and looks after each quarter of a second whether all that should have been asked for has been.
"""

from collections.abc import Callable, Collection, Iterator

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fanout_crds.plan import Plan
from fanout_dispatcher.engine.engine import SWEEP
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.journal.protocol import Pulled
from fanout_dispatcher.values.answers import Accepted
from fanout_dispatcher.values.outcome import Delivered, Failed
from tests.support.plans import a_plan, a_target
from tests.unit.dispatcher.engine.stepped import A_MOMENT, CALM, Stepped

LATE = 0.01  # seconds: a commit and a timer's grain
STEP = 0.25
HOUR = 3600.0  # longer than any life here: a circuit that has opened stays open until people mind it no more
WAIT = 3.0
DELAYS = st.sampled_from([0.0, 0.0, 2.0, 7.5])
TOTALS = st.sampled_from([0.0, 5.0, 8.0, 12.0])


def a_route(
    *, delay: float = 0.0, total: float = 0.0, slots: int = 100, minded: bool = False, **changes: object
) -> Plan:
    """One target that is tried again after WAIT; a circuit that is *minded* opens at the third failure in a row."""
    backoff = {"type": "Constant", "base_delay": WAIT, "jitter": "None"}
    policy = CALM | {
        "circuit_breaker": {"enabled": minded, "consecutive_failures": 3, "open_duration": HOUR},
        "bulkhead": {"max_concurrent": slots},
        "retry": {"budget": None, "backoff": backoff},
        "timeouts": {"attempt": 0.0, "total": total},
    }
    return a_plan(a_target("a", delay=delay, policy=policy), **changes)


@pytest.fixture
def begin() -> Iterator[Callable[[Plan], Stepped]]:
    begun: list[Stepped] = []

    def one(plan: Plan) -> Stepped:
        begun.append(Stepped(plan))
        return begun[-1]

    yield one
    for stepped in begun:
        stepped.close()


def test_what_waits_for_a_slot_behind_a_younger_one_is_given_up_in_time(begin: Callable[[Plan], Stepped]) -> None:
    """The attempt of the younger one fails first: so that is tried again first, and others have taken both slots."""
    stepped = begin(a_route(total=12.0, slots=2))
    stepped.post(2)
    stepped.passes(5.0)
    stepped.post(2)
    stepped.land("a", "e2", Failed(status=503))
    stepped.passes(1.0)
    stepped.land("a", "e1", Failed(status=503))
    stepped.post(2, 2)
    stepped.passes(12.0 + SWEEP - stepped.now)

    assert [death.reason for death in stepped.deaths()] == ["Expired"]


@pytest.mark.parametrize("looks_that_fail", [0, 1])
def test_what_comes_back_while_a_younger_one_waits_in_the_journal_is_given_up_in_time(
    begin: Callable[[Plan], Stepped], monkeypatch: pytest.MonkeyPatch, looks_that_fail: int
) -> None:
    """Its circuit opens as it fails: nobody takes it up again, and all that was known to expire was the younger one."""
    stepped = begin(a_route(total=12.0, minded=True))
    stepped.post(2, 2, 2)
    stepped.adopt(a_route(total=12.0, minded=True, delay=7.5, revision="1"))
    stepped.passes(4.0)
    stepped.post(2)
    stepped.passes(2.0)
    for ident in ("e1", "e2", "e3"):
        stepped.land("a", ident, Failed(status=503))
    stepped.passes(12.0 - stepped.now)
    looks = [JournalFault("the disk cannot be read")] * looks_that_fail
    look = stepped.journal.oldest

    def oldest(lane: int, limit: int, skip: Collection[int]) -> list[Pulled]:
        if looks:
            raise looks.pop()
        return look(lane, limit, skip)

    monkeypatch.setattr(stepped.journal, "oldest", oldest)
    stepped.passes(SWEEP * (1 + looks_that_fail) + A_MOMENT)

    assert not looks
    assert [death.reason for death in stepped.deaths()] == ["Expired"] * 3


class Owed(msgspec.Struct):
    """One delivery, and when it may be asked for next."""

    accepted: float
    due: float
    number: int = 1

    def expires(self, total: float) -> float:
        """When it is given up."""
        return self.accepted + total if total else float("inf")


class Patience(RuleBasedStateMachine):
    """One target. All that happens, happens at another time than what is due: a moment passes with each step."""

    @initialize(delay=DELAYS, total=TOTALS, slots=st.sampled_from([1, 2, 100]))
    def begins(self, delay: float, total: float, slots: int) -> None:
        self.delay, self.total, self.slots, self.suspended = delay, total, slots, False
        self.edits, self.minded = 0, True
        self.stepped = Stepped(self.plan())
        self.waiting: dict[str, Owed] = {}
        self.flying: dict[str, Owed] = {}
        self.doomed: set[str] = set()  # the next try would come too late
        self.receipts: dict[str, str] = {}
        self.changed = 0.0  # when the plan last did

    @property
    def lane(self) -> Lane:
        return self.stepped.lane("a")

    def plan(self) -> Plan:
        return a_route(
            delay=self.delay,
            total=self.total,
            slots=self.slots,
            minded=self.minded,
            suspend=self.suspended,
            revision=str(self.edits),
        )

    @rule(count=st.integers(1, 3))
    def events_come(self, count: int) -> None:
        now = self.stepped.now
        for ident, answer in self.stepped.post(*[2] * count):
            assert isinstance(answer, Accepted)
            self.receipts[answer.receipt] = ident
            self.waiting[ident] = Owed(now, now + self.delay)
        self.looks()

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 99))
    def an_attempt_fails(self, which: int) -> None:
        ident = list(self.flying)[which % len(self.flying)]
        one = self.flying.pop(ident)
        at = self.stepped.land("a", ident, Failed(status=503))
        one.due, one.number = at + WAIT, one.number + 1
        if one.due >= one.expires(self.total):
            self.doomed.add(ident)
        else:
            self.waiting[ident] = one
        self.looks()

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 99))
    def an_attempt_succeeds_however_late(self, which: int) -> None:
        ident = list(self.flying)[which % len(self.flying)]
        del self.flying[ident]
        self.stepped.land("a", ident, Delivered(200))
        self.looks()

    @rule(steps=st.integers(1, 4) | st.integers(1, 40))
    def time_passes(self, steps: int) -> None:
        for _ in range(steps):
            self.stepped.passes(STEP)
            self.looks()

    @rule()
    def people_suspend_or_resume_the_route(self) -> None:
        self.suspended = not self.suspended
        self.adopts()

    @precondition(lambda self: self.waiting and self.total)
    @rule()
    def people_resume_it_just_when_one_has_expired(self) -> None:
        """Before anybody has come by to give it up: all the same it is not sent."""
        self.suspended = True
        self.adopts()
        first = min((one.expires(self.total) for one in self.waiting.values()), default=0.0)
        self.stepped.passes(max(0.0, first - self.stepped.now) + 0.001)
        self.suspended = False
        self.adopts()

    @rule()
    def people_mind_the_circuit_or_do_not(self) -> None:
        self.minded = not self.minded
        self.adopts()

    @rule(delay=DELAYS)
    def the_delay_changes_for_what_comes_later(self, delay: float) -> None:
        self.delay = delay
        self.adopts()

    @rule(total=TOTALS)
    def the_total_changes_for_all(self, total: float) -> None:
        self.total = total
        self.adopts()

    def adopts(self) -> None:
        self.edits += 1
        self.changed = self.stepped.now
        self.stepped.adopt(self.plan())
        self.looks()

    def looks(self) -> None:
        for flight in self.stepped.asked:
            ident = flight.event.head.id
            one = self.flying[ident] = self.waiting.pop(ident)
            assert one.due <= flight.entered < one.expires(self.total), ident
            assert flight.number == one.number
        self.stepped.asked.clear()
        now = self.stepped.now
        for death in self.stepped.deaths():
            ident = self.receipts[death.receipt]
            assert death.reason == "Expired"
            if ident in self.doomed:
                self.doomed.remove(ident)
            else:
                assert self.waiting.pop(ident).expires(self.total) <= now, ident
        assert not self.doomed
        for ident, one in self.waiting.items():
            given_up = max(one.expires(self.total), self.changed) + SWEEP + LATE
            assert now < given_up, f"{ident} should be given up"
            could_go = self.lane.why_held() is None and len(self.flying) < self.slots
            if could_go and now < one.expires(self.total):
                assert now < max(one.due, self.changed) + LATE, f"{ident} should be in flight"
        assert len(self.flying) <= self.slots
        assert self.lane.tally.meter.pending == len(self.waiting) + len(self.flying)

    @rule()
    def in_the_end_nothing_is_owed(self) -> None:
        if self.suspended:
            self.people_suspend_or_resume_the_route()
        if self.minded:
            self.people_mind_the_circuit_or_do_not()
        for _ in range(100):
            while self.flying:
                self.an_attempt_succeeds_however_late(0)
            if not self.waiting:
                return
            self.time_passes(4)
        raise AssertionError(f"still owed: {self.waiting}")

    def teardown(self) -> None:
        if hasattr(self, "stepped"):
            self.stepped.close()


Patience.TestCase.settings = hypothesis.settings(max_examples=40, stateful_step_count=40, derandomize=True)
TestPatience = Patience.TestCase
