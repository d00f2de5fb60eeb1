"""The example's ports, or others where somebody else has them: then the example is copied with its URLs changed."""

import contextlib
import socket
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

from demo.targets import NAMES
from tests.harness.process import free_ports

FOLDER: typing.Final = Path("examples/01-fan-out")
MARK: typing.Final = "\0fanout-demo"
EXAMPLE: typing.Final = dict(zip(NAMES, (9101, 9102, 9103), strict=True))


@contextlib.contextmanager
def reserved() -> Iterator[tuple[dict[str, int], str]]:
    """Give a port for each target, and why they are not the example's, if so; no other demo takes those meanwhile.

    Two demos are told apart by a name in the abstract namespace of Unix sockets: it belongs to the same network
    namespace as the ports do, and goes with its process.
    """
    with socket.socket(socket.AF_UNIX) as mark:
        try:
            mark.bind(MARK)
            taken = [port for port in EXAMPLE.values() if not free(port)]
            why = f"port {', '.join(map(str, taken))} is taken here" if taken else ""
        except OSError:
            why = "another demo runs here"
        yield (dict(zip(NAMES, free_ports(len(NAMES)), strict=True)) if why else EXAMPLE), why


def free(port: int) -> bool:
    """Say whether nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server would: what lingers does not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def manifests(home: Path, ports: Mapping[str, int]) -> Path:
    """Give the example's folder, or, where *ports* are others, a copy of it below *home*."""
    if dict(ports) == EXAMPLE:
        return FOLDER
    folder = home / FOLDER.name
    folder.mkdir()
    for manifest in sorted(FOLDER.glob("*.yaml")):
        (folder / manifest.name).write_text(_moved(manifest.read_text(), ports))
    return folder


def _moved(text: str, ports: Mapping[str, int]) -> str:
    for name, port in ports.items():
        text = text.replace(f"127.0.0.1:{EXAMPLE[name]}/", f"127.0.0.1:{port}/")
    return text
