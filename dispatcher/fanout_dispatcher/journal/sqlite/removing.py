"""Taking a closed journal off the disk: the files that we and SQLite make, by name, and nothing else that lies there.

Whoever runs a dispatcher may have put a copy beside the journal, or moved a damaged one away under a longer name; these
are not ours. The lock stays too: without it two processes could lock two files of the same name.
"""

import pathlib

from fanout_dispatcher.journal.sqlite.ballast import ballast_of
from fanout_dispatcher.journal.sqlite.copying import copy_of
from fanout_dispatcher.journal.sqlite.place import log_of


def remove(path: pathlib.Path) -> None:
    """Remove the journal at *path* and what was made for it."""
    for file in (
        ballast_of(path),  # before the journal: as long as that is there, the next start finds what is left
        copy_of(path),
        path.with_name(f"{path.name}-shm"),  # of other programs that looked into it: we go without
        path,
        log_of(path),  # last: without it the journal might owe again what only the log says is settled
    ):
        file.unlink(missing_ok=True)
