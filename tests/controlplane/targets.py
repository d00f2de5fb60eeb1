"""A target of routes, played: real HTTP on a loopback port."""

import http.server
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from threading import Thread


@contextmanager
def target(status: int = 200, *then: int) -> Iterator[tuple[str, Queue[str]]]:
    """A real target that answers so, the last one always, and the authorization of each request it got."""
    got: Queue[str] = Queue()
    statuses = [status, *then]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.send_header("Content-Length", "0")
            self.end_headers()
            got.put(self.headers.get("Authorization", ""))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", got
    finally:
        server.shutdown()
        server.server_close()
