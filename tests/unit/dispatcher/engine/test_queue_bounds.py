"""No more waits for a target than its queue holds, and no more of its dead letters are kept (api.md, problems.md).

`Spec` says of one target what the fields say: what waits for it counts with its body and 512 bytes each, and one event,
or one batch of them, may always wait. What is more is turned away for all targets of the route, by the name of the
first that says so (``onFull: Reject``), or becomes a dead letter of that one target (``onFull: DeadLetter``).
Hypothesis lets events come, alone, in the same moment or as one batch, lets targets answer, commits fail and plans
change.
"""

import typing

import hypothesis
import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fanout_crds import plan
from fanout_crds.policy import QueueFull
from fanout_dispatcher.journal.memory import MemoryJournal, Mishap
from fanout_dispatcher.journal.protocol import Batch
from fanout_dispatcher.values.answers import Accepted, AcceptedAll, Turned
from fanout_dispatcher.values.outcome import Delivered, Failed
from tests.support.plans import a_plan, a_target
from tests.unit.dispatcher.engine.stepped import CALM, Stepped

NAMES = ("a", "b")
JOURNAL = 8192  # a queue that says nothing has a quarter of it
SIZES = st.sampled_from([0, 1, 88, 488, 489]) | st.integers(0, 1500)  # with 512 each: just as much as a bound, and more

queues = st.builds(
    plan.Queue,
    max_bytes=st.sampled_from([1, 1024, 2000, 3001, None]),
    on_full=st.sampled_from(typing.get_args(QueueFull)),
)
letters = st.builds(
    plan.DeadLetters,
    keep=st.just(3600.0),
    max_bytes=st.sampled_from([1, 1200, 4000, 1 << 30]),
    on_full=st.sampled_from(["Reject", "Reject", "DropOldest"]),
)


def _weight(sizes: typing.Iterable[int]) -> int:
    """What bodies of these *sizes* count for, waiting or dead."""
    return sum(size + 512 for size in sizes)


class Spec(msgspec.Struct):
    """What one target has, by event: the sizes of bodies."""

    queue: plan.Queue
    letter: plan.DeadLetters
    waiting: dict[str, int] = {}
    dead: list[int] = []
    born_dead: list[int] = []  # not committed yet

    def full(self, *sizes: int) -> bool:
        """No more may wait."""
        most = self.queue.max_bytes or JOURNAL // 4
        return bool(self.waiting) and _weight((*self.waiting.values(), *sizes)) > most

    def turns_away(self, *sizes: int) -> str | None:
        """The reason of a 503."""
        if self.queue.on_full == "Reject" and self.full(*sizes):
            return "QueueFull"
        kept, more = _weight(self.dead), _weight(sizes)
        if self.letter.on_full == "Reject" and kept and kept + more > self.letter.max_bytes:
            return "DeadLettersFull"
        return None


class Queues(RuleBasedStateMachine):
    """Two targets of one route, and all that waits for them."""

    @initialize(queue=st.tuples(queues, queues), letter=st.tuples(letters, letters))
    def begins(self, queue: tuple[plan.Queue, ...], letter: tuple[plan.DeadLetters, ...]) -> None:
        self.edits = 0
        self.mishaps: list[Mishap] = []
        self.specs = dict(zip(NAMES, map(Spec, queue, letter), strict=True))
        journal = MemoryJournal(mishap=self.mishap)
        self.stepped = Stepped(self.planned(), journal=journal, journal_bytes=JOURNAL)

    def mishap(self, batch: Batch) -> Mishap | None:
        return self.mishaps.pop() if self.mishaps and batch.events else None

    def planned(self) -> plan.Plan:
        retry = {"budget": None, "backoff": {"type": "Constant", "base_delay": 1.0, "jitter": "None"}}
        targets = (
            a_target(name, policy=CALM | {"retry": retry, "queue": one.queue, "dead_letter": one.letter})
            for name, one in self.specs.items()
        )
        return a_plan(*targets, revision=str(self.edits))

    def told(self, *sizes: int) -> Turned | None:
        """What a producer of these must be told."""
        for name, one in self.specs.items():
            if (reason := one.turns_away(*sizes)) is not None:
                return Turned(status=503, reason=reason, detail=name)
        return None

    def owes(self, ident: str, size: int) -> None:
        for one in self.specs.values():
            if one.queue.on_full == "DeadLetter" and one.full(size):
                one.born_dead.append(size)
            else:
                one.waiting[ident] = size

    @rule(sizes=st.lists(SIZES, min_size=1, max_size=4))
    def events_come_in_one_moment(self, sizes: list[int]) -> None:
        for (ident, answer), size in zip(self.stepped.post(*sizes), sizes, strict=True):
            turned = self.told(size)
            self.is_so(answer, turned)
            if turned is None:
                self.owes(ident, size)
        self.looks()

    @rule(sizes=st.lists(SIZES, min_size=1, max_size=4))
    def events_come_as_one_batch(self, sizes: list[int]) -> None:
        idents, answer = self.stepped.post_together(*sizes)
        turned = self.told(*sizes)
        self.is_so(answer, turned)
        if turned is None:
            for ident, size in zip(idents, sizes, strict=True):
                self.owes(ident, size)
        self.looks()

    def is_so(self, answer: object, turned: Turned | None) -> None:
        if turned is None:
            assert isinstance(answer, Accepted | AcceptedAll), answer
        else:
            assert isinstance(answer, Turned)
            assert (answer.status, answer.reason) == (503, turned.reason)
            assert f"target {turned.detail} " in answer.detail

    @rule(size=SIZES, how=st.sampled_from(Mishap))
    def a_commit_fails(self, size: int, how: Mishap) -> None:
        """What was to be owed is not, and takes no room."""
        if self.told(size) is not None:
            return
        self.mishaps.append(how)
        [(_, answer)] = self.stepped.post(size)
        assert isinstance(answer, Turned)
        assert answer.reason.startswith("Journal")
        self.stepped.passes(60.0)
        self.looks()

    @precondition(lambda self: self.stepped.flying)
    @rule(which=st.integers(0, 99), outcome=st.sampled_from([Delivered(200), Failed(status=422), Failed(status=503)]))
    def a_target_answers(self, which: int, outcome: Delivered | Failed) -> None:
        target, ident = list(self.stepped.flying)[which % len(self.stepped.flying)]
        self.stepped.land(target, ident, outcome)
        if outcome != Failed(status=503):
            size = self.specs[target].waiting.pop(ident)
            if outcome == Failed(status=422):
                self.specs[target].dead.append(size)
        self.looks()

    @rule(seconds=st.sampled_from([0.5, 2.0]))
    def time_passes_for_what_is_tried_again(self, seconds: float) -> None:
        self.stepped.passes(seconds)
        self.looks()

    @rule(name=st.sampled_from(NAMES), queue=queues)
    def a_bound_changes(self, name: str, queue: plan.Queue) -> None:
        """What waits, waits on."""
        self.edits += 1
        self.specs[name].queue = queue
        self.stepped.adopt(self.planned())
        self.looks()

    def looks(self) -> None:
        """All is committed. How dead letters make room for others is looked at elsewhere: here the oldest just go."""
        for one in self.specs.values():
            one.dead, one.born_dead = one.dead + one.born_dead, []
            while one.letter.on_full == "DropOldest" and _weight(one.dead) > one.letter.max_bytes:
                del one.dead[0]

    @invariant()
    def what_waits_is_what_is_counted(self) -> None:
        for name, one in self.specs.items() if hasattr(self, "stepped") else ():
            tally = self.stepped.lane(name).tally
            assert (tally.meter.pending, tally.meter.pending_bytes) == (len(one.waiting), sum(one.waiting.values()))
            assert (tally.meter.dead_letters, tally.dead_bytes) == (len(one.dead), sum(one.dead))

    def teardown(self) -> None:
        if hasattr(self, "stepped"):
            self.stepped.close()


Queues.TestCase.settings = hypothesis.settings(max_examples=40, stateful_step_count=30, derandomize=True)
TestQueues = Queues.TestCase
