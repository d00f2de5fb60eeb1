"""Places of the demo's own for its targets, and a copy of the example that names them.

The example's ports may be anybody's: of a dispatcher that was started by hand, say, and owes events to them. So each
target gets a free port, bound for as long as the demo lasts (a bound port that nobody listens on yet refuses, as one
of a target that is down does), and all of them a path that no other dispatcher knows.
"""

import contextlib
import secrets
import socket
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

from demo.errors import prove
from demo.targets import NAMES, Target, three

FOLDER: typing.Final = Path("examples/01-fan-out")
EXAMPLE: typing.Final = dict(zip(NAMES, (9101, 9102, 9103), strict=True))


@contextlib.contextmanager
def placed() -> Iterator[dict[str, Target]]:
    """Give the three targets, each with a port of its own, not yet open."""
    with contextlib.ExitStack() as stack:
        doors = {name: stack.enter_context(socket.socket()) for name in NAMES}
        for door in doors.values():
            door.bind(("127.0.0.1", 0))
        yield three(doors, path=f"/events/{secrets.token_hex(4)}")


def manifests(home: Path, targets: Mapping[str, Target]) -> Path:
    """Copy the example below *home*, with its URLs changed to those of *targets*."""
    folder = home / FOLDER.name
    folder.mkdir()
    for manifest in sorted(FOLDER.glob("*.yaml")):
        (folder / manifest.name).write_text(_moved(manifest.read_text(), targets))
    return folder


def _moved(text: str, targets: Mapping[str, Target]) -> str:
    for name, target in targets.items():
        url = f"http://127.0.0.1:{EXAMPLE[name]}/events"
        prove(url in text, f"the example should have {name} at {url}")
        text = text.replace(url, target.url)
    return text
