"""Order: which key a target keeps an event in order by, and what a death means to those behind it.

The key is read once, when the event is accepted, and a digest of it goes into the journal with the event, as its rank.
From there on the journal keeps the order (journal/protocol.py): only the first of a key is ever due, so a lane that
keeps order sends whatever it pulls, and takes nothing straight into its window. An event without a key waits for
nobody. One whose key cannot be read must neither wait for anybody nor overtake: it becomes a dead letter.
"""

import hashlib
import re
import typing
import urllib.parse

import msgspec

from fanout_crds import expressions
from fanout_crds import plan as plans
from fanout_crds.expressions import Expression, Failed, Reads
from fanout_dispatcher.engine.filters import Judged
from fanout_dispatcher.values.facts import NO_READS, Facts

Key = typing.Callable[[Facts], bytes | None]  # of an event; None: it has none
Keys = typing.Sequence[bytes | None]  # for each target of a route
# Of an event: for which targets it is (None: for all), and what each keeps it in order by (None: none keeps order).
Judgement = tuple[Judged | None, Keys | None]
UNJUDGED: typing.Final[Judgement] = (None, None)
DIGEST: typing.Final = 16  # bytes; two keys that share one wait for each other, and nothing else comes of it


class Order(msgspec.Struct, frozen=True):
    """How one target keeps order. ``holds``: a dead letter keeps its place, and what is behind it waits."""

    key: Key  # raises Failed with a sentence where it cannot be read
    holds: bool
    reads: Reads = NO_READS  # of an event, as far as expressions do


class Orders:
    """The orders of one route; None for a target that keeps none."""

    def __init__(self, orders: typing.Sequence[Order | None]) -> None:
        self._orders = orders
        self.reads = expressions.together(one.reads for one in orders if one is not None)

    def judge(self, known: Facts, judged: Judged | None) -> Judgement:
        """Add to what filters *judged* of an event what each target keeps it in order by, and which keys failed."""
        said: list[bool | str] = [True for _ in self._orders] if judged is None else list(judged)
        keys: list[bytes | None] = [None for _ in self._orders]
        for place, one in enumerate(self._orders):
            if one is not None and said[place] is not False:
                try:
                    keys[place] = one.key(known)
                except Failed as why:
                    said[place] = f"policy.ordering.keyExpression: {why}"
        return said, keys


def order(policy: plans.Policy) -> Order | None:
    """What *policy* asks for; None: nothing waits for anything."""
    asked = policy.ordering
    if asked is None:
        return None
    holds = asked.after_death == "Block"
    if asked.key_expression is None:
        return Order(by_attribute(asked.key_attribute or ""), holds)
    expression = expressions.compile(asked.key_expression, expressions.KEY)
    return Order(by_expression(expression), holds, expression.reads)


def orders(plan: plans.Plan) -> Orders | None:
    """Compile the orders of *plan*, whose expressions were checked; None when no target keeps one."""
    made = [order(target.policy) for target in plan.targets]
    return None if all(one is None for one in made) else Orders(made)


def by_attribute(name: str) -> Key:
    """The value of the CloudEvents attribute *name*, which a block of header lines spells ``ce-name``."""
    spelt = re.compile(rb"(?m)^ce-%b: *(.*?)\r?$" % re.escape(name.encode("ascii")))

    def key(known: Facts) -> bytes | None:
        found = spelt.search(known.head.attributes)
        return _digest(urllib.parse.unquote_to_bytes(found[1])) if found is not None else None

    return key


def by_expression(expression: Expression) -> Key:
    """What *expression* gives, which raises Failed where it gives nothing."""

    def key(known: Facts) -> bytes | None:
        return _digest(str(known.value(expression)).encode())

    return key


def _digest(value: bytes) -> bytes | None:
    return hashlib.blake2b(value, digest_size=DIGEST).digest() if value else None
