"""A name server that misbehaves, for the machine's own resolver, in a network that this process has to itself.

    unshare --map-root-user --mount --net python -m tests.support.name_server

It points /etc/resolv.conf of its own mount namespace at itself, looks names up through uvloop and through ours, and
prints what each found and how long it took, as JSON. Nothing outside of the namespaces notices.
"""

import asyncio
import fcntl
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import typing

import uvloop

from fanout_dispatcher.transport.names import Names

TIMEOUT: typing.Final = 4  # s that the resolver waits for an answer
HANGING: typing.Final = 8  # names, twice as many as libuv has threads
ENOUGH: typing.Final = 2.0  # s; who has no answer by then waits for somebody else's name

Found = dict[str, typing.Any]


def alone() -> None:
    """Bring loopback up, and make ourselves the machine's name server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up = struct.pack("16sh", b"lo", 1)  # SIOCSIFFLAGS: IFF_UP
        fcntl.ioctl(any_socket, 0x8914, up)
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as ours:
        ours.write(f"nameserver 127.0.0.1\noptions timeout:{TIMEOUT} attempts:1\n")
    subprocess.run(["mount", "--bind", ours.name, "/etc/resolv.conf"], check=True)
    pathlib.Path(ours.name).unlink()


class NameServer:
    """Answers by the first label of the name."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.asked: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, who = self.socket.recvfrom(4096)
            end = query.index(b"\0", 12)
            label = query[13 : 13 + query[12]].decode()
            kind = struct.unpack("!H", query[end + 1 : end + 3])[0]
            if kind == 1:
                self.asked.append(label)
            code, addresses = self._says(label)
            if code is not None:
                answers = [socket.inet_aton(one) for one in addresses] if kind == 1 else []
                head = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(answers), 0, 0)
                records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + one for one in answers)  # TTL 0
                self.socket.sendto(head + query[12 : end + 5] + records, who)

    def _says(self, label: str) -> tuple[int | None, list[str]]:
        match label.rstrip("0123456789"):
            case "silent":
                return None, []
            case "servfail":
                return 2, []
            case "missing":
                return 3, []
            case "empty":
                return 0, []
            case "rebind":
                return 0, ["192.0.2.1" if self.asked.count(label) == 1 else "169.254.169.254"]
            case _:
                return 0, ["192.0.2.1"]


async def by_libuv(name: str) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


async def beside_hanging(resolve: typing.Callable[[str], typing.Awaitable[typing.Any]], kind: str) -> Found:
    """Look up a name that is answered at once, while others hang."""
    loop = asyncio.get_running_loop()
    hanging = [asyncio.ensure_future(_silently(resolve(f"silent{one}.{kind}.test."))) for one in range(HANGING)]
    await asyncio.sleep(0.2)
    began = loop.time()
    try:
        async with asyncio.timeout(ENOUGH):
            found = await resolve(f"quick.{kind}.test.")
    except TimeoutError:
        found = None
    return {"found": found, "seconds": loop.time() - began, "hanging": sum(not one.done() for one in hanging)}


async def _silently(lookup: typing.Awaitable[typing.Any]) -> None:
    try:
        await lookup
    except OSError:
        pass  # what it finds is of no interest


async def main() -> None:
    server = NameServer()
    names = Names(asyncio.get_running_loop())
    said: dict[str, typing.Any] = {"ours": await beside_hanging(names, "ours")}
    for label in ("missing", "servfail", "empty", "rebind"):
        said[label] = [await names(f"{label}.test."), await names(f"{label}.test.")]
    said["hosts"] = await names("localhost")
    said["missing asked"] = server.asked.count("missing")
    said["libuv"] = await beside_hanging(by_libuv, "libuv")
    sys.stdout.write(json.dumps(said))
    sys.stdout.flush()
    os._exit(0)  # libuv would wait for its threads, and they wait for the names


if __name__ == "__main__":
    alone()
    uvloop.run(main())
