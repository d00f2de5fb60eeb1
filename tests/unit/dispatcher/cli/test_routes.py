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
