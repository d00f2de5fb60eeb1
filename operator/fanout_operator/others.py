"""Conditions that other controllers keep on a route, beside ours.

`status.conditions` is one list, keyed by type, and whoever has something to say of a route may add a type of his own
(KEP-1623). A merge patch writes the whole list, so theirs go along as they stand. That takes nothing from their
owners: a field whose value stays is not counted as written, and the version in the patch says which list was read, so
that of two who write at once the slower one looks again. In which order the list stands is nobody's business: the same
conditions in another order are no change, or two controllers could sort them against each other for ever.
"""

import typing
from collections.abc import Iterable, Sequence

from fanout_operator.kube import Document, Reading
from fanout_operator.named import named
from fanout_operator.reasons import ConditionType

OURS: typing.Final = frozenset(typing.get_args(ConditionType))


def by_type(status: Reading) -> dict[str, Reading]:
    """The conditions of a status."""
    return named(status.get("conditions"), "type")


def beside(ours: Iterable[Document], status: Reading) -> Sequence[Reading]:
    """Our conditions as they should be and those of others as they stand; the very list that is there, if it is so."""
    said = by_type(status)
    wanted = [*ours, *(one for kind, one in said.items() if kind not in OURS)]
    same = {one["type"]: one for one in wanted} == said and len(status["conditions"]) == len(said)
    return status["conditions"] if same else wanted
