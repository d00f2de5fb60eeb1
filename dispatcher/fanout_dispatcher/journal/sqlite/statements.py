"""SQL by name, out of `queries.sql`, and statements that take any number of rows at once.

A query there starts with `-- name: …` and a line of prose. `Statements` runs them on one connection.
"""

import array
import functools
import importlib.resources
import re
import typing
from collections.abc import Iterable, Mapping, Sequence

import apsw

Value = int | float | str | bytes | None
Bindings = Sequence[typing.Any] | Mapping[str, typing.Any]
MOST_ROWS = 1024  # of one statement: its text stays under what apsw caches (16 KB), its parameters under SQLite's limit
ROW = re.compile(r"VALUES (\((?:\?, )*\?\))")


def text(name: str) -> str:
    """One of this package's .sql files."""
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@functools.cache
def queries() -> Mapping[str, str]:
    """Every query of `queries.sql` by its name."""
    parts = re.split(r"^-- name: (\w+)\n", text("queries.sql"), flags=re.MULTILINE)[1:]
    return {name: _bare(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _bare(body: str) -> str:
    lines = (line for line in body.splitlines() if not line.startswith("--"))
    return "\n".join(lines).strip().rstrip(";")


def widened(sql: str, rows: int) -> str:
    """*sql* with its one VALUES row repeated."""
    found = ROW.search(sql)
    if found is None:
        raise ValueError(f"no row of parameters to repeat in: {sql}")
    row = found[1].replace(" ", "")
    return f"{sql[: found.start(1)]}{','.join([row] * rows)}{sql[found.end(1) :]}"


def numbers(values: Iterable[int]) -> "apsw.CArrayBinding":  # a type that only the stubs have
    """A set of integers as one parameter. SQLite takes no empty array, so -1, which is no number of ours, stands in."""
    return apsw.carray(array.array("q", values) or array.array("q", (-1,)))


class Statements:
    """The named queries on one connection."""

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db
        self._queries = queries()
        self._wide: dict[tuple[str, int], str] = {}

    def run(self, name: str, bindings: Bindings | None = None) -> None:
        """Run the query *name*, which answers nothing."""
        self.db.execute(self._queries[name], bindings)

    def rows(self, name: str, bindings: Bindings | None = None) -> list[tuple[typing.Any, ...]]:
        """What the query *name* answers, as a whole: an open cursor would keep its statement alive."""
        return self.db.execute(self._queries[name], bindings).fetchall()

    def row(self, name: str, bindings: Bindings | None = None) -> tuple[typing.Any, ...] | None:
        """Its first row, None when there is none."""
        rows = self.rows(name, bindings)
        return rows[0] if rows else None

    def value(self, name: str, bindings: Bindings | None = None) -> typing.Any:
        """The first column of its first row, None when there is none."""
        row = self.row(name, bindings)
        return None if row is None else row[0]

    def put(self, name: str, values: Sequence[Value], width: int) -> None:
        """Run the query *name* for all rows of *width* values each, laid end to end, in as few statements as can be."""
        for start in range(0, len(values), width * MOST_ROWS):
            some = values[start : start + width * MOST_ROWS]
            rows = 1 << (len(some) // width - 1).bit_length()
            sql = self._wide.get((name, rows))
            if sql is None:
                sql = self._wide[name, rows] = widened(self._queries[name], rows)
            missing = rows * width - len(some)
            self.db.execute(sql, [*some, *(None,) * missing] if missing else some)

    def among(self, name: str, values: Iterable[int]) -> None:
        """Run the query *name* for a set of integers."""
        self.db.execute(self._queries[name], (numbers(values),))
