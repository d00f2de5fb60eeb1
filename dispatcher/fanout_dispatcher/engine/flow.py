"""How an event goes through a graph of targets: which may go now, which never will, and what has to be undone.

A pure machine over the bytes that the journal keeps, one for each position: targets first, then what stands behind
them (fallbacks, compensations) and after them (finally). Whoever settles a position says so here, and is told in the
same step what that sets in motion; both are written in one commit, so that a crash between two of them finds every
event closed: what can go is ready, what cannot is skipped, and nothing waits for something that will not come.

The rules, in the order in which they are looked at:

1. A target goes when all that it depends on is through: Delivered, Skipped because its condition was false, or given up
   with ``onDead: Continue``. It is skipped when one of those was given up otherwise, or was skipped for that reason.
2. A fallback goes when its target is given up, and stands in for it; not when that is because nobody can tell whether
   the event is for it. A target that is *covered* has a static answer instead, and nobody has to go.
3. A route with compensations is a saga. It fails when a target with ``onDead: Fail`` is given up: what has not begun is
   skipped, what waits for another try is called off, what is in flight lands first.
4. A saga that failed is undone in reverse: a compensation goes when those of all that came after its target are
   through. It is skipped where nothing can have happened: its target was never asked, or answered and said no.
5. Finally the completion callbacks, with every outcome at hand.
"""

import functools
import typing

import msgspec

from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.graph import Graph, Role

# Whether a position's condition holds, with the states as they are; None: it could not be told.
Ask = typing.Callable[[int, bytearray], bool | None]


class Moves(msgspec.Struct, eq=False):
    """What one settlement set in motion, by position. All of it stands in the states already."""

    freed: list[int] = msgspec.field(default_factory=list)
    skipped: list[int] = msgspec.field(default_factory=list)  # they had not begun
    called_off: list[int] = msgspec.field(default_factory=list)  # they were with their lane
    baffled: list[int] = msgspec.field(default_factory=list)  # given up: their condition could not be told


class Flow:
    """The rules for one graph. It keeps nothing of any event."""

    __slots__ = ("_compensated", "_doers", "_fallback", "_finals", "_later", "_steps", "_undo", "keeps", "saga")

    def __init__(self, graph: Graph) -> None:
        self._steps = graph
        places = range(len(graph))
        self._doers = tuple(place for place in _in_order(graph) if graph[place].role <= Role.FALLBACK)
        self._fallback = {graph[place].after[0]: place for place in places if graph[place].role is Role.FALLBACK}
        self._undo = {graph[place].after[0]: place for place in places if graph[place].role is Role.COMPENSATION}
        self._finals = tuple(place for place in places if graph[place].role is Role.FINAL)
        self._compensated = tuple(self._undo)
        self._later = _descendants(graph)
        self.saga = bool(self._undo)
        self.keeps = any(step.keep for step in graph)  # expressions read what became of some of them

    def __repr__(self) -> str:
        return f"<Flow {len(self._steps)} steps{' saga' if self.saga else ''}>"

    def role(self, place: int) -> Role:
        """What the position is for."""
        return self._steps[place].role

    def compensated(self, place: int) -> bool:
        """Whether there is something to be undone once the position was asked: it is noted before it is asked."""
        return place in self._undo

    def stood_in(self, states: bytes | bytearray, place: int) -> bool:
        """Whether a target was given up and something stood in for it, or is about to."""
        fallback = self._fallback.get(place)
        passed_over = fallback is None or states[fallback] in (State.NOT_REACHED, State.NOT_NEEDED)
        return _state(states, place) == State.DEAD and (self.covered(place) or not passed_over)

    def covered(self, place: int) -> bool:
        """Whether a static answer stands in for a target."""
        return self._steps[place].covered

    def stands_in(self, states: bytes | bytearray, place: int) -> bool:
        """Whether a target that is given up now is no loss: an answer covers it, or its fallback is going to be asked.

        Not where the saga has failed already: what has not begun is skipped there.
        """
        if self.covered(place):
            return True
        fallback = self._fallback.get(place)
        return fallback is not None and states[fallback] == State.BLOCKED and not self.failing(states)

    def begin(self, ask: Ask) -> tuple[bytearray, Moves]:
        """The states of a new event, with what may go at once."""
        states = bytearray([State.BLOCKED]) * len(self._steps)
        return states, self._close(states, frozenset(), ask)

    def settled(
        self, states: bytearray, place: int, *, unknown: bool, flying: typing.Container[int], ask: Ask
    ) -> Moves:
        """Position *place* was settled: *states* says how. *unknown*: it may have been done, although it is given up.

        *flying* are the positions that are in flight: they land before anything is undone.
        """
        moves = Moves()
        undo = self._undo.get(place)
        if undo is not None and _state(states, place) != State.DELIVERED and not unknown:
            self._skip(states, undo, State.NOT_NEEDED, moves)
        return self._close(states, flying, ask, moves)

    def failing(self, states: bytes | bytearray) -> bool:
        """Whether this is a saga that is being undone, or was."""
        return self.saga and any(
            self._steps[place].role is Role.TARGET
            and self._steps[place].vital
            and self._fate(states, place) == State.DEAD
            for place in self._doers
        )

    def stuck(self, states: bytes | bytearray) -> bool:
        """Whether a compensation was given up: somebody has to decide."""
        return any(states[place] == State.STUCK for place in self._undo.values())

    # --- the rules ---------------------------------------------------------------------------------------------------

    def _close(self, states: bytearray, flying: typing.Container[int], ask: Ask, moves: Moves | None = None) -> Moves:
        moves = moves or Moves()
        while self._targets(states, flying, ask, moves):
            pass
        if any(_pending(states, place) for place in self._doers):
            return moves
        self._compensations(states, moves)
        if not any(_pending(states, place) for place in self._undo.values()):
            for place in (final for final in self._finals if states[final] == State.BLOCKED):
                self._release(states, place, ask, moves)
        return moves

    def _targets(self, states: bytearray, flying: typing.Container[int], ask: Ask, moves: Moves) -> bool:
        """Rules 1 to 3, once; True when a condition that could not be told has changed what holds."""
        failing = self.failing(states)
        baffled = len(moves.baffled)
        for place in self._doers:
            if not _pending(states, place):
                continue
            blocked = states[place] == State.BLOCKED
            if failing and (blocked or place in moves.freed):
                self._pass_over(states, place, State.NOT_REACHED, moves)
            elif failing and place not in flying:
                self._call_off(states, place, moves)
            elif not failing and blocked:
                self._turn(states, place, ask, moves)
        return len(moves.baffled) > baffled

    def _turn(self, states: bytearray, place: int, ask: Ask, moves: Moves) -> None:
        """Whether it is the turn of a blocked target or fallback."""
        step = self._steps[place]
        if step.role is Role.FALLBACK:
            of = _state(states, step.after[0])
            if of == State.DEAD:
                self._release(states, place, ask, moves)
            elif of != State.PENDING:
                self._skip(states, place, State.NOT_NEEDED, moves)
            return
        fates = [self._passes(states, of) for of in step.after]
        if False in fates:
            self._pass_over(states, place, State.NOT_REACHED, moves)
        elif None not in fates:
            self._release(states, place, ask, moves)

    def _passes(self, states: bytearray, place: int) -> bool | None:
        """Whether what depends on a target may go; None as long as that is open."""
        fate = self._fate(states, place)
        if fate == State.PENDING:
            return None
        if fate == State.DEAD:
            return not self._steps[place].vital
        return states[place] != State.NOT_REACHED

    def _fate(self, states: bytes | bytearray, place: int) -> int:
        """What became of a target, its fallback included."""
        state = _state(states, place)
        if state != State.DEAD:
            return state
        if self._steps[place].covered:
            return State.DELIVERED
        fallback = self._fallback.get(place)
        if fallback is None:
            return State.DEAD
        return {State.SKIPPED: State.DEAD}.get(behind := _state(states, fallback), behind)

    def _compensations(self, states: bytearray, moves: Moves) -> None:
        """Rule 4."""
        failing = self.failing(states)
        for of in self._compensated:
            place = self._undo[of]
            if states[place] != State.BLOCKED:
                continue
            if not failing:
                self._skip(states, place, State.NOT_NEEDED, moves)
            elif not any(_pending(states, self._undo[later]) for later in self._later[of] if later in self._undo):
                states[place] = State.PENDING
                moves.freed.append(place)

    def _release(self, states: bytearray, place: int, ask: Ask, moves: Moves) -> None:
        held = self._steps[place].when is None or ask(place, states)
        if held:
            states[place] = State.PENDING
            moves.freed.append(place)
        elif held is None:
            states[place] = State.DEAD
            moves.baffled.append(place)
            self._not_begun(states, place, moves)
            if place in self._fallback:
                self._skip(states, self._fallback[place], State.NOT_NEEDED, moves)
        else:
            self._pass_over(states, place, State.SKIPPED, moves)

    def _pass_over(self, states: bytearray, place: int, how: int, moves: Moves) -> None:
        if place in moves.freed:
            moves.freed.remove(place)  # in this very step: nobody was told
        self._skip(states, place, how, moves)
        self._not_begun(states, place, moves)

    def _not_begun(self, states: bytearray, place: int, moves: Moves) -> None:
        undo = self._undo.get(place)
        if undo is not None:
            self._skip(states, undo, State.NOT_NEEDED, moves)

    def _call_off(self, states: bytearray, place: int, moves: Moves) -> None:
        """It is with its lane and not in flight; it may have been done if it was asked and no answer was read."""
        asked = states[place] & (State.STARTED | State.UNKNOWN)
        states[place] = State.CALLED_OFF
        moves.called_off.append(place)
        if not asked:
            self._not_begun(states, place, moves)

    def _skip(self, states: bytearray, place: int, how: int, moves: Moves) -> None:
        states[place] = how
        moves.skipped.append(place)


@functools.lru_cache(maxsize=4096)
def flow_of(graph: Graph) -> Flow:
    """The rules for *graph*: one object for all events that it is frozen with."""
    return Flow(graph)


def _state(states: bytes | bytearray, place: int) -> int:
    return states[place] & State.MASK


def _pending(states: bytes | bytearray, place: int) -> bool:
    return not states[place] & State.MASK


def _in_order(graph: Graph) -> list[int]:
    """All positions, each after those that it waits for. That there is no cycle, the manifest's check has seen to."""
    order: list[int] = []
    left = dict.fromkeys(range(len(graph)))
    while left:
        ready = [place for place in left if not any(of in left for of in graph[place].after)]
        assert ready, f"{graph} has a cycle"
        order += ready
        for place in ready:
            del left[place]
    return order


def _descendants(graph: Graph) -> dict[int, frozenset[int]]:
    """For each target the targets that came after it because of it, however far."""
    found: dict[int, frozenset[int]] = {}
    for place in reversed(_in_order(graph)):
        nearest = [other for other, step in enumerate(graph) if place in step.after and step.role is Role.TARGET]
        found[place] = frozenset(nearest).union(*(found[other] for other in nearest))
    return found
