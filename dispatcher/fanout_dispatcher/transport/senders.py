"""Makes the senders of a dispatcher: what all of them share is here (the guard, the resolver, trust in public CAs)."""

import asyncio
import functools
import ssl
import typing
import weakref
from collections.abc import Callable

from fanout_crds import clientcert
from fanout_crds.expressions import Unusable
from fanout_crds.plan import Credentials, Target
from fanout_dispatcher.transport.connect import Dialer
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.transport.headers import Blocks, Illegal
from fanout_dispatcher.transport.mapping import Mapped
from fanout_dispatcher.transport.names import Names, Resolve
from fanout_dispatcher.transport.origin import BadUrl, Origin, parse
from fanout_dispatcher.transport.protocol import Unsendable
from fanout_dispatcher.transport.request import Template
from fanout_dispatcher.transport.sender import IDLE, HttpSender

HINTS: typing.Final = {
    "a loopback address": " (fanout run --allow-loopback allows it)",
    "a private address": " (fanout run --allow-cidr allows it)",
}


Shown = tuple[bytes | None, bytes | None]  # a CA bundle, and a client certificate with its key


class HttpSenders:
    """Makes an HttpSender for each target of a plan (a SenderFactory).

    Targets with one CA bundle and one client certificate share a context: a dispatcher with hundreds of them would
    stand still for as many times 44 ms, whenever the Secret is renewed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        guard: Guard,
        *,
        span_ids: Callable[[], str],
        resolve: Resolve | None = None,
        idle: float = IDLE,
    ) -> None:
        """*span_ids* name attempts to a trace; *resolve* looks names up, by default as the machine does.

        *idle*: seconds to keep an unused connection.
        """
        self._loop = loop
        self._guard = guard
        self._resolve = resolve or Names(loop)
        self._idle = idle
        self._blocks = Blocks(span_ids)
        self._trusts: weakref.WeakValueDictionary[Shown, ssl.SSLContext] = weakref.WeakValueDictionary()

    def __call__(self, target: Target, credentials: Credentials) -> HttpSender:
        """Make the sender of *target*. Raises Unsendable with a sentence that holds no secret."""
        origin = self._origin(target)
        token = _credential(target.bearer, credentials, "bearer token")
        try:
            kind = Mapped if target.mapping is not None or target.compensates else Template
            template = kind(target, origin, token=token, blocks=self._blocks)
        except (Illegal, Unusable) as why:
            raise Unsendable(str(why)) from None
        dialer = Dialer(
            self._loop,
            origin,
            self._guard,
            private=target.private,
            timeout=target.policy.timeouts.connect,
            tls=self._trust(target, credentials) if origin.secure else None,
            resolve=self._resolve,
        )
        return HttpSender(self._loop, template, dialer, limit=target.policy.bulkhead.max_concurrent, idle=self._idle)

    def _origin(self, target: Target) -> Origin:
        refused = self._guard.check_url(target.url, private=target.private)
        if refused is not None:
            raise Unsendable(f"the target's URL is refused: {refused}{HINTS.get(refused, '')}")
        try:
            return parse(target.url)
        except BadUrl as fault:
            raise Unsendable(str(fault)) from None

    def _trust(self, target: Target, credentials: Credentials) -> ssl.SSLContext:
        bundle = _credential(target.ca, credentials, "CA bundle")
        shown = _credential(target.client_certificate, credentials, "client certificate")
        if bundle is None and shown is None:
            return self._public
        context = self._trusts.get((bundle, shown))
        if context is None:
            context = self._trusts[bundle, shown] = _made(bundle, shown)
        return context

    @functools.cached_property
    def _public(self) -> ssl.SSLContext:
        return _context(None)  # shared: the machine's CAs take 20 ms and a megabyte to load


def _made(bundle: bytes | None, shown: bytes | None) -> ssl.SSLContext:
    """Make what a handshake trusts and shows. Raises Unsendable."""
    try:
        context = _context(bundle.decode("ascii") if bundle is not None else None)
    except (ssl.SSLError, ValueError):
        raise Unsendable("the CA bundle holds no certificate that can be read (expected PEM)") from None
    if shown is not None:
        try:
            clientcert.show(context, shown)
        except ssl.SSLError:
            raise Unsendable("the client certificate cannot be read, or does not go with its key") from None
    return context


def _credential(handle: str | None, credentials: Credentials, what: str) -> bytes | None:
    if handle is None:
        return None
    if handle not in credentials:
        raise Unsendable(f"the {what} that the plan names is not among its credentials")
    return credentials[handle]


def _context(bundle: str | None) -> ssl.SSLContext:
    """Verify certificates and names: by *bundle* alone when there is one, else by the machine's CAs."""
    if bundle is None:
        context = ssl.create_default_context()
    else:  # create_default_context would take an empty bundle for none, and trust everybody's CAs
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=bundle)
    context.set_alpn_protocols(["http/1.1"])
    return context
