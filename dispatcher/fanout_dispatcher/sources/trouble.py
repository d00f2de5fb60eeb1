"""Why nothing can be fetched, as a value: a reason for programs and a sentence for people, with no secret in it."""

import typing

import msgspec

Reason = typing.Literal[
    "AddressRefused",  # the outbound guard does not let us there
    "ConnectFailure",  # no name, no connection, or one that broke
    "DatabaseRefused",  # the server said no: a wrong password, a missing table, a right that is lacking
    "LibraryMissing",  # the driver is not installed
    "TlsFailure",  # the server could not prove who it is, or takes no TLS
    "Timeout",  # no answer in time
    "UrlUnusable",  # the URL or the authorities cannot be read
]


class Cause(msgspec.Struct, frozen=True):
    """What went wrong."""

    reason: Reason
    says: str


class Trouble(Exception):
    """Nothing can be fetched now; *cause* says why."""

    def __init__(self, reason: Reason, says: str) -> None:
        super().__init__(says)
        self.cause = Cause(reason, says)
