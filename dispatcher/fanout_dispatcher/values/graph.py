"""A graph of targets, as it is frozen with an event: what each position is for, and what it waits for."""

import enum

import msgspec


class Role(enum.IntEnum):
    """What a position is for."""

    TARGET = 0
    FALLBACK = 1
    COMPENSATION = 2
    FINAL = 3


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One position of a graph, as it is frozen with an event."""

    role: Role = Role.TARGET
    after: tuple[int, ...] = ()  # a target: what it depends on; a fallback or compensation: its target
    vital: bool = True  # a target with onDead Fail
    when: str | None = None  # its condition, asked as its turn comes; None: there is none
    covered: bool = False  # a target with a static fallback: given up, it counts as delivered
    keep: int = 0  # bytes of its answer that are kept, for expressions that read it; 0: nothing of what became of it


Graph = tuple[Step, ...]
