"""What people see of many rows, in whatever width there is: what is there to be copied stands whole."""

import datetime
import io
import typing
from collections.abc import Sequence

import pytest
import rich.console

from fanout_dispatcher.cli import dead_letters, events, routes, sagas
from fanout_dispatcher.cli.listing import Column, Listing, Row, clock

BERLIN = datetime.timezone(datetime.timedelta(hours=1))
NOW = datetime.datetime(2026, 11, 23, 3, 30, tzinfo=BERLIN)
RECEIPT = "0-2-e1a371c088015abc"
ROUTE = "shop/order-placed"
AT = "2026-11-23T02:45:29.044Z"
TARGETS = [
    {"route": ROUTE, "target": name, "circuit": "Open", "pending": 12, "inFlight": 0, "deadLetters": 1,
     "held": "CircuitOpen", "lastError": "ConnectFailure"}
    for name in ("billing", "warehouse")
]  # fmt: skip
EVENTS = [
    {"receipt": RECEIPT, "accepted": AT, "route": ROUTE, "type": "order.placed", "id": "7-placed",
     "states": "billing Delivered, crm Dead, warehouse Pending"},
]  # fmt: skip
DELIVERIES = [
    {"target": "crm", "state": "Dead", "attempts": 1, "reason": "TargetRejected", "last": "422", "replayedAs": RECEIPT},
    {"target": "warehouse", "state": "Pending", "attempts": 3, "due": AT, "held": "CircuitOpen",
     "last": "ConnectFailure"},
]  # fmt: skip
LETTERS = [
    {"id": "0-17", "at": AT, "route": ROUTE, "target": "crm", "reason": "AttemptsExhausted", "attempts": 10,
     "detail": "the target answered 503", "type": "order.placed", "size": 41},
]  # fmt: skip
SAGAS = [
    {"receipt": RECEIPT, "accepted": AT, "route": ROUTE, "target": "payment.compensate", "attempts": 12,
     "last": "ConnectFailure", "type": "order.placed"},
]  # fmt: skip
ALL = [
    pytest.param(routes.COLUMNS, TARGETS, id="routes"),
    pytest.param(events.LIST, EVENTS, id="events"),
    pytest.param(events.COLUMNS, DELIVERIES, id="deliveries"),
    pytest.param(dead_letters.COLUMNS, LETTERS, id="dead letters"),
    pytest.param(sagas.COLUMNS, SAGAS, id="sagas"),
]


def shown(rows: Sequence[Row], columns: Sequence[Column], width: int) -> list[str]:
    screen = io.StringIO()
    rich.console.Console(file=screen, width=width, highlight=False).print(Listing(rows, columns, NOW))
    return [line.rstrip() for line in screen.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize(("columns", "rows"), ALL)
def test_nothing_is_cut_and_no_line_is_wider_than_the_terminal(
    rows: Sequence[dict[str, typing.Any]], columns: Sequence[Column], width: int
) -> None:
    lines = shown(rows, columns, width)

    said = "\n".join(lines)
    whole = [str(row[one.field]) for row in rows for one in columns if one.field in row and not (one.folds or one.when)]
    assert [value for value in whole if value not in said] == []
    assert "…" not in said
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(("columns", "rows"), ALL)
def test_120_columns_are_enough_for_a_table(rows: Sequence[dict[str, typing.Any]], columns: Sequence[Column]) -> None:
    heading, rule, *_ = shown(rows, columns, 120)

    assert heading.startswith(columns[0].heading)
    assert set(rule) == {"─"}


def test_columns_without_a_word_in_them_are_left_out_and_zero_is_a_word() -> None:
    lines = shown([{"target": "crm", "state": "Pending", "attempts": 0}], events.COLUMNS, 80)

    assert lines[0].split() == ["TARGET", "STATE", "ATTEMPTS"]
    assert lines[2].split() == ["crm", "Pending", "0"]


def test_a_time_is_whole_where_there_is_room_and_a_clock_where_there_is_none() -> None:
    wide, narrow = (shown(EVENTS, events.LIST, width) for width in (140, 120))

    assert AT in wide[2]
    assert AT not in narrow[2]
    assert " 03:45:29 " in narrow[2]


def test_a_clock_names_the_day_unless_that_is_today_here() -> None:
    assert clock("2026-11-22T23:30:00.000Z", NOW) == "00:30:00"
    assert clock("2026-11-22T22:30:00.000Z", NOW) == "11-22 23:30:00"


def test_a_long_text_is_folded_before_a_table_is_given_up() -> None:
    lines = shown([{"target": "crm", "state": "Pending", "last": "a reason in many words " * 4}], events.COLUMNS, 60)

    assert lines[0].split() == ["TARGET", "STATE", "LAST"]
    assert len(lines) > 4
    assert " ".join(" ".join(line[16:] for line in lines[2:]).split()).count("a reason in many words") == 4


def test_where_no_table_fits_each_row_is_a_block() -> None:
    lines = shown(TARGETS, routes.COLUMNS, 80)

    assert lines[:2] == [
        "shop/order-placed  TARGET billing  CIRCUIT Open  PENDING 12  IN FLIGHT 0  DEAD 1",
        "  HELD CircuitOpen  LAST ERROR ConnectFailure",
    ]
