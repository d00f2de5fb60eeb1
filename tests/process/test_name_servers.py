"""The machine's own resolver, with a name server that misbehaves: names that hang hold up nobody else's."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ALONE = ("unshare", "--map-root-user", "--mount", "--net")


@pytest.fixture(scope="module")
def said() -> dict[str, typing.Any]:
    """What tests/support/name_server.py found, in namespaces of its own."""
    if shutil.which("unshare") is None or subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a network of his own (unshare --map-root-user --mount --net)")
    run = subprocess.run(
        [*ALONE, sys.executable, "-m", "tests.support.name_server"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(("crds", "dispatcher"))},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    found: dict[str, typing.Any] = json.loads(run.stdout)
    return found


def test_eight_names_that_hang_hold_up_no_other_name(said: dict[str, typing.Any]) -> None:
    assert said["ours"]["found"] == ["192.0.2.1"]
    assert said["ours"]["seconds"] < 1
    assert said["ours"]["hanging"] == 8


def test_they_would_hold_it_up_on_libuvs_threads(said: dict[str, typing.Any]) -> None:
    assert said["libuv"]["found"] is None  # or else the test above proves nothing


@pytest.mark.parametrize("kind", ["missing", "servfail", "empty"])
def test_a_name_without_an_answer_has_no_address(said: dict[str, typing.Any], kind: str) -> None:
    assert said[kind] == [[], []]


def test_a_name_that_does_not_exist_is_asked_for_once_a_second(said: dict[str, typing.Any]) -> None:
    assert said["missing asked"] == 1


def test_a_name_that_rebinds_is_told_as_it_is(said: dict[str, typing.Any]) -> None:
    assert said["rebind"] == [["192.0.2.1"], ["169.254.169.254"]]


def test_the_hosts_file_counts(said: dict[str, typing.Any]) -> None:
    assert "127.0.0.1" in said["hosts"]
