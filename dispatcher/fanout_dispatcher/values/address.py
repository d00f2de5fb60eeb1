"""Where a port listens: a host and a port as people write them, and in which words one could not be opened.

Beside it what else the dispatcher says of addresses in more than one place.
"""

import dataclasses
import errno
import ipaddress
import typing

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_WORDS: typing.Final = {
    errno.EADDRINUSE: "address already in use: stop the other process or choose another port",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "permission denied: choose a port above 1023",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where a port listens. Port 0 takes any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> typing.Self:
        """Read ``host:port``, ``[::1]:port`` or ``:port`` (every interface). Raises ValueError with a sentence."""
        host, colon, port = text.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535 or (":" in host and host == bare):
            raise ValueError(f'expected an address such as 127.0.0.1:8080 or [::1]:8080, got "{text}"')
        return cls(bare or "0.0.0.0", int(port))  # ":8080" says so in as many words

    def unopened(self, wrong: OSError) -> str:
        """Say that nothing can listen here, why, and what to do."""
        why = _WORDS.get(wrong.errno or 0) or (wrong.strerror or str(wrong)).lower()
        return f"cannot listen on {self}: {why}"


def bracketed(host: str) -> str:
    """Write *host* as it stands before a colon: an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Tell whether *host* is this machine for itself alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
