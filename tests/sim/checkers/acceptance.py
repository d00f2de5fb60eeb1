"""P1 from the producer's side: nothing is sent before it is acknowledged, nothing acknowledged before it is committed,
and a process that is stopping takes and sends nothing."""

from tests.sim.checkers.reading import Reading, name
from tests.sim.history import DURABLE, Answered, Began, Committed, Posted, Started, Stopping


def check(reading: Reading) -> list[str]:
    """In the order in which things happened."""
    wrong: list[str] = []
    posted: dict[str, float] = {}  # when each event came first, under its key if it has one
    keys: dict[tuple[str, str], float] = {}  # when the first event came under each key of a route
    keyed: set[str] = set()
    committed = -1.0  # when the newest commit that worked was put together
    unclear = -1.0  # when the newest was that failed and may have been written …
    left = -1.0  # … and then its process ended: the next one may find under a key what that commit had
    stopping: set[int] = set()
    for one in reading.history.log:
        match one:
            case Posted():
                posted[one.event] = keys.setdefault((one.plan.key, one.key), one.at) if one.key else one.at
                keyed |= {one.event} if one.key else set()
            case Committed():
                committed = one.begun if one.fault is None else committed
                unclear = one.begun if one.fault == "JournalAmbiguous" else unclear
            case Began():
                left = unclear
            case Stopping():
                stopping.add(one.life)
            case Answered(delivery=(str() as book, _)) if (
                book == DURABLE
                and (max(committed, left) if one.event in keyed else committed) + 1e-6 < posted[one.event]
            ):
                wrong.append(f"{one.event}: acknowledged at {one.at:.4f}, before any commit that could hold it")
            case Answered(receipt=str()) if one.life in stopping and posted[one.event] > _began(reading, one.life):
                wrong.append(f"{one.event}: accepted at {one.at:.4f} although the process was stopping")
            case Started():
                sent = reading.history.sent[one.n]
                if sent.life in stopping:
                    wrong.append(f"{name(sent)}: sent by a process that was stopping")
            case _:
                pass
    return wrong


def _began(reading: Reading, life: int) -> float:
    return next(one.at for one in reading.history.of(Stopping) if one.life == life)
