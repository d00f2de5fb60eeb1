"""The one way in which a demo fails: something it wanted to show was not so."""


class Unproven(Exception):
    """A proof that did not hold; the sentence says which."""


def prove(holds: bool, otherwise: str) -> None:
    """Go on when it *holds*; else the demo ends with the sentence *otherwise* and status 1."""
    if not holds:
        raise Unproven(otherwise)
