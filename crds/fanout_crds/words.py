"""Words that several parts of a policy share: lists of answers, and the switch of what is optional."""

from typing import Final, Literal

from fanout_crds.kinds import Answers
from fanout_crds.objects import ListOf

Answer = tuple[int, int] | str  # an inclusive range of statuses, or the name of a fault
Switch = Literal["Enabled", "Disabled"]  # a target can switch off what its route switched on

STATUSES: Final = ListOf(item=Answers(), most=64)
STATUSES_OR_FAULTS: Final = ListOf(item=Answers(faults=True), most=64)
