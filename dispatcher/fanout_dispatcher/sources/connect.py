"""Connects to a database: the name is looked up, the address judged, and what was judged is what is connected to.

The same guard as for targets, by the same rules: a database behind a Service may be at a private address, one that a
URL names only where the installer allows it. TLS verifies the name in the URL, whatever address that led to.

The driver is imported here, when the first route asks for it: it is an extra, and dispatchers without such a route need
not have it. Its faults become Trouble here and in `table`, and nowhere else.
"""

import contextlib
import ipaddress
import ssl
import typing
from collections.abc import AsyncIterator

import msgspec

from fanout_crds.plan import Credentials, PostgresOutbox
from fanout_dispatcher.sources.trouble import Trouble
from fanout_dispatcher.sources.url import Server, read
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.transport.names import Resolve
from fanout_dispatcher.values.outcome import Refused

if typing.TYPE_CHECKING:
    import asyncpg

CONNECT: typing.Final = 10.0  # seconds to connect, TLS and authentication included
COMMAND: typing.Final = 30.0  # seconds that a statement may take
TRIED: typing.Final = 8  # addresses of a name
GOODBYE: typing.Final = 2.0  # seconds to part from a server in good order
BROKEN: typing.Final = "the connection to the database could not be made, or broke"
HINTS: typing.Final = {
    "a loopback address": " (fanout run --allow-loopback allows it)",
    "a private address": " (name its Service in spec.sources.postgresOutbox.service, or fanout run --allow-cidr)",
}


class Dialer(msgspec.Struct, frozen=True, kw_only=True):
    """Connects to the database of one outbox; *guard* and *resolve* are those of the targets."""

    outbox: PostgresOutbox
    credentials: Credentials
    guard: Guard
    resolve: Resolve

    def __repr__(self) -> str:
        return f"Dialer({self.outbox.table})"  # never a credential

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Connect, and part again at the end. Raises Trouble."""
        driver = _driver()
        server = read(self.credentials[self.outbox.url or ""])
        host, port = self.outbox.address or (server.host, server.port)
        addresses = await self._permitted(host, port)
        with faults():
            connection = await driver.connect(
                host=addresses,  # one after the other
                port=port,
                user=server.user,
                password=server.password,
                database=server.database,
                ssl=self._trust(server),
                timeout=CONNECT,
                command_timeout=COMMAND,
                statement_cache_size=0,  # poolers such as PgBouncer hand out other sessions between transactions
                server_settings={"application_name": "fanout", "timezone": "UTC"},  # table._names relies on it
                target_session_attrs="read-write",  # of a cluster's servers, one that takes what we write
            )
        try:
            yield connection
        finally:
            with contextlib.suppress(Trouble), faults():  # the connection is given up either way
                await connection.close(timeout=GOODBYE)

    async def _permitted(self, host: str, port: int) -> list[str]:
        """The addresses of *host* that we may connect to."""
        found = [host] if _is_address(host) else await self.resolve(host)
        if isinstance(found, Refused) or not found:
            raise Trouble("ConnectFailure", "the database's host was not found")
        ours = self.guard.check_name(host, port=port)
        judged = {one: ours or self.guard.check(one, private=self.outbox.private, port=port) for one in found}
        permitted = [address for address, refused in judged.items() if refused is None]
        if permitted:
            return permitted[:TRIED]
        why = next(iter(judged.values())) or ""
        raise Trouble("AddressRefused", f"the database's address is refused: {why}{HINTS.get(why, '')}")

    def _trust(self, server: Server) -> ssl.SSLContext | bool:
        if server.mode == "disable":
            return False
        context = _Named(ssl.PROTOCOL_TLS_CLIENT)
        context.called = server.host
        context.check_hostname = server.mode == "verify-full"
        if server.mode == "require":
            context.verify_mode = ssl.CERT_NONE
        elif self.outbox.ca is None:
            context.load_default_certs()
        else:
            try:
                context.load_verify_locations(cadata=self.credentials[self.outbox.ca].decode("ascii"))
            except (ssl.SSLError, ValueError):
                says = "the CA bundle in caSecret holds no certificate that can be read (expected PEM)"
                raise Trouble("UrlUnusable", says) from None
        return context


class _Named(ssl.SSLContext):
    """Trust in a server by its name, where the driver would ask for it by the address that it was given."""

    called = ""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.called, session)


def _driver() -> typing.Any:
    try:
        import asyncpg  # noqa: PLC0415  an extra: only who asks for it has it
    except ImportError:
        says = "postgresOutbox needs asyncpg, which is not installed: pip install 'fanout[postgres]'"
        raise Trouble("LibraryMissing", says) from None
    return asyncpg


@contextlib.contextmanager
def faults() -> typing.Iterator[None]:
    """Turn what the driver raises into Trouble. Coarse where it is about the network: tenants read it."""
    driver = _driver()
    try:
        yield
    except driver.PostgresConnectionError:
        raise Trouble("ConnectFailure", BROKEN) from None
    except driver.PostgresError as fault:
        raise Trouble("DatabaseRefused", f"the database said: {_line(fault)} ({fault.sqlstate})") from None
    except ssl.SSLError:
        raise Trouble("TlsFailure", "the database's certificate or its TLS cannot be trusted") from None
    except TimeoutError:
        raise Trouble("Timeout", "the database did not answer in time") from None
    except (driver.InterfaceError, driver.InternalClientError) as fault:
        closed = "closed" in str(fault)  # by the server, while nobody asked it anything
        says = BROKEN if closed else f"the database driver gave up: {_line(fault)}"
        raise Trouble("ConnectFailure", says) from None
    except ConnectionError as fault:
        if "SSL upgrade" in str(fault):
            says = "the database takes no TLS: sslmode=disable in its URL would do without"
            raise Trouble("TlsFailure", says) from None
        raise Trouble("ConnectFailure", BROKEN) from None
    except OSError:
        raise Trouble("ConnectFailure", BROKEN) from None


def _line(fault: Exception) -> str:
    """The first line of what a fault says; the rest is hints for programmers."""
    return (str(fault).splitlines() or [""])[0][:200]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
