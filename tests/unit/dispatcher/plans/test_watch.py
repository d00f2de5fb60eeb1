"""The watch on real files: whatever becomes of the kernel's hints, the sweep misses nothing."""

import asyncio
import contextlib
import os
import pathlib
import typing

import pytest
import watchfiles

from fanout_dispatcher.plans.watch import Watch, fingerprint
from tests.unit.dispatcher.plans.fakes import News


class Follower:
    """Counts the changes that a watch tells of."""

    def __init__(self, watch: Watch) -> None:
        self.changes = 0
        self._news = News()
        self.until = self._news.until
        self.task = asyncio.create_task(watch.follow(self.count))

    def count(self) -> None:
        self.changes += 1
        self._news.come()


@contextlib.asynccontextmanager
async def following(*paths: pathlib.Path) -> typing.AsyncIterator[Follower]:
    follower = Follower(Watch(paths, sweep=0.05))
    try:
        yield follower
    finally:
        follower.task.cancel()
        await asyncio.gather(follower.task, return_exceptions=True)


@pytest.mark.parametrize(
    "fault",
    [
        OSError("no inotify left"),
        ExceptionGroup("watching", [RuntimeError("Unable to decode path")]),
        ValueError("something new"),
    ],
)
async def test_a_kernel_that_gives_no_hints_stops_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    asked = News()
    tries: list[int] = []

    def awatch(*_paths: pathlib.Path, **_rest: object) -> typing.NoReturn:
        tries.append(1)
        asked.come()
        raise fault

    monkeypatch.setattr(watchfiles, "awatch", awatch)
    async with following(tmp_path) as follower:
        await asked.until(lambda: len(tries) > 1)  # it is tried again at every sweep
        (tmp_path / "a.yaml").write_text("a")
        await follower.until(lambda: follower.changes)

        assert not follower.task.done()


async def test_a_file_whose_name_is_no_utf8_stops_nothing(tmp_path: pathlib.Path) -> None:
    notes = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    async with following(tmp_path) as follower:
        for number in (1, 2):
            notes.write_text(f"notes {number}")
            (tmp_path / "a.yaml").write_text("a" * number)
            await follower.until(lambda number=number: follower.changes >= number)  # type: ignore[misc]

        assert not follower.task.done()


def test_a_manifest_whose_name_is_no_utf8_is_told_apart_like_any_other(tmp_path: pathlib.Path) -> None:
    before = fingerprint([tmp_path])
    pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.yaml")).write_text("a")

    assert fingerprint([tmp_path]) != before
