"""A TLS server that wants to know who asks, as a target: Python's own, on threads, which says why it hangs up.

One made of asyncio does not: it aborts a failed handshake with the alert still in its buffer.
"""

import contextlib
import socket
import ssl
import threading
import typing

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class StrictTarget:
    """Listens on a loopback port; a request counts once its sender has shown a certificate that the context trusts."""

    def __init__(self, context: ssl.SSLContext) -> None:
        context.verify_mode = ssl.CERT_REQUIRED
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listening]
        self._threads = [threading.Thread(target=self._accept)]
        self.port: int = self._listening.getsockname()[1]
        self.shown: list[int] = []  # of each request, the serial number of the certificate
        self._threads[0].start()

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                raw, _ = self._listening.accept()
                self._open.append(raw)
                self._threads.append(threading.Thread(target=self._serve, args=(raw,)))
                self._threads[-1].start()

    def _serve(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError):
            secure = self._context.wrap_socket(raw.dup(), server_side=True, do_handshake_on_connect=False)
            self._open.append(secure)
            try:
                secure.do_handshake()
            except ssl.SSLError:
                raw.shutdown(socket.SHUT_WR)  # closing would reset the connection, and the alert with it
                while raw.recv(65536):
                    pass
                return
            number = int(str((secure.getpeercert() or {})["serialNumber"]), 16)
            while _request(secure):
                self.shown.append(number)
                secure.sendall(ANSWER)


def _request(connection: ssl.SSLSocket) -> bytes:
    """One whole request; nothing at the end of the connection."""
    got = b""
    while b"\r\n\r\n" not in got:
        if not (more := connection.recv(65536)):
            return b""
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return got
