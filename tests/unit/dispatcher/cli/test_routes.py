"""``fanout routes``: what is in force, what is not, and why."""

from tests.unit.dispatcher.admin.fakes import route_view
from tests.unit.dispatcher.cli.conftest import Run
from tests.unit.dispatcher.cli.fakes import FakeDispatcher


def test_a_route_whose_only_manifest_was_refused_is_shown_with_why(fanout: Run, dispatcher: FakeDispatcher) -> None:
    dispatcher.desk.change(route_view("shop/new", path="", targets=(), refused="spec.listen.path: is taken"))

    found = fanout("routes", "--admin", dispatcher.admin)

    assert found.exit_code == 0
    assert found.stdout.split("\n")[-2].split("  ") == ["shop/new", "spec.listen.path: is taken"]
    assert found.stderr == ""


def test_where_there_is_nothing_at_all_the_table_says_so(fanout: Run, dispatcher: FakeDispatcher) -> None:
    found = fanout("routes", "--admin", dispatcher.admin)

    assert (found.exit_code, found.stdout, found.stderr) == (0, "", "no route is in force\n")


def test_one_route_is_named_by_itself_or_as_other_commands_have_it(fanout: Run, dispatcher: FakeDispatcher) -> None:
    dispatcher.desk.change(route_view("shop/a"))
    dispatcher.desk.change(route_view("shop/b"))

    by_itself = fanout("routes", "shop/a", "--admin", dispatcher.admin)
    by_option = fanout("routes", "--route", "shop/a", "--admin", dispatcher.admin)
    twice = fanout("routes", "shop/a", "--route", "shop/b", "--admin", dispatcher.admin)

    assert by_itself.stdout == by_option.stdout
    assert ("shop/a" in by_option.stdout, "shop/b" in by_option.stdout) == (True, False)
    assert twice.exit_code == 2


def test_a_route_that_is_not_in_force_is_said_to_be_none(fanout: Run, dispatcher: FakeDispatcher) -> None:
    half = fanout("routes", "nope", "--admin", dispatcher.admin)
    whole = fanout("routes", "shop/nope", "--admin", dispatcher.admin)

    assert (half.exit_code, half.stderr) == (1, "Error: no route nope is in force here; write NAMESPACE/NAME\n")
    assert (whole.exit_code, whole.stderr) == (1, "Error: no route shop/nope is in force here (404)\n")
