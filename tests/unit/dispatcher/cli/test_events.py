"""``fanout events`` and ``fanout dead-letters``: what is shown, followed, replayed and dropped."""

import json

import msgspec
import pytest

from fanout_dispatcher.values.views import DeadLetterFilter, DeliveryView
from tests.unit.dispatcher.admin.fakes import dead_letter_view, event_view
from tests.unit.dispatcher.cli.conftest import Run
from tests.unit.dispatcher.cli.fakes import FakeDispatcher


@pytest.fixture
def admin(dispatcher: FakeDispatcher) -> tuple[str, str]:
    dispatcher.desk.letters = [dead_letter_view(number, body=b'{"a": 1}') for number in (1, 2, 3)]
    dispatcher.desk.known = [event_view("r2", "Delivered", "Dead"), event_view("r1", "Pending")]
    return "--admin", dispatcher.admin


def test_an_event_is_shown_with_its_deliveries(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("events", "get", "r2", *admin)

    assert found.exit_code == 0
    assert "r2  shop/order  accepted 2023-11-14T22:13:20.250Z  settled" in found.stdout
    assert "Dead" in found.stdout


@pytest.mark.parametrize(
    ("saga", "says"),
    [
        (None, "settled"),
        ("Undone", "settled, its saga failed and was undone"),
        ("Abandoned", "settled, its saga failed and was undone but for what was abandoned"),
    ],
)
def test_an_event_whose_saga_failed_says_whether_it_was_undone(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher, saga: str | None, says: str
) -> None:
    dispatcher.desk.known = [event_view("r1", "Dead", saga=saga)]

    found = fanout("events", "get", "r1", *admin)

    assert found.stdout.splitlines()[0].endswith(f"Z  {says}")


def test_followed_to_its_end_a_dead_delivery_fails_the_command(fanout: Run, admin: tuple[str, str]) -> None:
    assert fanout("events", "get", "r2", "--watch", *admin).exit_code == 1


def test_followed_into_a_pipe_only_the_last_state_is_written_in_whole_lines(
    fanout: Run, admin: tuple[str, str]
) -> None:
    found = fanout("events", "get", "r2", "--watch", *admin)

    assert [line.split()[:2] for line in found.stdout.splitlines() if "t" in line] == [
        ["t0", "Delivered"],
        ["t1", "Dead"],
    ]
    assert found.stdout.endswith("\n")


def test_an_unknown_receipt_is_a_sentence(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("events", "get", "r9", *admin)

    assert (found.exit_code, found.stderr) == (1, "Error: no event has this receipt, or its history is over (404)\n")


def test_events_are_listed_newest_first_and_say_when_there_are_more(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("events", "list", "--limit", "1", *admin)

    assert "t0 Delivered, t1 Dead" in found.stdout
    assert "--after r2" in found.stderr


def test_what_a_producer_wrote_cannot_style_a_table_or_steer_a_terminal(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher
) -> None:
    hostile = "[red]x[/red]\x1b[2J\u202e"
    dispatcher.desk.known = [event_view("r1", "Pending", type=hostile, id=hostile)]

    found = fanout("events", "list", *admin)

    assert "[red]x[/red]" in found.stdout
    assert "\x1b" not in found.stdout
    assert "\u202e" not in found.stdout


def test_dead_letters_are_listed_with_their_reason(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("dead-letters", "list", "--limit", "2", *admin)

    assert found.stdout.count("TargetRejected") == 2
    assert "--after 2" in found.stderr


def test_a_dead_letter_is_shown_with_its_attempts_and_body(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher
) -> None:
    found = fanout("dead-letters", "show", "1", *admin)

    assert "reason: TargetRejected" in found.stdout
    assert "404" in found.stdout
    assert '{"a": 1}' in found.stdout
    dispatcher.desk.letters = [
        msgspec.structs.replace(dispatcher.desk.letters[0], body=b"\xff\x1b", headers=(("a", "b"),))
    ]
    assert "(base64) /xs=" in fanout("dead-letters", "show", "1", *admin).stdout


def test_a_replay_prints_the_receipts_and_says_when_more_remain(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("dead-letters", "replay", "--route", "shop/order", "--limit", "2", *admin)

    assert found.stdout == "again-1\nagain-2\n"
    assert found.stderr == "2 replayed; more remain: run it again for the next\n"


def test_a_list_tells_the_dead_that_a_fallback_stands_in_for_from_the_others(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher
) -> None:
    fell_back = DeliveryView(target="sms", state="Dead", reason="FellBack")
    rejected = DeliveryView(target="crm", state="Dead", reason="TargetRejected")
    dispatcher.desk.known = [event_view("r1", deliveries=(fell_back, rejected))]

    assert "sms Dead (FellBack), crm Dead" in fanout("events", "list", *admin).stdout.replace("\n", " ")


def test_a_replay_names_the_event_that_it_comes_of(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher
) -> None:
    dispatcher.desk.known = [event_view("r1", "Pending", replay_of="r0")]

    assert "not settled, a replay of r0\n" in fanout("events", "get", "r1", *admin).stdout


UNDONE = "1 of these is a step of a saga that was undone: a replay does that step alone. Go on?"


@pytest.mark.parametrize("which", [("2", "9"), ("--all",), ("--target", "payment")])
def test_a_replay_of_a_step_whose_saga_was_undone_asks_first_and_yes_answers(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher, which: tuple[str, ...]
) -> None:
    first, second, third = dispatcher.desk.letters
    dispatcher.desk.letters = [first, msgspec.structs.replace(second, undone=True), third]

    refused = fanout("dead-letters", "replay", *which, *admin, input="n\n")
    nobody = fanout("dead-letters", "replay", *which, *admin, input="")
    left = len(dispatcher.desk.letters)
    done = fanout("dead-letters", "replay", *which, "--yes", *admin)

    assert (refused.exit_code, nobody.exit_code, left) == (1, 1, 3)
    assert UNDONE in refused.stderr
    assert refused.stderr.endswith("Error: nothing is replayed\n")
    assert nobody.stderr.endswith(
        "nothing is replayed, 1 step of a saga that was undone is there still: say --yes where nobody can be asked\n"
    )
    assert "again-2" in done.stdout


def test_a_replay_by_id_takes_those_alone(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("dead-letters", "replay", "3", "-o", "json", *admin)

    assert json.loads(found.stdout) == {"receipts": ["again-3"], "remaining": False}


def test_an_id_that_is_not_there_fails_the_replay_after_the_others_went(fanout: Run, admin: tuple[str, str]) -> None:
    found = fanout("dead-letters", "replay", "3", "9", *admin)

    assert (found.exit_code, found.stdout) == (1, "again-3\n")
    assert found.stderr == "Error: 1 of 2 replayed: the other is not there (any more)\n"


def test_ids_that_are_not_there_are_named(fanout: Run, admin: tuple[str, str]) -> None:
    once, twice = (
        fanout("dead-letters", "replay", "9", *admin),
        fanout("dead-letters", "remove", "8", "9", "--yes", *admin),
    )

    assert once.stderr == "Error: 0 of 1 replayed: 9 is not there (any more)\n"
    assert twice.stderr == "Error: 0 of 2 removed: 8, 9 are not there (any more)\n"


def test_one_that_cannot_be_replayed_is_told_from_one_that_is_not_there(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher
) -> None:
    dispatcher.desk.stuck = {"2"}

    found = fanout("dead-letters", "replay", "1", "2", "9", *admin)
    alone = fanout("dead-letters", "replay", "2", *admin)

    assert (found.exit_code, found.stdout) == (1, "again-1\n")
    assert "Error: 1 of 3 replayed: 2 cannot be: the route or target is not in force" in found.stderr
    assert found.stderr.endswith("; the other is not there (any more)\n")
    assert "not there" not in alone.stderr


def test_a_filter_that_also_means_some_that_cannot_be_replayed_says_so_instead_of_more(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher
) -> None:
    dispatcher.desk.stuck = {"2"}

    some = fanout("dead-letters", "replay", "--all", *admin)
    none = fanout("dead-letters", "replay", "--all", *admin)

    assert (some.exit_code, some.stdout) == (0, "again-1\nagain-3\n")
    assert some.stderr.startswith("2 replayed; the rest cannot be: the route or target is not in force, or its queue")
    assert (none.exit_code, none.stderr.split(" is ")[0]) == (1, "Error: none replayed: the route or target")


def test_a_removal_asks_first_and_yes_answers(fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher) -> None:
    refused = fanout("dead-letters", "remove", "--all", *admin, input="n\n")
    left = len(dispatcher.desk.letters)
    removed = fanout("dead-letters", "remove", "--all", "--yes", *admin)

    assert (refused.exit_code, left) == (1, 3)
    assert removed.stderr == "3 removed\n"
    assert dispatcher.desk.asked == [DeadLetterFilter()]


@pytest.mark.parametrize(
    ("which", "what"),
    [
        (("--all",), "3 dead letters are"),
        (("--all", "--limit", "2"), "2 dead letters are"),
        (("2",), "1 dead letter is"),
    ],
)
def test_a_removal_that_nobody_can_be_asked_about_says_how_many_and_how_to_go_on(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher, which: tuple[str, ...], what: str
) -> None:
    found = fanout("dead-letters", "remove", *which, *admin, input="")

    assert found.exit_code == 1
    assert f"{what} meant and cannot be brought back. Go on?" in found.stderr
    assert found.stderr.endswith(
        f"\nError: nothing is removed, {what} there still: say --yes where nobody can be asked\n"
    )
    assert (dispatcher.desk.asked, len(dispatcher.desk.letters)) == ([], 3)


@pytest.mark.parametrize("action", ["replay", "remove"])
@pytest.mark.parametrize(
    "args", [(), ("--limit", "5"), ("1", "--all"), ("--all", "--route", "a/b"), ("1", "--target", "t")]
)
def test_which_ones_must_be_said_clearly_before_anything_is_asked(
    fanout: Run, admin: tuple[str, str], dispatcher: FakeDispatcher, action: str, args: tuple[str, ...]
) -> None:
    found = fanout("dead-letters", action, *args, *admin)

    assert found.exit_code == 2
    assert dispatcher.desk.asked == []
