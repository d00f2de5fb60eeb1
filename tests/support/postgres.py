"""A real PostgreSQL of our own, from the system's packages, on a free port of loopback.

Debian: `apt-get install postgresql`. It refuses to run as root, so that there it runs as *nobody*. Each test has a
database of its own.
"""

import collections.abc
import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import typing

import asyncpg

from tests.harness.process import free_ports, spawn, tail

USER: typing.Final = "shop"
PASSWORD: typing.Final = "hunter2@home"  # with a character that a URL has to encode
READY: typing.Final = 30.0  # seconds
SERVANT: typing.Final = "nobody"
MISSING: typing.Final = "no PostgreSQL under /usr/lib/postgresql (Debian: apt-get install postgresql)"


def programs() -> pathlib.Path | None:
    """The folder with initdb and postgres, the newest there is."""
    found = [path.parent for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


class Postgres:
    """A server; ``start`` and ``stop`` as often as wanted, ``close`` once."""

    def __init__(self, bin_folder: pathlib.Path, *, tls: tuple[bytes, bytes] | None = None) -> None:
        """*tls*: certificate and key in PEM; without them it takes no TLS."""
        self.bin = bin_folder
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fanout-pg-"))
        self.log = self.folder / "log"
        self.port = free_ports(1)[0]
        self.child: subprocess.Popen[bytes] | None = None
        self.settings = ["fsync=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        self._prepare(tls)

    def url(self, database: str, *, port: int = 0, query: str = "sslmode=disable") -> str:
        """Where *database* is."""
        password = PASSWORD.replace("@", "%40")
        return f"postgresql://{USER}:{password}@127.0.0.1:{port or self.port}/{database}?{query}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [str(self.bin / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        for setting in self.settings:
            command += ["-c", setting]
        self.child = spawn([*_servant(), *command], self.log)
        ready = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]
        give_up = time.monotonic() + READY
        while subprocess.run(ready, check=False).returncode != 0:
            assert self.child.poll() is None, tail(self.log)
            assert time.monotonic() < give_up, tail(self.log)
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, as a failing machine would."""
        if self.child is not None:
            self.child.send_signal(signal.SIGQUIT)
            self.child.wait()
            self.child = None

    async def database(self) -> str:
        """A new database; its name."""
        name = f"shop_{secrets.token_hex(4)}"
        connection = await asyncpg.connect(self.url("postgres"))
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        return name

    def close(self) -> None:
        """End it and remove what it had."""
        self.stop()
        shutil.rmtree(self.folder)

    def _prepare(self, tls: tuple[bytes, bytes] | None) -> None:
        (self.folder / "password").write_text(PASSWORD)
        for name, pem in zip(("server.crt", "server.key"), tls or (), strict=False):
            (self.folder / name).write_bytes(pem)
            (self.folder / name).chmod(0o600)
        if tls is not None:
            files = [f"ssl_cert_file={self.folder}/server.crt", f"ssl_key_file={self.folder}/server.key"]
            self.settings += ["ssl=on", *files]
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, SERVANT)
        command = [str(self.bin / "initdb"), "-D", str(self.folder / "data"), "-U", USER, "-A", "scram-sha-256"]
        command += ["--pwfile", str(self.folder / "password"), "--no-sync", "--no-instructions", "-E", "UTF8"]
        made = subprocess.run([*_servant(), *command, "--locale=C"], capture_output=True, check=False, cwd="/")
        assert made.returncode == 0, made.stderr.decode()


def _servant() -> list[str]:
    """What the server's programs are run by, so that they do not run as root."""
    return ["setpriv", f"--reuid={SERVANT}", "--clear-groups", "--"] if os.geteuid() == 0 else []


@contextlib.asynccontextmanager
async def connected(url: str) -> collections.abc.AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of the service that writes the outbox."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
