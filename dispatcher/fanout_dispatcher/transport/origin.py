"""A target's URL, taken apart once and strictly.

``parse`` is the only reader of URLs on the way out. It accepts absolute http and https URLs whose host is a plain DNS
name, a dotted IPv4 address or a bracketed IPv6 address, and refuses every other spelling in words. That is on purpose:
``0x7f.1``, ``2130706433``, ``①②⑦.⓪.⓪.①``, ``127。0。0。1`` and ``user@127.0.0.1`` are all ways to say loopback that one
reader takes for a name and the next for an address. What cannot be misread needs no normalising.
"""

import ipaddress
import re
import typing

import msgspec

from fanout_dispatcher.values.address import bracketed

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")  # the WHATWG URL standard's "ends in a number"
_DOTTED = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")

_DEFAULT_PORTS: typing.Final = {"http": 80, "https": 443}
_LONGEST_NAME: typing.Final = 253


class BadUrl(ValueError):
    """A URL that nothing is sent to; its text is a sentence for the route's author."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a target listens and what is asked for there."""

    secure: bool
    host: str  # lower case, without brackets; what certificates are checked against
    port: int
    authority: bytes  # the Host header
    path: bytes  # the request target: path and query
    address: IpAddress | None  # set when the host is an address and no name


def parse(url: str) -> Origin:
    """Take *url* apart. Raises BadUrl with a sentence."""
    if not _URL_CHARACTERS.fullmatch(url):
        raise BadUrl(
            "a URL holds only ASCII letters, digits and URL punctuation: percent-encode the rest,"
            " and write names in their xn-- form"
        )
    parts = _PARTS.fullmatch(url)
    scheme = parts["scheme"].lower() if parts else ""
    if parts is None or scheme not in _DEFAULT_PORTS:
        raise BadUrl("expected an absolute http:// or https:// URL")
    if "@" in parts["authority"]:
        raise BadUrl("a URL must not carry user information: use authentication")
    if parts["fragment"] is not None:
        raise BadUrl("a URL must not carry a fragment: it is never sent")
    host, port, address = _authority(parts["authority"], _DEFAULT_PORTS[scheme])
    shown = bracketed(host)
    return Origin(
        secure=scheme == "https",
        host=host,
        port=port,
        authority=(shown if port == _DEFAULT_PORTS[scheme] else f"{shown}:{port}").encode("ascii"),
        path=((parts["path"] or "/") + (parts["query"] or "")).encode("ascii"),
        address=address,
    )


def _authority(text: str, default_port: int) -> tuple[str, int, IpAddress | None]:
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise BadUrl("expected host or host:port after the scheme")
    port = int(found["port"]) if found["port"] else default_port
    if not 0 < port < 65536:
        raise BadUrl("expected a port from 1 to 65535")
    host = found["host"].lower()
    if host.startswith("["):
        six = _ipv6(host[1:-1])
        return str(six), port, six
    if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        four = _ipv4(host)
        return str(four), port, four
    return _name(host), port, None


def _ipv6(text: str) -> ipaddress.IPv6Address:
    try:
        if "%" in text:
            raise ValueError(text)
        return ipaddress.IPv6Address(text)
    except ValueError:
        raise BadUrl("expected an IPv6 address without a zone between the brackets") from None


def _ipv4(text: str) -> ipaddress.IPv4Address:
    try:
        if not _DOTTED.fullmatch(text):
            raise ValueError(text)
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise BadUrl("an IPv4 address is written as four decimal numbers with dots") from None


def _name(text: str) -> str:
    labels = text.removesuffix(".").split(".")
    if len(text) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadUrl("expected a DNS name: labels of 1 to 63 letters, digits and hyphens, joined by dots")
    return text
