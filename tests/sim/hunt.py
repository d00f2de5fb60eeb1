"""Looks for a planted bug: seeds of one family, one after the other, until one of them is found wanting.

    python -m tests.sim.hunt FAMILY FIRST MOST

The product is whatever PYTHONPATH says. Prints how many seeds it took and the first promise that was found broken;
``0`` means that all of them found nothing.
"""

import sys

from tests.sim.campaign import run


def hunt(family: str, first: int, most: int) -> str:
    """What to print."""
    for count in range(1, most + 1):
        verdict = run(first + count - 1, family)
        broken = [why for why in verdict.violations if why.startswith("P")]  # a bug that only crashes is no bug
        if broken:
            return f"{count} {broken[0]}"
    return "0"


if __name__ == "__main__":
    sys.stdout.write(hunt(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
