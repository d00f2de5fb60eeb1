"""Receipts: our own unguessable name of an accepted event.

Worker, sequence number and a keyed MAC over both, so that no index is needed to check one and nobody can walk through
other people's events by counting. The form is ``<worker>-<sequence>-<mac>``, hexadecimal.
"""

import hashlib
import hmac
import re
import typing

MAC_BYTES: typing.Final = 8
_OF_A_WORKER: typing.Final = re.compile(r"m?([0-9]{1,4})-.+")


class Receipts:
    """Makes and checks the receipts of one journal; *worker* is its short name (``0``, or ``m0`` for memory)."""

    def __init__(self, worker: str, key: bytes) -> None:
        self.worker = worker
        self.mac = hashlib.blake2b(worker.encode(), key=key, digest_size=MAC_BYTES)

    def make(self, seq: int) -> str:
        """The receipt of event *seq*."""
        mac = self.mac.copy()
        mac.update(seq.to_bytes(8))
        return f"{self.worker}-{seq:x}-{mac.hexdigest()}"

    def read(self, receipt: str) -> int | None:
        """The event's number; None when the receipt is not one of ours."""
        worker, _, rest = receipt.partition("-")
        number, _, _ = rest.partition("-")
        if worker != self.worker or not 0 < len(number) <= 15 or not number.isalnum() or not receipt.isascii():
            return None
        try:
            seq = int(number, 16)
        except ValueError:
            return None
        return seq if hmac.compare_digest(self.make(seq), receipt) else None


def worker_of(name: str) -> int | None:
    """The worker that a receipt, or the id of a dead letter, says it is of; None when it is neither. Checks no MAC."""
    found = _OF_A_WORKER.fullmatch(name)
    return None if found is None else int(found[1])
