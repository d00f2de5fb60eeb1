"""``fanout run``: flags become settings, what cannot work is one sentence, and a real process serves until SIGTERM."""

import ipaddress
import os
import pathlib
import signal
import subprocess
import sys
import typing

import httpx
import pytest

from fanout_crds.references import ServiceKey
from fanout_dispatcher import server, state
from fanout_dispatcher.journal.faults import JournalRefused
from fanout_dispatcher.settings import Settings, Unstartable
from fanout_dispatcher.values.address import Address
from tests.unit.dispatcher.cli.conftest import Run
from tests.unit.dispatcher.plans.fakes import manifest


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that the server was called with, instead of serving."""
    settings: list[Settings] = []
    monkeypatch.setattr(server, "serve", settings.append)
    return settings


@pytest.fixture
def routes(tmp_path: pathlib.Path) -> str:
    home = tmp_path / "routes"
    home.mkdir()
    (home / "a.yaml").write_text(manifest("a"))
    return str(home)


def test_without_flags_everything_is_on_loopback_and_data_is_where_fanout_data_says(
    fanout: Run, served: list[Settings], routes: str, tmp_path: pathlib.Path
) -> None:
    assert fanout("run", routes).exit_code == 0

    (settings,) = served
    assert settings == Settings(data=tmp_path / "data", paths=(pathlib.Path(routes),))


def test_every_flag_arrives(fanout: Run, served: list[Settings], routes: str) -> None:
    (pathlib.Path(routes) / "token").write_text("t0ken\n")
    flags = (
        "--listen", ":1", "--admin", "0.0.0.0:2", "--report", "[::1]:3", "--data", "/d", "--journal-size", "1Gi",
        "--report-reader", "a", "--report-reader", "ns/b",
        "--allow-loopback", "--allow-cidr", "10.0.0.0/8", "--allow-cidr", "fd00::/8", "--class-name", "other",
        "--resolve", "shop/pay:http=http://127.0.0.1:9/", "--log-format", "json",
        "--workers", "4", "--admin-token-file", f"{routes}/token",
    )  # fmt: skip

    assert fanout("run", routes, *flags).exit_code == 0

    (settings,) = served
    assert settings == Settings(
        data=pathlib.Path("/d"),
        paths=(pathlib.Path(routes),),
        listen=Address("0.0.0.0", 1),
        admin=Address("0.0.0.0", 2),
        report=Address("::1", 3),
        report_readers=("a", "ns/b"),
        journal_bytes=1 << 30,
        allow_loopback=True,
        allow_cidrs=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")),
        class_name="other",
        resolve={ServiceKey("shop", "pay", "http"): "http://127.0.0.1:9"},
        admin_token="t0ken",
        log_format="json",
        workers=4,
    )


@pytest.mark.parametrize(
    ("range_", "sentence"),
    [
        ("10.0.0.1/8", '"10.0.0.1/8" names a host within its range: write 10.0.0.0/8'),
        ("fd00::1/8", '"fd00::1/8" names a host within its range: write fd00::/8'),
        ("private", 'expected a range such as 10.0.0.0/8 or fd00::/8, got "private"'),
    ],
)
def test_a_range_that_is_none_is_answered_with_one_that_is(
    fanout: Run, served: list[Settings], routes: str, range_: str, sentence: str
) -> None:
    found = fanout("run", routes, "--allow-cidr", range_)

    assert (found.exit_code, served) == (2, [])
    assert sentence in found.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ("--listen", "8080"),
        ("--allow-cidr", "10.0.0.1/8"),
        ("--resolve", "shop/pay:http"),
        ("--resolve", "pay=http://x"),
        ("--resolve", "shop/pay:http=ftp://x"),
        ("--journal-size", "much"),
        ("--journal-size", "0"),
        ("--report-cert", "/dev/null"),
        ("--report-reader", "system:serviceaccount:fanout:fanout-operator"),
        ("--report-reader", "fanout/"),
        ("--workers", "0"),
        ("--workers", "65"),
        ("--plans", "nowhere"),
        ("--lisen", ":1"),
        ("/nowhere/at/all",),
    ],
)
def test_a_flag_that_makes_no_sense_is_a_usage_error(
    fanout: Run, served: list[Settings], routes: str, flags: tuple[str, ...]
) -> None:
    assert fanout("run", routes, *flags).exit_code == 2
    assert served == []


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Unstartable("cannot listen on x"), "Error: cannot listen on x\n"),
        (JournalRefused("journal x is in use"), "Error: journal x is in use\n"),
        (PermissionError(13, "Permission denied", "/data"), "Error: Permission denied: /data\n"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence_and_exit_1(
    fanout: Run, routes: str, monkeypatch: pytest.MonkeyPatch, fault: Exception, sentence: str
) -> None:
    def serve(_settings: Settings) -> typing.NoReturn:
        raise fault

    monkeypatch.setattr(server, "serve", serve)

    found = fanout("run", routes)

    assert (found.exit_code, found.stderr) == (1, sentence)


def test_a_folder_without_routes_to_serve_needs_naming(fanout: Run, served: list[Settings]) -> None:
    found = fanout("run")

    assert (found.exit_code, served) == (1, [])
    assert "name a file or folder" in found.stderr


def test_a_real_process_announces_itself_serves_and_ends_cleanly_on_sigterm(
    routes: str, tmp_path: pathlib.Path
) -> None:
    data = tmp_path / "data with a space"
    ports = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", str(data), "--log-format", "json")
    command = [sys.executable, "-m", "fanout_dispatcher.cli.main", "run", routes, *ports]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as ran:
        assert ran.stderr is not None
        said = ""
        while "dispatcher.started" not in said:
            said = ran.stderr.readline()
            assert said, "it ended before it started"
        running = state.read(data)
        assert running is not None
        routes_in_force = httpx.get(f"{running.admin}/v1/routes", trust_env=False)
        ran.send_signal(signal.SIGTERM)
        ran.communicate(timeout=30)

    assert routes_in_force.status_code == 200
    assert ran.returncode == 0
    assert state.read(data) is None


def test_the_version_and_every_help_text_with_an_example(fanout: Run) -> None:
    assert fanout("--version").stdout.startswith("fanout, version ")
    for words in (
        (), ("run",), ("validate",), ("send",), ("routes",), ("events",), ("events", "get"), ("events", "list"),
        ("dead-letters",), ("dead-letters", "list"), ("dead-letters", "show"), ("dead-letters", "replay"),
        ("dead-letters", "remove"),
    ):  # fmt: skip
        found = fanout(*words, "--help")
        assert found.exit_code == 0
        assert "Example:\n  " in found.stdout, words
