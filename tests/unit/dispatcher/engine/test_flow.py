"""Graphs of targets: which may go, which never will, and what is undone. Drawn at random, and compared with rules that
are written down a second time, in another way."""

import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fanout_dispatcher.engine.flow import Flow, Moves
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.graph import Graph, Role, Step

TARGETS = 12


class Drawn(msgspec.Struct, frozen=True):
    """A graph, and what will become of each target: delivered or given up, perhaps not known, after a condition."""

    graph: Graph
    lives: tuple[bool, ...]
    unknown: tuple[bool, ...]
    holds: tuple[bool | None, ...]
    seed: int

    @property
    def targets(self) -> list[int]:
        return [place for place, step in enumerate(self.graph) if step.role is Role.TARGET]

    def behind(self, place: int, role: Role) -> int | None:
        return next((at for at, step in enumerate(self.graph) if step.role is role and step.after == (place,)), None)


@st.composite
def drawn(draw: st.DrawFn, *, saga: bool) -> Drawn:
    count = draw(st.integers(1, TARGETS))
    steps = []
    for place in range(count):
        after = draw(st.sets(st.integers(0, place - 1), max_size=3)) if place else set()
        steps.append(
            Step(
                role=Role.TARGET,
                after=tuple(sorted(after)),
                vital=draw(st.booleans()) or draw(st.booleans()),
                when=draw(st.sampled_from([None, "true"])),
                covered=draw(st.integers(0, 9)) == 0,
            )
        )
    for place in range(count):
        if draw(st.integers(0, 4)) == 0 and not steps[place].covered:
            steps.append(Step(role=Role.FALLBACK, after=(place,)))
        elif saga and (draw(st.booleans()) or place == 0):
            steps.append(Step(role=Role.COMPENSATION, after=(place,)))
    steps += [Step(role=Role.FINAL)] * draw(st.integers(0, 2))
    each = len(steps)
    return Drawn(
        graph=tuple(steps),
        lives=tuple(draw(st.lists(st.integers(0, 3).map(bool), min_size=each, max_size=each))),
        unknown=tuple(draw(st.lists(st.booleans(), min_size=each, max_size=each))),
        holds=tuple(draw(st.lists(st.sampled_from([True, True, True, False, None]), min_size=each, max_size=each))),
        seed=draw(st.integers(0, 2**32)),
    )


class Played:
    """Plays one event to its end, in a random order, with several in flight at once."""

    def __init__(self, drawn: Drawn, *, compensations_live: bool = True) -> None:
        self.drawn = drawn
        self.flow = Flow(drawn.graph)
        self.rng = random.Random(drawn.seed)
        self.lives = compensations_live
        self.ready: list[int] = []
        self.flying: list[int] = []
        self.log: list[tuple[str, int]] = []
        self.stood_in: list[int] = []
        self.states, moves = self.flow.begin(self.ask)
        self.note(moves)
        while self.ready or self.flying:
            if self.ready and (not self.flying or self.rng.random() < 0.5):
                self.start()
            else:
                self.land()

    def ask(self, place: int, states: bytearray) -> bool | None:
        self.log.append(("asked whether", place))
        return self.drawn.holds[place]

    def note(self, moves: Moves) -> None:
        self.log += [("freed", place) for place in moves.freed]
        self.ready += moves.freed
        for place in moves.called_off:
            self.ready.remove(place)

    def start(self) -> None:
        place = self.ready.pop(self.rng.randrange(len(self.ready)))
        self.log.append(("sent", place))
        self.flying.append(place)

    def land(self) -> None:
        place = self.flying.pop(self.rng.randrange(len(self.flying)))
        self.log.append(("landed", place))
        unknown = self.drawn.unknown[place]
        if self.flow.failing(self.states) and self.flow.role(place) <= Role.FALLBACK and self.rng.random() < 0.3:
            self.states[place] = State.CALLED_OFF  # it would have been tried again
        elif self.flow.role(place) is Role.COMPENSATION and not self.lives:
            self.states[place] = State.STUCK
            return
        else:
            if not self.drawn.lives[place] and self.flow.stands_in(self.states, place):
                self.stood_in.append(place)
            self.states[place] = State.DELIVERED if self.drawn.lives[place] else State.DEAD
        self.note(self.flow.settled(self.states, place, unknown=unknown, flying=self.flying, ask=self.ask))

    def sent(self, place: int) -> bool:
        return ("sent", place) in self.log

    def at(self, what: str, place: int) -> int:
        return self.log.index((what, place))


def fates(drawn: Drawn) -> dict[int, str]:
    """What becomes of each target where nothing is undone, worked out target by target."""
    found: dict[int, str] = {}
    for place in drawn.targets:
        step, before = drawn.graph[place], [found[of] for of in drawn.graph[place].after]
        if any(fate == "not reached" for fate in before) or any(
            found[of] == "dead" and drawn.graph[of].vital for of in step.after
        ):
            found[place] = "not reached"
        elif step.when and drawn.holds[place] is False:
            found[place] = "skipped"
        else:
            fallback = drawn.behind(place, Role.FALLBACK)
            baffled = bool(step.when) and drawn.holds[place] is None
            lives = drawn.lives[place] and not baffled
            stands_in = step.covered or (fallback is not None and drawn.lives[fallback] and not baffled)
            found[place] = "delivered" if lives or stands_in else "dead"
    return found


NAMES = {State.SKIPPED: "skipped", State.NOT_REACHED: "not reached"}


@given(drawn(saga=False))
def test_without_compensations_each_target_has_the_fate_that_its_own_history_gives_it(drawn: Drawn) -> None:
    played = Played(drawn)

    expected = fates(drawn)
    for place in drawn.targets:
        state = played.states[place]
        if state & State.MASK == State.SKIPPED:
            assert NAMES[state] == expected[place]
        else:
            dead = state & State.MASK == State.DEAD
            fallback = drawn.behind(place, Role.FALLBACK)
            saved = drawn.graph[place].covered or (fallback is not None and played.states[fallback] == State.DELIVERED)
            assert ("dead" if dead and not saved else "delivered") == expected[place]


@given(st.booleans().flatmap(lambda saga: drawn(saga=saga)))
def test_every_event_comes_to_its_end(drawn: Drawn) -> None:
    played = Played(drawn)

    assert all(state & State.MASK for state in played.states)
    assert len(set(played.log)) == len(played.log), "a position was freed, sent or settled twice"


@given(st.booleans().flatmap(lambda saga: drawn(saga=saga)))
def test_nothing_goes_before_what_it_depends_on_has_landed(drawn: Drawn) -> None:
    played = Played(drawn)

    for place in drawn.targets:
        for of in drawn.graph[place].after:
            if played.sent(place) and played.sent(of):
                assert played.at("landed", of) < played.at("freed", place)


@given(st.booleans().flatmap(lambda saga: drawn(saga=saga)))
def test_a_fallback_goes_exactly_where_it_was_said_that_it_would_and_its_target_had_landed(drawn: Drawn) -> None:
    played = Played(drawn)

    for place in drawn.targets:
        fallback = drawn.behind(place, Role.FALLBACK)
        if fallback is not None:
            freed = ("freed", fallback) in played.log
            assert freed == (place in played.stood_in)
            assert not freed or played.at("landed", place) < played.at("freed", fallback)


@given(drawn(saga=True))
def test_a_saga_is_undone_exactly_where_something_may_have_been_done(drawn: Drawn) -> None:
    played = Played(drawn)
    failed = played.flow.failing(played.states)

    for place in drawn.targets:
        undo = drawn.behind(place, Role.COMPENSATION)
        if undo is None:
            continue
        delivered = played.states[place] & State.MASK == State.DELIVERED
        perhaps = played.sent(place) and (delivered or drawn.unknown[place])
        assert played.sent(undo) == (failed and perhaps), (played.log, list(played.states))


@given(drawn(saga=True))
def test_a_saga_is_undone_in_reverse_and_only_when_nothing_is_in_flight_any_more(drawn: Drawn) -> None:
    played = Played(drawn)
    undone = [place for place in drawn.targets if played.sent(drawn.behind(place, Role.COMPENSATION) or -1)]

    landed = [at for at, (what, place) in enumerate(played.log) if what == "landed" and place in drawn.targets]
    for place in undone:
        undo = drawn.behind(place, Role.COMPENSATION)
        assert undo is not None
        assert max(landed) < played.at("freed", undo)
        for later in undone:
            if place in drawn.graph[later].after:
                after = drawn.behind(later, Role.COMPENSATION)
                assert after is not None
                assert played.at("landed", after) < played.at("freed", undo)


@given(st.booleans().flatmap(lambda saga: drawn(saga=saga)))
def test_completion_callbacks_come_last(drawn: Drawn) -> None:
    played = Played(drawn)
    finals = {place for place, step in enumerate(drawn.graph) if step.role is Role.FINAL}

    first = min((at for at, (what, place) in enumerate(played.log) if place in finals), default=len(played.log))
    assert all(place in finals for _, place in played.log[first:])
    assert {place for what, place in played.log if what == "sent"} >= {
        place for place in finals if not drawn.graph[place].when
    }


@given(drawn(saga=True))
def test_a_compensation_that_is_given_up_leaves_the_saga_stuck(drawn: Drawn) -> None:
    played = Played(drawn, compensations_live=False)
    undo = [place for place, step in enumerate(drawn.graph) if step.role is Role.COMPENSATION and played.sent(place)]

    assert played.flow.stuck(played.states) == bool(undo)
    finals = [place for place, step in enumerate(drawn.graph) if step.role is Role.FINAL]
    if undo:
        assert not any(played.sent(place) for place in finals)
