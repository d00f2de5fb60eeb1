"""Looks for a planted bug: seeds of one family, one after the other, until one of them breaks the promise it should.

    python -m tests.sim.hunt FAMILY FIRST MOST [PROMISE]

The product is whatever PYTHONPATH says. Prints how many seeds it took and what was found broken; ``0`` means that all
of them found nothing. Without a promise whatever is wrong counts: so a product without a bug is held to be clean.
"""

import sys

from tests.sim.campaign import run


def hunt(family: str, first: int, most: int, promise: str = "") -> str:
    """What to print."""
    for count in range(1, most + 1):
        verdict = run(first + count - 1, family)
        broken = [why for why in verdict.violations if not promise or why.startswith(f"{promise} ")]
        if broken:
            return f"{count} {broken[0]}"
    return "0"


if __name__ == "__main__":
    family, first, most, *promise = sys.argv[1:]
    sys.stdout.write(hunt(family, int(first), int(most), *promise))
