"""Accepting the events of a batch together: all of them or none.

The committer puts whatever is appended in one turn of the loop into one transaction, and so does this: it appends them
all without giving way. They are committed together or refused together, each with deliveries of its own. The bounds are
asked for all of them at once, before the first is appended.
"""

from fanout_dispatcher.engine.acceptance import Acceptance, count
from fanout_dispatcher.engine.filters import Judged
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.values.answers import Accepted, AcceptedAll, Answered, ReplyAll
from fanout_dispatcher.values.event import Head


class Replies:
    """Collects what is said to each event of a batch, in their order, and answers once."""

    def __init__(self, size: int, reply: ReplyAll) -> None:
        self.size = size
        self.reply = reply
        self.receipts: list[str] = []

    def answered(self, answer: Answered) -> None:
        """Note a receipt; the last one answers. The first refusal does, too: the others are the same."""
        if isinstance(answer, Accepted):
            self.receipts.append(answer.receipt)
            if len(self.receipts) == self.size:
                self.reply(AcceptedAll(tuple(self.receipts)))
        elif self.size:
            self.size = 0
            self.reply(answer)


def accept(acceptance: Acceptance, route: Route, events: list[tuple[Head, bytes]], reply: ReplyAll) -> None:
    """Take *events*, one at least, for every target of *route*; *reply* is called once."""
    judgements = [route.judge(head, body) for head, body in events]
    size = sum(len(body) for _, body in events)
    turned = acceptance.turned(route, size, _together([judged for judged, _ in judgements]), len(events))
    if turned is not None:
        for _ in events:
            count(route.meter, turned)
        return reply(turned)
    replies = Replies(len(events), reply)
    frozen, lanes, meter = route.frozen, route.lanes, route.meter
    for (head, body), judgement in zip(events, judgements, strict=True):
        acceptance.take(frozen, lanes, head, body, judgement, reply=replies.answered, meter=meter)
    return None


def _together(judged: list[Judged | None]) -> Judged | None:
    """For which targets any of the events is: only those are asked for room. None: for all of them."""
    every = [one for one in judged if one is not None]
    return tuple(any(said is not False for said in column) for column in zip(*every, strict=True)) if every else None
