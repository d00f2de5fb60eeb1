"""A flight as gates see it."""


class Crossed:
    """What a gate may write on."""

    def __init__(self) -> None:
        self.epoch = 0
        self.probe = False
