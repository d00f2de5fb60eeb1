"""Child processes that never outlive the run that started them.

Used by everything in the harness that starts a server. A child gets a session of its own, so that a Ctrl-C meant for
the tests does not race their teardown, and the kernel's parent-death signal, so that even a `kill -9` of the runner
leaves no process behind. Its output goes to a file, whose tail is what an error shows.
"""

import random
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

OURS: Final = range(10240, 32768)


def spawn(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start `command`, its output appended to `log`; call it from a thread that lives as long as the child should."""
    setpriv = shutil.which("setpriv")
    tied = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    with log.open("ab") as out:
        return subprocess.Popen(
            [*tied, *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes], patience: float = 0) -> None:
    """End `process` and reap it: politely for `patience` seconds, then with SIGKILL. An ended one is left alone."""
    if patience:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            pass
    process.kill()
    process.wait()


def free_ports(count: int) -> list[int]:
    """Find `count` different loopback ports that nobody listens on at this moment.

    Below those that the kernel hands out by itself (32768 and up, unless it was told otherwise): one of these may be
    anybody's connection by the time that whoever asked listens on it, or listens on it again.
    """
    with ExitStack() as open_sockets:
        found: list[int] = []
        for port in random.SystemRandom().sample(OURS, len(OURS)):
            each = open_sockets.enter_context(socket.socket())
            with suppress(OSError):
                each.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
        raise RuntimeError(f"no {count} ports are free among {OURS}")


def tail(log: Path, lines: int = 20) -> str:
    """Read the last lines of a log; nothing where there is no log yet."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
