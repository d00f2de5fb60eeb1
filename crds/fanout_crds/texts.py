"""The texts of the API that follow a standard: names, paths, URLs and header fields, each with its rules in words.

A rule here is what keeps one tenant's manifest from reaching where it must not: no credentials in a URL, no spelling of
an address that two programs read differently, no header that would change how a request is framed or who it speaks
for (RFC 9110, RFC 3986, RFC 1123). The dispatcher checks addresses and headers again when it sends.
"""

import ipaddress
import re
import typing

from fanout_crds import headers
from fanout_crds.kinds import Text
from fanout_crds.rules import Rule, lacks, matches

LABEL: typing.Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?)"
_PORT = r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_REST = r"[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*"
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"

Label = Text(what='a name of lower-case letters, digits and "-" (RFC 1123 label, up to 63)', longest=63, pattern=LABEL)
Namespace = Label
# Quiet: where a reference to a Secret stands, people put the secret itself.
SecretName = Text(
    what='the name of a Secret (lower-case letters, digits, "-" and ".")', longest=253, pattern=_SUBDOMAIN, quiet=True
)
SecretKeyName = Text(
    what='a key of a Secret (letters, digits, "-", "_" and ".")', longest=253, pattern=r"^[-._a-zA-Z0-9]+$", quiet=True
)
SecretNamespace = Text(what="the name of a namespace", longest=63, pattern=LABEL, quiet=True)
ClassName = Text(what='the name of an installation, such as "fanout"', longest=63, pattern=LABEL)

# --- paths and URLs ---------------------------------------------------------------------------------------------------


def _each_once(path: str) -> bool:
    named = re.findall(r"\{[^}]*\}", path)
    return len(set(named)) == len(named)


ListenPath = Text(
    what="a path",
    longest=512,
    rules=(
        matches(r"^/.*$", 'must start with "/"'),
        lacks(r"^/-(/|$)", "paths under /-/ are Fanout's own"),
        matches(
            r"^(/([^/{}]*|\{[A-Za-z_][A-Za-z0-9_]{0,31}\}))+$",
            "braces hold a whole segment, and in it a name such as {id}: letters, digits and _, up to 32",
        ),
        lacks(r"/:", "a segment that stands for any is in braces: {id}, not :id"),
        lacks(r"(\{.*){9}", "must not have more than 8 segments in braces"),
        Rule(None, "must not have the same name in braces twice", _each_once),
        matches(
            r"^(/[A-Za-z0-9._~!$&'()*+,;=:@{}-]+)+$",
            'must be made of segments of plain characters, without empty ones, a "/" at the end, a query or "%"',
        ),
        lacks(r"/[.][.]?(/|$)", 'must not hold "." or ".." as a segment'),
    ),
)
ServicePath = Text(
    what="a path",
    longest=1024,
    rules=(
        matches(r"^/.*$", 'must start with "/"'),
        lacks(r"#", "must not have a fragment (#…): targets never see it"),
        matches(rf"^{_REST}$", "must be plain ASCII as it goes over the wire: write other characters percent-encoded"),
    ),
)


def _address_reads(url: str) -> bool:
    literal = re.match(r"https?://\[([^\]]*)\]", url)
    if literal is None:
        return True
    try:
        ipaddress.IPv6Address(literal[1])
    except ValueError:
        return False
    return True


Url = Text(
    what="a URL",
    longest=2048,
    quiet=True,
    rules=(
        matches(r"^https?://.*$", "must start with http:// or https://"),
        lacks(
            r"^https?://[^/?#]*@",
            "must not hold a user or password: use authentication, which takes them from a Secret",
        ),
        lacks(r"#", "must not have a fragment (#…): targets never see it"),
        matches(
            rf"^https?://{_HOST}{_PORT}([/?].*)?$",
            "needs a host in plain ASCII (other scripts in their xn-- form) and a port, if any, from 1 to 65535",
        ),
        Rule(
            r'!self.matches(r"^https?://([^/?:]*[.])?([0-9]+|0[xX][0-9a-fA-F]*)[.]?([:/?].*)?$")'
            rf' || self.matches(r"^https?://{_BYTE}[.]{_BYTE}[.]{_BYTE}[.]{_BYTE}([:/?].*)?$")',
            "a host that ends in a number must be an IPv4 address in its usual form, such as 192.0.2.7",
            lambda url: (
                not re.fullmatch(r"https?://([^/?:]*[.])?([0-9]+|0[xX][0-9a-fA-F]*)[.]?([:/?].*)?", url)
                or bool(re.fullmatch(rf"https?://{_BYTE}[.]{_BYTE}[.]{_BYTE}[.]{_BYTE}([:/?].*)?", url))
            ),
        ),
        Rule(None, "an address in brackets must be an IPv6 address (RFC 4291)", _address_reads),
        matches(
            rf"^https?://(\[[^\]]*\])?{_REST}$",
            "must be plain ASCII as it goes over the wire: write other characters percent-encoded",
        ),
    ),
)

# --- header fields ----------------------------------------------------------------------------------------------------

_PREFIXED = "|".join(
    "".join(f"[{one}{one.upper()}]" for one in name.removesuffix("-")) for name in headers.OUR_PREFIXES
)


def _none_of(names: headers.Names, says: str) -> Rule:
    listed = ", ".join(f"'{name}'" for name in sorted(names))
    return Rule(f"!(self.lowerAscii() in [{listed}])", says, lambda name: name.lower() not in names)


_REFUSED = (
    _none_of(
        headers.FRAMING, "this header belongs to the connection or frames the message (RFC 9110): HTTP sets it itself"
    ),
    _none_of(headers.CREDENTIALS, "credentials never stand in a manifest or come from a producer: use authentication"),
    _none_of(headers.CARRIED | headers.OURS, "Fanout sends this header itself, with every delivery"),
    lacks(rf"^({_PREFIXED})-", "headers ce-… (CloudEvents) and fanout-… are set by Fanout itself"),
)
HeaderName = Text(
    what='a header name such as "x-shop" (RFC 9110 token)', longest=128, pattern=rf"^{_TOKEN}$", rules=_REFUSED
)
AnswerHeader = Text(
    what='a header name such as "cache-control" (RFC 9110 token)',
    longest=128,
    pattern=rf"^{_TOKEN}$",
    rules=(
        _none_of(
            headers.FRAMING | headers.CREDENTIALS | headers.ANSWERED,
            "this header frames the message, carries a credential, or is in every answer: it cannot be set here",
        ),
        lacks(r"^[fF][aA][nN][oO][uU][tT]-", "headers fanout-… are set by Fanout itself"),
    ),
)
_QUOTED = r'"([^"\\]|\\.)*"'
_MEDIA_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}([ \t]*;[ \t]*({_TOKEN}=({_TOKEN}|{_QUOTED}))?)*")
A_MEDIA_TYPE = 'a media type, such as "text/html" (RFC 9110 §8.3)'


def is_media_type(text: str) -> bool:
    """Whether *text* is what a Content-Type may be: with any other value it must not be sent (RFC 9110 §2.2)."""
    return _MEDIA_TYPE.fullmatch(text) is not None


KeyHeader = Text(what='a header name such as "x-tenant" (RFC 9110 token)', longest=128, pattern=rf"^{_TOKEN}$")
HeaderValue = Text(
    what="a header value: visible ASCII, spaces inside only (RFC 9110)",
    longest=2048,
    shortest=0,
    pattern=r"^([!-~]([ \t!-~]*[!-~])?)?$",
    quiet=True,
)
ForwardHeader = Text(
    what='a header name such as "x-shop", or a prefix such as "x-github-*"',
    longest=128,
    pattern=r"^[A-Za-z0-9!#$%&'+.^_`|~-]+[*]?$",
    rules=_REFUSED,
)

# --- parameters of a query --------------------------------------------------------------------------------------------

ParameterName = Text(
    what="the name of a parameter, without control characters", longest=128, pattern=r"^[^\x00-\x1f\x7f]+$"
)
ParameterValue = Text(
    what="a value without control characters", longest=2048, shortest=0, pattern=r"^[^\x00-\x1f\x7f]*$", quiet=True
)
Attribute = Text(
    what='the name of a CloudEvents attribute, such as "subject": lower-case letters and digits',
    longest=64,
    pattern=r"^[a-z0-9]+$",
    rules=(lacks(r"^(data|datacontenttype)$", "data and its type are no attributes that come as ce-… headers"),),
)
