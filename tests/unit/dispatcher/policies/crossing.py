"""A flight as gates see it."""


class Crossed:
    """What a gate sees, and may write on."""

    def __init__(self, entered: float = 0.0, *, number: int = 1) -> None:
        self.entered = entered
        self.number = number
        self.epoch = 0
        self.probe = False
