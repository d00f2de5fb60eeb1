"""On what terms a case runs."""

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator

import msgspec


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often to run, which keys are asked for, where files lie, and whom to tell of progress."""

    seconds: float
    repetitions: int
    keys: frozenset[str]
    out: pathlib.Path
    tell: Callable[[str], None]

    def lasting(self, seconds: float) -> "Terms":
        """The same for runs of *seconds*."""
        return msgspec.structs.replace(self, seconds=seconds)


@contextlib.contextmanager
def folder(terms: Terms) -> Iterator[pathlib.Path]:
    """A fresh folder on the disk that the checkout is on: a journal in memory would cost no fsync."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=terms.out))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
