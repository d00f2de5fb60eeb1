"""A target's cache: one answer settles later deliveries with the same key too, for a while (RFC 9111).

A delivery that is settled from the cache never reaches its target, so a cache is for targets that are asked, not for
targets that are told. It is refused where nobody looks at the answer, and beside ordering and compensation.
"""

from typing import Annotated

import msgspec

from fanout_crds.expressions import QUESTION, ExpressionText
from fanout_crds.kinds import Duration
from fanout_crds.respond import SETTLED, settled
from fanout_crds.rules import Place, Rule


class Cache(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When an answer of the target is used again. A delivery that it settles is Delivered, and nothing is sent.

    Only successes are kept, whole ones, in the memory of a dispatcher's process, up to 16 MiB a route and 64 MiB in
    all; never longer than the target allows (Cache-Control, Expires, Age and Vary, to a shared cache: RFC 9111).
    Concurrent deliveries with one key make one request.
    """

    key_expression: Annotated[
        str,
        ExpressionText(QUESTION),
        "An expression in CEL that gives the key, a string, such as data.sku: answers are used for events with the same"
        " key, so it has to name all that the answer depends on. Empty: this event asks for itself. Where it fails, the"
        " delivery is a dead letter (ExpressionFailed).",
    ]
    ttl: Annotated[
        float,
        Duration(),
        "How long an answer is used again, from when it was asked for on; less, if the target says so.",
    ]


NOT_UNDONE = Rule(  # of a target
    "!has(self.cache) || !has(self.compensate)",
    "cache does not go with compensate: what an earlier answer settles was not done, and cannot be undone",
    lambda target: target.cache is None or target.compensate is None,
    at="cache",
)
NOT_REPLACED = Rule(  # of a target
    "!has(self.cache) || !has(self.fallback)",
    "cache does not go with fallback: whether an earlier answer or another one stands in would be left to chance",
    lambda target: target.cache is None or target.fallback is None,
    at="cache",
)
ANSWERS_HEARD = Rule(  # of a whole spec
    f"!self.targets.exists(target, has(target.cache)) || ({SETTLED})",
    "cache goes with respond.mode Settled only: without it nobody looks at the answers",
    lambda spec: settled(spec) or all(target.cache is None for target in spec.targets),
    at="targets",
    places=lambda spec: (
        Place(f"targets[{place}].cache") for place, target in enumerate(spec.targets) if target.cache is not None
    ),
)
