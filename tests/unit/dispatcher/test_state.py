"""The state file: there while a dispatcher runs, ignored when it was left behind."""

import os
import pathlib
import subprocess
import sys

import pytest

from fanout_dispatcher import state
from fanout_dispatcher.state import NAME, Running


def running(pid: int | None = None) -> Running:
    return Running(admin="http://127.0.0.1:1", listen="http://127.0.0.1:2", pid=pid or os.getpid())


def test_it_is_there_while_the_block_runs_and_goes_with_it(tmp_path: pathlib.Path) -> None:
    with state.announced(tmp_path, running()):
        during = state.read(tmp_path)

    assert during == running()
    assert list(tmp_path.iterdir()) == []


def test_one_that_a_crash_left_behind_is_ignored(tmp_path: pathlib.Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with state.announced(tmp_path, running(ended.pid)):
        assert state.read(tmp_path) is None


def test_the_file_of_a_successor_is_left_alone(tmp_path: pathlib.Path) -> None:
    with state.announced(tmp_path, running()):
        (tmp_path / NAME).write_text('{"admin":"http://other","listen":"http://x","pid":1}')

    assert (tmp_path / NAME).exists()


@pytest.mark.parametrize("content", [None, "", "[]", '{"pid": "x"}', "\xff"])
def test_what_cannot_be_read_is_no_dispatcher(tmp_path: pathlib.Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / NAME).write_text(content)

    assert state.read(tmp_path) is None


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"FANOUT_DATA": "/d", "XDG_STATE_HOME": "/s"}, "/d"),
        ({"XDG_STATE_HOME": "/s"}, "/s/fanout"),
        ({}, "~/.local/state/fanout"),
    ],
)
def test_the_data_folder_is_where_xdg_says(environ: dict[str, str], folder: str) -> None:
    assert state.default_data(environ) == pathlib.Path(folder).expanduser()
