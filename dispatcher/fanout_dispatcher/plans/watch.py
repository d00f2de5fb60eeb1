"""Notices that manifests changed: a sweep that compares names, inodes, sizes and times, hastened by the kernel.

Notifications alone lose too much: a file replaced by a rename, a folder removed and made again, a ConfigMap mount that
swaps a symlink, a network file system. The sweep misses nothing and is cheap; a notification only means "sweep now".
"""

import asyncio
import functools
import os
import pathlib
import typing

import watchfiles

from fanout_crds.manifests import SUFFIXES
from fanout_dispatcher.plans.aside import aside

SWEEP: typing.Final = 2.0  # seconds between sweeps that nothing hastens
SETTLE: typing.Final = 50  # ms without a further change: an editor writes more than once

Print = frozenset[tuple[str, int, int, int]]


def fingerprint(paths: typing.Iterable[pathlib.Path]) -> Print:
    """Tell the manifests under *paths* apart from every other state of them."""
    return frozenset(_stat(file) for path in paths for file in (_walk(path) if _is_folder(path) else (path,)))


def _is_folder(path: pathlib.Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # it stands where we may not look


def _walk(folder: pathlib.Path) -> typing.Iterator[pathlib.Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (pathlib.Path(root, name) for name in names if name.lower().endswith(SUFFIXES))


def _stat(path: pathlib.Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns


class Watch:
    """Watches *paths*, files and folders, there or not."""

    def __init__(self, paths: typing.Sequence[pathlib.Path], *, sweep: float = SWEEP) -> None:
        self._paths = paths
        self._sweep = sweep
        self._seen = fingerprint(paths)  # before the first load: a change during it is noticed
        self._hint = asyncio.Event()
        self._stale = asyncio.Event()

    async def follow(self, changed: typing.Callable[[], None]) -> None:
        """Call *changed* after every change, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            while True:
                await self._rest()
                self._hint.clear()
                seen = await aside(functools.partial(fingerprint, self._paths))
                if seen != self._seen:
                    self._seen = seen
                    changed()
                self._stale.set()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._sweep):
                await self._hint.wait()
        except TimeoutError:
            pass

    async def _listen(self) -> None:
        """Let the kernel hasten the sweep; watch anew when what is watched was replaced, or watching failed."""
        while True:
            roots = self._roots()
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self._notified(tuple(roots), stop))
                while True:
                    self._stale.clear()
                    await self._stale.wait()
                    if task.done() or self._roots() != roots:
                        break
                stop.set()
                await task

    def _roots(self) -> dict[pathlib.Path, int]:
        """The paths that exist, with their inodes: a watch holds on to the inode, not to the name."""
        found = {path: _stat(path)[1] for path in self._paths}
        return {path: inode for path, inode in found.items() if inode}

    async def _notified(self, roots: tuple[pathlib.Path, ...], stop: asyncio.Event) -> None:
        if not roots:
            return
        try:
            async for _ in watchfiles.awatch(*roots, watch_filter=None, step=SETTLE, stop_event=stop):
                self._hint.set()
        except Exception:  # noqa: BLE001 (it is only a hint: without it the sweep goes on)
            pass  # a path that went, no inotify left, or, in a group, a file's name that is no UTF-8
