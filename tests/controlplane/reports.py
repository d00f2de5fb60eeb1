"""A dispatcher's report port, played: real HTTP, the lines of the test's choice."""

import json
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from fanout_crds.report import FORMAT

Line = dict[str, Any]


class Reports:
    """What the dispatcher runs; whoever follows gets a snapshot and then every change."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.routes: dict[str, Line] = {}
        self._readers: list[queue.Queue[Line]] = []

    def run(self, plan: Line, **targets: Line) -> None:
        """Say that a plan is in force; targets by name, with what is not as in a quiet one."""
        key = f"{plan['namespace']}/{plan['name']}"
        self.routes[key] = {
            "kind": "route",
            "route": key,
            "revision": plan["revision"],
            "generation": plan["generation"],
            "targets": [quiet(one["name"]) | targets.get(one["name"], {}) for one in plan["targets"]],
            "refused": None,
        }
        self._tell(self.routes[key])

    def refuse(self, plan: Line, why: str) -> None:
        """Say that a plan is not in force."""
        self.run(plan)
        key = f"{plan['namespace']}/{plan['name']}"
        self.routes[key] |= {"revision": "", "refused": why}
        self._tell(self.routes[key])

    def follow(self) -> Iterator[Line]:
        """What one reader is told."""
        reader: queue.Queue[Line] = queue.Queue()
        self._readers.append(reader)
        yield {"kind": "hello", "format": FORMAT, "epoch": "e1"}
        yield from list(self.routes.values())
        yield {"kind": "snapshotEnd"}
        while True:
            try:
                yield reader.get(timeout=2)
            except queue.Empty:
                yield {"kind": "heartbeat"}

    def _tell(self, line: Line) -> None:
        for reader in self._readers:
            reader.put(line)


def quiet(name: str) -> Line:
    """A target with nothing to say."""
    return {"name": name, "circuit": "Closed", "pending": 0, "deadLetters": 0}


@contextmanager
def reporting() -> Iterator[Reports]:
    """Serve reports on a loopback port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            self.end_headers()
            try:
                for line in reports.follow():
                    self.wfile.write(json.dumps(line).encode() + b"\n")
                    self.wfile.flush()
            except OSError:
                pass  # the reader is gone

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    reports = Reports(f"http://127.0.0.1:{server.server_address[1]}")
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield reports
    finally:
        server.shutdown()
        server.server_close()
