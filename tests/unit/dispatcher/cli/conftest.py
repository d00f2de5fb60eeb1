"""Fixtures of the command line: a dispatcher that runs, and a command that is run."""

import pathlib
import typing

import click.testing
import pytest

from fanout_dispatcher.cli.main import main
from tests.unit.dispatcher.cli.fakes import FakeDispatcher, running

Run = typing.Callable[..., click.testing.Result]


@pytest.fixture
def dispatcher() -> typing.Iterator[FakeDispatcher]:
    with running() as fake:
        yield fake


@pytest.fixture
def fanout(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``fanout`` with these arguments, in an environment that knows no dispatcher."""
    for name in ("FANOUT_ADMIN", "FANOUT_ADMIN_TOKEN", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FANOUT_DATA", str(tmp_path / "data"))

    def run(*args: str, **rest: typing.Any) -> click.testing.Result:
        return click.testing.CliRunner().invoke(main, args, **rest)

    return run
