"""P3: a delivery is sent again after success only where nobody could know of it.

An answer that was not read to its end explains one (the target did it, we heard a reset). So does a crash before a
commit that could hold the yes. A process that was stopped in an orderly way explains nothing.
"""

import itertools

from tests.sim.checkers.reading import Reading, kept, name
from tests.sim.history import Answered


def check(reading: Reading) -> list[str]:
    """Every pair of attempts at one delivery, and what was refused."""
    wrong: list[str] = []
    for chain in reading.chains.values():
        for before, after in itertools.pairwise(chain):
            if before.yes and not _excused(reading, before.life, after.life, before.ended or 0.0):
                wrong.append(f"{name(after)}: sent again after a yes at {before.ended:.4f} in life {before.life}")
            if before.life == after.life and (before.ended is None or before.ended > after.at):
                wrong.append(f"{name(after)}: sent twice at once, since {before.at:.4f}")
    return [*wrong, *_phantoms(reading)]


def _excused(reading: Reading, then: int, now: int, heard: float) -> bool:
    """Another process sends it, and the first had neither a commit nor an orderly end to keep the yes by."""
    orderly = reading.ended[then].how == "drained" and then not in reading.ill
    return then != now and not orderly and not kept(reading, then, heard)


def _phantoms(reading: Reading) -> list[str]:
    """What was refused is never delivered.

    But for this: a commit can fail, be written all the same, and a crash come before the repair, which comes before the
    next commit that works.
    """
    refused = {one.event: one for one in reading.history.of(Answered) if one.receipt is None}
    wrong: list[str] = []
    for sent in reading.history.sent:
        no = refused.get(sent.event)
        if no is not None and (no.life == sent.life or kept(reading, no.life, no.at)):
            wrong.append(f"{name(sent)}: its producer had been told {no.reason}")
    return wrong
