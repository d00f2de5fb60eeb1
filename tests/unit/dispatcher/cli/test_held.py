"""``fanout held``: what stays because many vanished at once, and letting go of it."""

from tests.unit.dispatcher.cli.conftest import Run
from tests.unit.dispatcher.cli.fakes import FakeDispatcher


def test_what_is_held_is_listed(fanout: Run, dispatcher: FakeDispatcher) -> None:
    dispatcher.holder.routes = ["shop/a", "shop/b"]

    found = fanout("held", "list", "--admin", dispatcher.admin)

    assert found.exit_code == 0
    assert [line for line in found.stdout.split() if "/" in line] == ["shop/a", "shop/b"]


def test_where_nothing_is_held_it_says_so(fanout: Run, dispatcher: FakeDispatcher) -> None:
    found = fanout("held", "list", "--admin", dispatcher.admin)

    assert (found.exit_code, found.stdout, found.stderr) == (0, "", "nothing is held\n")


def test_one_goes_or_all_go(fanout: Run, dispatcher: FakeDispatcher) -> None:
    dispatcher.holder.routes = ["shop/a", "shop/b", "shop/c"]

    one = fanout("held", "let-go", "shop/b", "--admin", dispatcher.admin)
    left = list(dispatcher.holder.routes)
    rest = fanout("held", "let-go", "--all", "--admin", dispatcher.admin)

    assert (one.exit_code, one.stderr) == (0, "1 let go\n")
    assert left == ["shop/a", "shop/c"]
    assert (rest.exit_code, rest.stderr) == (0, "2 let go\n")
    assert dispatcher.holder.routes == []


def test_what_is_not_held_is_not_let_go(fanout: Run, dispatcher: FakeDispatcher) -> None:
    found = fanout("held", "let-go", "shop/served", "--admin", dispatcher.admin)

    assert found.exit_code == 1
    assert "not held: shop/served" in found.stderr


def test_which_ones_has_to_be_said_in_one_way(fanout: Run, dispatcher: FakeDispatcher) -> None:
    neither = fanout("held", "let-go", "--admin", dispatcher.admin)
    both = fanout("held", "let-go", "shop/a", "--all", "--admin", dispatcher.admin)

    assert (neither.exit_code, both.exit_code) == (2, 2)
