"""A target in a pod: takes every request, says so in JSON, and tells at GET /seen what came to which name.

Run by the image's own Python from a ConfigMap; it serves every Service name of its namespace, told apart by Host.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

seen: list[tuple[str, str, str]] = []  # the Service's name, the event's id, what authorised it


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take it."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        host = self.headers["Host"].partition(".")[0]
        seen.extend((host, event, self.headers.get("Authorization", "")) for event in self._events(body))
        said = b'{"id": "r-7", "status": "captured", "price": 7}'  # for those who read what others answered
        self._answer(200, said)

    do_PUT = do_DELETE = do_POST  # noqa: N815 - the base class's words

    def do_GET(self) -> None:
        """Tell what came, or take it."""
        if self.path == "/seen":
            self._answer(200, json.dumps(seen).encode())
        else:
            self.do_POST()

    def _events(self, body: bytes) -> list[str]:
        match self.headers.get("Content-Type"):
            case "application/cloudevents-batch+json":
                return [one["id"] for one in json.loads(body)]
            case "application/cloudevents+json":
                return [json.loads(body)["id"]]
            case _:
                return [self.headers["ce-id"]]

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
