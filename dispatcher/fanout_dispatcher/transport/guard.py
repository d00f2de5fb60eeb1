"""The outbound guard: which addresses a target may be at.

Routes are written by tenants, so a route must not be able to reach what only we can reach (SSRF). The check is on the
concrete address, after DNS, at every connection, and the address checked is the address connected to; a name that
answers differently the second time gains nothing.

Python's ``is_global`` and ``is_private`` are wrong here in both directions (they differ between patch releases, and do
not look inside IPv6 addresses that carry an IPv4 one), so the table below is explicit. Sources: the IANA registries of
special-purpose addresses; RFC 4291 (mapped, compatible), RFC 6052 and 8215 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo),
RFC 5214 (ISATAP).
"""

import collections.abc
import ipaddress
import typing

import msgspec

from fanout_dispatcher.transport.origin import BadUrl, IpAddress, parse
from fanout_dispatcher.values.address import Network

OURS: typing.Final = "an address of our own"


def _table(rows: dict[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ipaddress.ip_network(cidr), kind) for cidr, kind in rows.items())


# Refused for every target. No setting of anybody opens these.
_NEVER: typing.Final = _table(
    {
        "169.254.169.254/32": "a metadata address",
        "100.100.100.200/32": "a metadata address",
        "168.63.129.16/32": "a metadata address",
        "fd00:ec2::254/128": "a metadata address",
        "fd20:ce::254/128": "a metadata address",
        "0.0.0.0/8": "an unspecified address",
        "169.254.0.0/16": "a link-local address",
        "192.0.0.0/24": "a reserved address",
        "224.0.0.0/4": "a multicast address",
        "255.255.255.255/32": "a broadcast address",
        "240.0.0.0/4": "a reserved address",
        "::/128": "an unspecified address",
        "fe80::/10": "a link-local address",
        "ff00::/8": "a multicast address",
        "100::/64": "a reserved address",
        "5f00::/16": "a reserved address",
    }
)
_LOOPBACK: typing.Final = _table({"127.0.0.0/8": "a loopback address", "::1/128": "a loopback address"})
# Inside somebody's network: for services of the cluster, and for what the installer allows.
_PRIVATE: typing.Final = _table(
    {
        "10.0.0.0/8": "a private address",
        "172.16.0.0/12": "a private address",
        "192.168.0.0/16": "a private address",
        "100.64.0.0/10": "a shared address",
        "198.18.0.0/15": "a benchmarking address",
        "192.0.2.0/24": "a documentation address",
        "198.51.100.0/24": "a documentation address",
        "203.0.113.0/24": "a documentation address",
        "192.88.99.0/24": "a reserved address",
        "fc00::/7": "a private address",
        "fec0::/10": "a private address",
        "64:ff9b:1::/48": "a private address",
        "2001:db8::/32": "a documentation address",
        "3fff::/20": "a documentation address",
        "2001:2::/48": "a benchmarking address",
        "2001:10::/28": "a reserved address",
        "2001:20::/28": "a reserved address",
    }
)
_ANYWHERE: typing.Final = ("0.0.0.0", "::")  # listening here is listening at every address
_GLOBAL_UNICAST: typing.Final = ipaddress.ip_network("2000::/3")
_MAPPED: typing.Final = ipaddress.ip_network("::ffff:0:0/96")
_COMPATIBLE: typing.Final = ipaddress.ip_network("::/96")
_NAT64: typing.Final = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64: typing.Final = ipaddress.ip_network("64:ff9b:1::/48")
_SIX_TO_FOUR: typing.Final = ipaddress.ip_network("2002::/16")
_TEREDO: typing.Final = ipaddress.ip_network("2001::/32")
_ISATAP: typing.Final = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """Judges addresses. Pure: the installer's settings in, a refusal in words or None out.

    *allow* opens private ranges to `url` targets, never loopback, link-local or metadata. *own* are the places that no
    target may be at, our own ports and the API server: each an address, or a name as `spelled`, with a port. One at the
    unspecified address is at every loopback address.
    """

    allow_loopback: bool = False
    allow: tuple[Network, ...] = ()
    own: frozenset[tuple[str, int]] = frozenset()

    def check_name(self, name: str, *, port: int) -> str | None:
        """Say why *name* is refused, wherever it leads, None when that is for its addresses to say."""
        return OURS if (spelled(name), port) in self.own else None

    def check(self, address: str, *, private: bool, port: int = 0) -> str | None:
        """Say why *address* is refused, None when it is not. *private*: the target is a service of the cluster."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return "not an address"
        return self._judge(parsed, private=private, port=port)

    def check_url(self, url: str, *, private: bool = False) -> str | None:
        """Say why *url* is refused by its spelling alone; other names are judged by address, at each connection."""
        try:
            origin = parse(url)
        except BadUrl as fault:
            return str(fault)
        if origin.address is None:
            return self.check_name(origin.host, port=origin.port)
        return self._judge(origin.address, private=private, port=origin.port)

    def _judge(self, address: IpAddress, *, private: bool, port: int) -> str | None:
        if (str(address), port) in self.own:
            return OURS
        if _found(address, _LOOPBACK) and any((one, port) in self.own for one in _ANYWHERE):
            return OURS
        refused = _found(address, _NEVER)
        if refused is None and not self.allow_loopback:
            refused = _found(address, _LOOPBACK)
        if refused is None and not private and not self._allowed(address):
            refused = _found(address, _PRIVATE)
        if refused is None and isinstance(address, ipaddress.IPv6Address):
            refused = self._judge_six(address, private=private, port=port)
        return refused

    def _judge_six(self, address: ipaddress.IPv6Address, *, private: bool, port: int) -> str | None:
        if _found(address, _LOOPBACK) is not None:
            return None
        for inner in _embedded(address):
            if (refused := self._judge(inner, private=private, port=port)) is not None:
                return refused
        known = address in _GLOBAL_UNICAST or address in _MAPPED or address in _NAT64 or _found(address, _PRIVATE)
        return None if known else "a reserved address"

    def _allowed(self, address: IpAddress) -> bool:
        return any(address.version == network.version and address in network for network in self.allow)


def spelled(host: str) -> str:
    """*host* as it is compared: names differ neither by case nor by the dot that may end them."""
    return host.lower().removesuffix(".")


def _found(address: IpAddress, table: tuple[tuple[Network, str], ...]) -> str | None:
    return next((kind for network, kind in table if address.version == network.version and address in network), None)


def _embedded(address: ipaddress.IPv6Address) -> collections.abc.Iterator[ipaddress.IPv4Address]:
    """Yield every IPv4 address that *address* may stand for."""
    packed = address.packed
    if address in _MAPPED or address in _COMPATIBLE or address in _NAT64 or packed[8:12] in _ISATAP:
        yield ipaddress.IPv4Address(packed[12:])
    if address in _LOCAL_NAT64:  # RFC 6052 puts the address in four places, by the prefix's length; byte 8 is skipped
        yield ipaddress.IPv4Address(packed[12:])
        yield ipaddress.IPv4Address(packed[6:8] + packed[9:11])
        yield ipaddress.IPv4Address(packed[7:8] + packed[9:12])
        yield ipaddress.IPv4Address(packed[9:13])
    if address in _SIX_TO_FOUR:
        yield ipaddress.IPv4Address(packed[2:6])
    if address in _TEREDO:
        yield ipaddress.IPv4Address(packed[4:8])
        yield ipaddress.IPv4Address(bytes(byte ^ 0xFF for byte in packed[12:]))
