"""``fanout sagas``: what is stuck is shown, and acted upon only when it is clear what is meant."""

import json

import pytest

from fanout_dispatcher.values.views import DeliveryView, SagaFilter
from tests.unit.dispatcher.admin.fakes import event_view, route_view, saga_view, target_view
from tests.unit.dispatcher.cli.conftest import Run
from tests.unit.dispatcher.cli.fakes import FakeDispatcher


@pytest.fixture
def admin(dispatcher: FakeDispatcher) -> tuple[str, str]:
    dispatcher.desk.undone = [saga_view("r1"), saga_view("r2", "stock.compensate", "courier.compensate")]
    dispatcher.desk.known = [event_view(receipt, saga="Stuck") for receipt in ("r1", "r2")]
    return "--admin", dispatcher.admin


def test_a_list_has_a_line_for_each_compensation_that_was_given_up(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("sagas", "list", *admin)

    where = [word for word in found.stdout.split() if word in {"r1", "r2"} or word.endswith(".compensate")]
    assert where == ["r1", "payment.compensate", "r2", "stock.compensate", "r2", "courier.compensate"]
    assert found.stdout.count("422") == 3


def test_a_list_says_why_where_no_attempt_has_led_to_it(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher
) -> None:
    one = DeliveryView(
        target="payment.compensate",
        state="Pending",
        attempts=0,
        held="SagaStuck",
        reason="ExpressionFailed",
        detail="request.pathExpression: no",
    )
    dispatcher.desk.undone = [saga_view("r1", stuck=(one,))]

    found = fanout("sagas", "list", *admin)

    heading, *_, line = found.stdout.splitlines()
    assert "REASON" in heading.split()
    assert "ExpressionFailed" in line
    assert "request.pathExpression: no" in line


def test_where_nothing_is_stuck_the_list_says_so(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("sagas", "list", "--route", "shop/other", *admin)

    assert (found.exit_code, found.stdout, found.stderr) == (0, "", "no saga is stuck\n")


def test_a_list_for_programs_is_what_the_port_answers(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("sagas", "list", "--limit", "1", "-o", "json", *admin)

    told = json.loads(found.stdout)
    assert ([one["receipt"] for one in told["items"]], told["next"]) == (["r1"], "r1")


def test_one_is_resumed_by_its_receipt(fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher) -> None:
    found = fanout("sagas", "resume", "r2", *admin)

    assert (found.exit_code, found.stdout, found.stderr) == (0, "r2\n", "1 resumed\n")
    assert dispatcher.desk.undone_asked == [SagaFilter(receipts=("r2",), limit=1)]


def test_a_route_is_resumed_some_at_a_time(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("sagas", "resume", "--route", "shop/order", "--limit", "1", *admin)

    assert (found.stdout, found.stderr) == ("r1\n", "1 resumed; more remain: run it again for the next\n")


def test_one_that_is_not_stuck_fails_after_the_others_went(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("sagas", "resume", "r1", "r9", *admin)

    assert (found.exit_code, found.stdout) == (1, "r1\n")
    none = "no stuck saga has this receipt, or its route or compensation is not in force"
    assert found.stderr == f"Error: 1 of 2 resumed; r9: {none} (fanout sagas list, fanout routes)\n"
    assert fanout("sagas", "resume", "r9", *admin).stderr.startswith(f"Error: r9: {none}")


def test_those_that_nobody_can_take_are_told_from_there_being_none(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher
) -> None:
    dispatcher.desk.stuck = {"r1", "r2"}

    found = fanout("sagas", "resume", "--all", *admin)

    assert found.exit_code == 1
    assert found.stderr.startswith("Error: none resumed: its route, or the compensation in it, is not in force")


def test_to_abandon_asks_first_and_yes_answers(fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher) -> None:
    refused = fanout("sagas", "abandon", "--all", *admin, input="n\n")
    nobody = fanout("sagas", "abandon", "r1", *admin, input="")
    left = len(dispatcher.desk.undone)
    done = fanout("sagas", "abandon", "--all", "--yes", *admin)

    assert (refused.exit_code, nobody.exit_code, left) == (1, 1, 2)
    assert "2 sagas are meant" in refused.stderr
    assert nobody.stderr.endswith("nothing is abandoned, 1 saga is stuck still: say --yes where nobody can be asked\n")
    assert (done.stdout, done.stderr) == ("r1\nr2\n", "2 abandoned\n")


def test_to_abandon_asks_only_for_what_is_stuck(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher
) -> None:
    dispatcher.desk.known.append(event_view("r3", saga="Undone"))
    undone = fanout("sagas", "abandon", "r3", *admin, input="y\n")
    partly = fanout("sagas", "abandon", "r1", "r3", "r9", "?", *admin, input="n\n")
    dispatcher.desk.undone = []
    none = fanout("sagas", "abandon", "--all", *admin, input="y\n")

    assert (undone.exit_code, none.exit_code) == (1, 1)
    assert undone.stderr.startswith("Error: nothing is abandoned; r3: no stuck saga has this receipt")
    assert partly.stderr.startswith("1 saga is meant")
    assert none.stderr == "Error: nothing is abandoned: no saga is stuck\n"
    assert dispatcher.desk.undone_asked == []


@pytest.mark.parametrize("which", [(), ("r1", "--all"), ("--all", "--route", "shop/order")])
def test_what_does_not_say_clearly_which_is_a_usage_error(
    fanout: Run, admin: tuple[str, str], which: tuple[str, ...]
) -> None:
    found = fanout("sagas", "resume", *which, *admin)

    assert (found.exit_code, found.stderr.splitlines()[-1]) == (2, "Error: say which: receipts, or --route, or --all")


def test_routes_show_what_is_stuck_where_it_is(fanout: Run, dispatcher: FakeDispatcher) -> None:
    stuck = target_view(name="payment.compensate", stuck=3)
    dispatcher.desk.change(route_view("shop/order", targets=(target_view(), stuck)))

    found = fanout("routes", "--admin", dispatcher.admin)

    heading, *_, line = found.stdout.splitlines()
    assert "STUCK" in heading.split()
    assert line.split()[1] == "payment.compensate"
    assert line.split()[-1] == "3"
