"""The embedded journal: one SQLite file, one connection, one thread, a commit shared by everything that waits for it.

`journal.py` is the front; `opening.py` gets a healthy file or refuses in words, `recovery.py` finds what is owed,
`writing.py` is the one direction, `pulling.py` (for lanes) and `reading.py` (for people) the other; `mending.py` is for
after a failed commit. SQL lives in `schema.sql` and `queries.sql`.
"""

from fanout_dispatcher.journal.sqlite.journal import SqliteJournal as SqliteJournal
