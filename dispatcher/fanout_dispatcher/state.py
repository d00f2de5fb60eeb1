"""The state file: how ``fanout events`` and its neighbours find the dispatcher that runs on this machine.

It lies in the data folder, is written once the ports are open (so that port 0 works) and goes when the dispatcher ends.
One that was left behind by a crash is recognised by its process id and ignored.
"""

import contextlib
import os
import pathlib
import typing

import msgspec

NAME: typing.Final = "running.json"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A dispatcher that runs: base URLs of its admin and data ports, and its process id."""

    admin: str
    listen: str
    pid: int


def default_data(environ: typing.Mapping[str, str]) -> pathlib.Path:
    """The data folder when none is named: ``FANOUT_DATA``, else ``fanout`` in the XDG state folder."""
    if named := environ.get("FANOUT_DATA"):
        return pathlib.Path(named)
    return pathlib.Path(environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "fanout"


@contextlib.contextmanager
def announced(data: pathlib.Path, running: Running) -> typing.Iterator[None]:
    """Keep the state file in *data* while the block runs. Raises OSError where it cannot be written."""
    path, fresh = data / NAME, data / f".{NAME}.{running.pid}"
    try:
        fresh.write_bytes(msgspec.json.encode(running))
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    try:
        yield
    finally:
        if read(data) == running:  # a successor may have written its own already
            path.unlink(missing_ok=True)


def read(data: pathlib.Path) -> Running | None:
    """The dispatcher that runs on *data*, None when there is none (any more)."""
    try:
        found = msgspec.json.decode((data / NAME).read_bytes(), type=Running)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
    return found if _alive(found.pid) else None


def left_behind(data: pathlib.Path) -> bool:
    """Whether a dispatcher on *data* has ended without taking its state file away: it was killed."""
    return (data / NAME).exists() and read(data) is None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # another user's
    except OSError:
        return False
    return True
