"""How commands find a dispatcher, and what they say when they do not or when it refuses."""

import json
import os
import pathlib

import pytest
from aiohttp import web

from fanout_dispatcher import state
from fanout_dispatcher.ingress import problems
from tests.unit.dispatcher.admin.fakes import route_view
from tests.unit.dispatcher.cli.conftest import Run
from tests.unit.dispatcher.cli.fakes import FakeDispatcher, running


def test_the_admin_port_is_found_by_flag(fanout: Run, dispatcher: FakeDispatcher) -> None:
    assert fanout("routes", "--admin", dispatcher.admin).exit_code == 0


def test_the_admin_port_is_found_by_environment(fanout: Run, dispatcher: FakeDispatcher) -> None:
    assert fanout("routes", env={"FANOUT_ADMIN": dispatcher.admin}).exit_code == 0


def test_the_admin_port_is_found_by_the_state_file(
    fanout: Run, dispatcher: FakeDispatcher, tmp_path: pathlib.Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    here = state.Running(admin=dispatcher.admin, listen=dispatcher.listen, pid=os.getpid())
    with state.announced(data, here):
        found = fanout("routes")

    assert found.exit_code == 0
    assert not (data / state.NAME).exists()


def test_where_no_dispatcher_runs_one_sentence_says_how_to_name_one(fanout: Run, tmp_path: pathlib.Path) -> None:
    found = fanout("routes")

    assert found.exit_code == 1
    assert found.stderr == (
        f"Error: no dispatcher runs on {tmp_path / 'data'}: FANOUT_DATA names another folder,"
        " --admin URL another dispatcher\n"
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[", "nonsense", "ftp://127.0.0.1"])
def test_a_port_that_cannot_be_reached_is_one_sentence(fanout: Run, url: str) -> None:
    found = fanout("routes", "--admin", url)

    assert found.exit_code == 1
    assert found.stderr.startswith("Error: the dispatcher cannot be reached")
    assert found.stderr.count("\n") == 1


def test_a_data_port_is_told_from_an_admin_port(fanout: Run, dispatcher: FakeDispatcher) -> None:
    problem = {"type": problems.BASE + problems.NO_ROUTE.slug, "detail": "no route listens at /v1/dead-letters/replay"}
    dispatcher.answers = [web.json_response(problem, status=404)]

    found = fanout("dead-letters", "replay", "--all", "--admin", dispatcher.listen)

    assert found.exit_code == 1
    assert found.stderr == (
        f"Error: {dispatcher.listen} is a data port, where events come in: name the admin port with --admin URL\n"
    )


def test_the_token_of_the_environment_is_shown_and_a_missing_one_is_said(fanout: Run) -> None:
    with running(token="s3cret") as dispatcher:
        without = fanout("routes", "--admin", dispatcher.admin)
        having = fanout("routes", "--admin", dispatcher.admin, env={"FANOUT_ADMIN_TOKEN": "s3cret"})

    assert (without.exit_code, having.exit_code) == (1, 0)
    assert without.stderr == "Error: this port needs its bearer token (401)\n"


@pytest.mark.parametrize("name", ["../../v1/routes", "..", "", "a?b", "a#b", "%2e%2e", "é"])
@pytest.mark.parametrize(
    ("command", "what"), [(("events", "get"), "a receipt"), (("dead-letters", "show"), "the id of a dead letter")]
)
def test_a_name_cannot_lead_elsewhere(
    fanout: Run, dispatcher: FakeDispatcher, command: tuple[str, str], what: str, name: str
) -> None:
    found = fanout(*command, name, "--admin", dispatcher.admin)

    assert (found.exit_code, found.stderr) == (1, f'Error: "{name}" is not {what}\n')


def test_a_problem_is_told_by_its_sentence_and_status(fanout: Run, dispatcher: FakeDispatcher) -> None:
    found = fanout("routes", "shop/none", "--admin", dispatcher.admin)

    assert found.stderr == "Error: no route shop/none is in force here (404)\n"


def test_routes_are_a_table_of_targets_or_json(fanout: Run, dispatcher: FakeDispatcher) -> None:
    dispatcher.desk.change(route_view())
    table = fanout("routes", "--admin", dispatcher.admin)
    document = fanout("routes", "shop/order", "-o", "json", "--admin", dispatcher.admin)

    assert "ROUTE" in table.stdout
    assert "payment" in table.stdout
    assert json.loads(document.stdout)["route"] == "shop/order"


def test_no_routes_are_said_on_stderr(fanout: Run, dispatcher: FakeDispatcher) -> None:
    found = fanout("routes", "--admin", dispatcher.admin)

    assert (found.stdout, found.stderr) == ("", "no route is in force\n")


@pytest.mark.parametrize(
    "command", [("routes",), ("send",), ("events", "get"), ("events", "list"), ("dead-letters", "list")]
)
def test_the_help_of_each_client_names_both_variables(fanout: Run, command: tuple[str, ...]) -> None:
    said = fanout(*command, "--help").stdout

    assert "FANOUT_ADMIN_TOKEN" in said
    assert "[env var: FANOUT_ADMIN]" in said
