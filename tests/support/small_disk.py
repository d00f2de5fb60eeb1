"""A file system of a few MiB that can really be filled, and a dispatcher that keeps its data there."""

import collections.abc
import contextlib
import os
import pathlib
import subprocess

import pytest

from tests.harness.process import free_ports
from tests.support.dispatcher import Process


@contextlib.contextmanager
def mounted(folder: pathlib.Path, mebibytes: int) -> collections.abc.Iterator[pathlib.Path]:
    """A file system of that size at *folder*, in memory. Skips the test where this user may not mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        pytest.skip(f"this user may not mount a small file system: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small(tmp_path: pathlib.Path) -> collections.abc.Iterator[pathlib.Path]:
    """A file system of 24 MiB."""
    with mounted(tmp_path / "small", 24) as folder:
        yield folder


def on(small: pathlib.Path, process: Process) -> Process:
    """The same dispatcher, with its data there and its ports fixed, since the state file may be missing."""
    process.data = small / "data"
    process.command[process.command.index("--data") + 1] = str(process.data)
    for flag, port in zip(("--listen", "--admin"), free_ports(2), strict=True):
        process.command[process.command.index(flag) + 1] = f"127.0.0.1:{port}"
    return process


def hog(path: pathlib.Path) -> None:
    """Fill the disk to its last byte."""
    with path.open("wb") as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    os.write(file.fileno(), bytes(size))
            except OSError:
                continue
