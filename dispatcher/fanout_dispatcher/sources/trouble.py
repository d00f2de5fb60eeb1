"""Why nothing can be fetched, as a value: a reason for programs and a sentence for people, with no secret in it."""

import msgspec

from fanout_crds.report import SourceFailure


class Cause(msgspec.Struct, frozen=True):
    """What went wrong."""

    reason: SourceFailure
    says: str


class Trouble(Exception):
    """Nothing can be fetched now; *cause* says why."""

    def __init__(self, reason: SourceFailure, says: str) -> None:
        super().__init__(says)
        self.cause = Cause(reason, says)
