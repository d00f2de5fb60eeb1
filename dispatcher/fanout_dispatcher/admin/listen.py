"""Serving an aiohttp application on a port, plain or with TLS whose certificate may change while it runs.

aiohttp has one deadline for a connection that owes us a request, from its beginning or from the last answer to the last
byte of the next head, and calls it keep-alive; its default is an hour, so it is set here. Bodies have theirs where they
are read (`wire.meant`).
"""

import ssl
import typing

from aiohttp import web

from fanout_dispatcher.settings import TlsFiles, Unstartable
from fanout_dispatcher.values.address import Address

GRACE: typing.Final = 2.0  # seconds that open requests get when the port closes
HEAD_SECONDS: typing.Final = 10.0  # until a head is there, since the connection was made or the last answer given


class Listening:
    """A port that is open."""

    def __init__(self, runner: web.AppRunner, address: Address) -> None:
        self._runner = runner
        self.address = address  # with the port that was really taken

    async def close(self) -> None:
        """Stop listening and end what is open."""
        await self._runner.cleanup()

    def __repr__(self) -> str:
        return f"Listening({self.address})"


async def listen(
    app: web.Application, address: Address, tls: TlsFiles | None = None, *, head_seconds: float = HEAD_SECONDS
) -> Listening:
    """Open the port. Raises Unstartable when it is taken, or when the certificate cannot be read."""
    context = None if tls is None else _Certificate(tls).context
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE, keepalive_timeout=head_seconds)
    await runner.setup()
    site = web.TCPSite(runner, address.host, address.port, ssl_context=context)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise Unstartable(address.unopened(error)) from None
    return Listening(runner, Address(address.host, runner.addresses[0][1]))


class _Certificate:
    """Reads the files again when they have changed, at the next handshake; bad new files leave the old ones in use."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        try:
            self._seen, self._inner = self._stamp(), self._read()
            self.context = self._read()  # the one that listens; every handshake is handed on to the inner one
        except (OSError, ssl.SSLError) as error:
            raise Unstartable(f"cannot use the certificate {files.certificate} with {files.key}: {error}") from None
        self.context.sni_callback = self._handshake

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._files.certificate, self._files.key)
        return context

    def _stamp(self) -> tuple[int, int]:
        return self._files.certificate.stat().st_mtime_ns, self._files.key.stat().st_mtime_ns

    def _handshake(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: object, _context: object) -> None:
        try:
            if (stamp := self._stamp()) != self._seen:
                self._inner, self._seen = self._read(), stamp
        except (OSError, ssl.SSLError):
            pass  # half written, or gone: the next handshake looks again
        connection.context = self._inner
