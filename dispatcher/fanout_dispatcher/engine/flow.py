"""How an event goes through a graph of targets: which may go now, which never will, and what has to be undone.

A pure state machine over the states that the journal keeps, one byte for each position of the graph: targets first,
then fallbacks, compensations and callbacks. The conductor says here that a position was settled, and is told in the
same step what follows. Both are written in one commit, so a crash always finds a graph in which every consequence is
drawn: what can go is ready, what cannot is skipped, and nothing waits for something that will not come.

The rules, in the order in which they are applied:

1. A target goes when all that it depends on is through: Delivered, Skipped because its condition was false, or given up
   with ``onDead: Continue``. It is skipped when one of those was given up otherwise, or was skipped for that reason.
2. A fallback goes when its target is given up, and stands in for it; but not when the target was given up because its
   condition had no value. A target that is *covered* has a static answer instead, and nobody is asked.
3. A route with compensations is a saga. It fails when a target with ``onDead: Fail`` is given up: what has not begun is
   skipped, what waits for another attempt is called off, and what is in flight lands first.
4. A saga that failed is undone in reverse (Garcia-Molina and Salem, *Sagas*, 1987): a compensation goes when the
   compensations of all that came after its target are through. It is skipped where nothing can have happened: its
   target was never asked, or refused.
5. Last the completion callbacks, with every outcome at hand.
"""

import functools
import typing

import msgspec

from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.graph import Graph, Role

# Whether the condition of a position holds, given the states as they are; None: the condition has no value.
Ask = typing.Callable[[int, bytearray], bool | None]


class Moves(msgspec.Struct, eq=False):
    """The positions that one settlement has changed. The states say so already; carrying it out is the conductor's."""

    freed: list[int] = msgspec.field(default_factory=list)
    skipped: list[int] = msgspec.field(default_factory=list)  # no lane had them yet
    called_off: list[int] = msgspec.field(default_factory=list)  # their lane has them, and drops them
    undecided: list[int] = msgspec.field(default_factory=list)  # given up: their condition has no value


class Flow:
    """The rules for one graph. It keeps nothing of an event: every method is given the event's states."""

    __slots__ = ("_compensated", "_fallback", "_finals", "_forward", "_later", "_steps", "_undo", "keeps", "saga")

    def __init__(self, graph: Graph) -> None:
        self._steps = graph
        places = range(len(graph))
        self._forward = tuple(place for place in _in_order(graph) if graph[place].role <= Role.FALLBACK)
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
        """Say what the position is for."""
        return self._steps[place].role

    def compensated(self, place: int) -> bool:
        """Whether the position has a compensation: then its start is on disk before it is sent."""
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
        """Whether something would stand in for a target if it were given up now: a static answer, or its fallback.

        A fallback does not once the saga has failed: it has not begun, and is skipped.
        """
        if self.covered(place):
            return True
        fallback = self._fallback.get(place)
        return fallback is not None and states[fallback] == State.BLOCKED and not self.failing(states)

    def begin(self, ask: Ask) -> tuple[bytearray, Moves]:
        """Give the states of a new event, and what may go at once."""
        states, moves = bytearray([State.BLOCKED]) * len(self._steps), Moves()
        self._close(states, frozenset(), ask, moves)
        return states, moves

    def settled(
        self,
        states: bytearray,
        place: int,
        *,
        unknown: bool,
        flying: typing.Container[int],
        ask: Ask,
        moves: Moves | None = None,
    ) -> Moves:
        """Say what follows from the settling of position *place*; *states* says how it was settled, and is changed.

        *unknown*: its target may have acted although it was given up. *flying* are the positions in flight: they land
        before anything is undone. *moves*: those of the same step so far, of which no lane has heard yet.
        """
        moves = Moves() if moves is None else moves
        undo = self._undo.get(place)
        if undo is not None and _state(states, place) != State.DELIVERED and not unknown:
            self._skip(states, undo, State.NOT_NEEDED, moves)
        self._close(states, flying, ask, moves)
        return moves

    def failing(self, states: bytes | bytearray) -> bool:
        """Whether this is a saga that has failed: it is being undone, or was."""
        return self.saga and any(
            self._steps[place].role is Role.TARGET
            and self._steps[place].vital
            and self._fate(states, place) == State.DEAD
            for place in self._forward
        )

    def fails(self, place: int) -> bool:
        """Whether this is a saga that has failed where position *place* is given up and nothing stands in for it."""
        step = self._steps[place]
        if step.role is Role.FALLBACK:
            return self.fails(step.after[0])
        return self.saga and step.role is Role.TARGET and step.vital

    def undoing(self, states: bytes | bytearray) -> str | None:
        """Say in a word how far the undoing of a saga is that has failed; None: nothing is undone."""
        if not self.failing(states):
            return None
        if self.stuck(states):
            return "Stuck"
        if any(_pending(states, place) for place in (*self._forward, *self._undo.values())):
            return "Undoing"
        gave_up = any(_state(states, place) == State.DEAD for place in self._undo.values())
        return "Abandoned" if gave_up else "Undone"

    def stuck(self, states: bytes | bytearray) -> bool:
        """Whether a compensation was given up: somebody has to decide."""
        return any(states[place] == State.STUCK for place in self._undo.values())

    # --- the rules ---------------------------------------------------------------------------------------------------

    def _close(self, states: bytearray, flying: typing.Container[int], ask: Ask, moves: Moves) -> None:
        """Apply the rules until nothing more follows."""
        while self._targets(states, flying, ask, moves):
            pass
        if any(_pending(states, place) for place in self._forward):
            return
        self._compensations(states, moves)
        if any(_pending(states, place) for place in self._undo.values()):
            return
        for place in self._finals:
            if states[place] == State.BLOCKED:
                self._release(states, place, ask, moves)

    def _targets(self, states: bytearray, flying: typing.Container[int], ask: Ask, moves: Moves) -> bool:
        """Apply rules 1 to 3 once. True when a condition without a value gave a target up: then apply them again."""
        failing = self.failing(states)
        undecided = len(moves.undecided)
        for place in self._forward:
            if not _pending(states, place):
                continue
            blocked = states[place] == State.BLOCKED
            if failing and (blocked or place in moves.freed):
                self._pass_over(states, place, State.NOT_REACHED, moves)
            elif failing and place not in flying:
                self._call_off(states, place, moves)
            elif not failing and blocked:
                self._turn(states, place, ask, moves)
        return len(moves.undecided) > undecided

    def _turn(self, states: bytearray, place: int, ask: Ask, moves: Moves) -> None:
        """Release or skip a blocked target or fallback, if that is decided by now (rules 1 and 2)."""
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
        """Say what became of a target, its fallback included."""
        state = _state(states, place)
        if state != State.DEAD:
            return state
        if self._steps[place].covered:
            return State.DELIVERED
        fallback = self._fallback.get(place)
        stand_in = State.SKIPPED if fallback is None else _state(states, fallback)
        return State.DEAD if stand_in == State.SKIPPED else stand_in

    def _compensations(self, states: bytearray, moves: Moves) -> None:
        """Apply rule 4."""
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
        """Ask the condition of a position whose turn has come, and do as it says."""
        held = self._steps[place].when is None or ask(place, states)
        if held:
            states[place] = State.PENDING
            moves.freed.append(place)
        elif held is None:
            states[place] = State.DEAD
            moves.undecided.append(place)
            self._not_begun(states, place, moves)
            if place in self._fallback:
                self._skip(states, self._fallback[place], State.NOT_NEEDED, moves)
        else:
            self._pass_over(states, place, State.SKIPPED, moves)

    def _pass_over(self, states: bytearray, place: int, how: int, moves: Moves) -> None:
        """Skip a position, and with it what would compensate it."""
        if place in moves.freed:
            moves.freed.remove(place)  # freed in this very step: no lane has heard of it
        self._skip(states, place, how, moves)
        self._not_begun(states, place, moves)

    def _not_begun(self, states: bytearray, place: int, moves: Moves) -> None:
        """Skip the compensation of a position that never was asked, if it has one."""
        undo = self._undo.get(place)
        if undo is not None:
            self._skip(states, undo, State.NOT_NEEDED, moves)

    def _call_off(self, states: bytearray, place: int, moves: Moves) -> None:
        """Take a position back from its lane, where it waits. If it was ever asked, its target may have acted."""
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
    """Give the rules for *graph*: one object for all events that it is frozen with."""
    return Flow(graph)


def _state(states: bytes | bytearray, place: int) -> int:
    return states[place] & State.MASK


def _pending(states: bytes | bytearray, place: int) -> bool:
    return not states[place] & State.MASK


def _in_order(graph: Graph) -> list[int]:
    """Give all positions, each after those that it waits for. A cycle was refused with the manifest."""
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
    """Give for each position the targets that depend on it, directly or through others."""
    found: dict[int, frozenset[int]] = {}
    for place in reversed(_in_order(graph)):
        nearest = [other for other, step in enumerate(graph) if place in step.after and step.role is Role.TARGET]
        found[place] = frozenset(nearest).union(*(found[other] for other in nearest))
    return found
