"""A flight as gates see it."""

from fanout_dispatcher.values.event import Event
from tests.support.journals import an_event

EVENT = an_event(1)


class Crossed:
    """What a gate sees, and may write on."""

    def __init__(self, entered: float = 0.0, *, number: int = 1, event: Event | None = None) -> None:
        self.event = event or EVENT
        self.entered = entered
        self.number = number
        self.epoch = 0
        self.probe = False
