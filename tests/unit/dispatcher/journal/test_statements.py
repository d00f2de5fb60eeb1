"""The SQL in its files: every query runs, and the wide ones take any number of rows."""

import itertools
import pathlib
import re

import apsw.ext
import pytest

from fanout_dispatcher.journal.sqlite import opening
from fanout_dispatcher.journal.sqlite.coding import SEQ_BITS
from fanout_dispatcher.journal.sqlite.statements import MOST_ROWS, Statements, queries, text, widened


@pytest.mark.parametrize("name", sorted(queries()))
def test_every_query_fits_the_schema(name: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "journal.db").touch()
    db = opening.connect(tmp_path / "journal.db")

    info = apsw.ext.query_info(db, queries()[name])

    assert info.query_remaining is None
    db.close()


def test_every_query_is_used_and_says_what_it_does() -> None:
    package = pathlib.Path(opening.__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in package.glob("*.py"))
    lines = text("queries.sql").splitlines()

    assert [name for name in queries() if f'"{name}"' not in code] == []
    assert [line for line, prose in itertools.pairwise(lines) if "-- name:" in line and "-- " not in prose] == []


def test_keys_are_packed_in_sql_as_they_are_in_code() -> None:
    everywhere = "\n".join(queries().values())

    assert set(re.findall(r"(?:<<|>>) (\w+)", everywhere)) == {str(SEQ_BITS)}
    assert set(re.findall(r"& (\w+)", everywhere)) == {hex((1 << SEQ_BITS) - 1)}


def test_a_row_of_parameters_is_repeated() -> None:
    assert widened("INSERT INTO t SELECT * FROM (VALUES (?, ?)) WHERE x", 3) == (
        "INSERT INTO t SELECT * FROM (VALUES (?,?),(?,?),(?,?)) WHERE x"
    )


def test_a_query_without_a_row_cannot_be_widened() -> None:
    with pytest.raises(ValueError, match="no row of parameters"):
        widened("SELECT 1", 2)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 64, MOST_ROWS, MOST_ROWS + 1])
def test_any_number_of_rows_arrives(rows: int, tmp_path: pathlib.Path) -> None:
    (tmp_path / "journal.db").touch()
    db = opening.connect(tmp_path / "journal.db")
    sql = Statements(db)

    sql.put("put_progress", [value for seq in range(1, rows + 1) for value in (seq, b"")], 2)

    assert db.execute("SELECT count(*), min(seq), max(seq) FROM progress").get == (rows, 1, rows)
    db.close()
