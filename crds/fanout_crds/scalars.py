"""Durations, sizes and decimals as manifests write them.

Durations are Gateway API strings (GEP-2257: h, m, s and ms, up to four of them), a subset of what Go and CEL parse.
Sizes are Kubernetes quantities, as far as they make sense for bytes. Each pattern here is also the one in the CRD, so
the API server and files accept the same spellings.
"""

import re
import typing
from decimal import ROUND_CEILING, Decimal

DURATION: typing.Final = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
DURATION_LENGTH: typing.Final = 28
SIZE: typing.Final = r"^(0\.[0-9]{0,5}[1-9]|[1-9][0-9]{0,14}(\.[0-9]{1,6})?)(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P|[eE][0-9])?$"
SIZE_LENGTH: typing.Final = 25
DECIMAL: typing.Final = r"^[0-9]{1,6}(\.[0-9]{1,6})?$"
DECIMAL_LENGTH: typing.Final = 13

_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_BYTES = {"": 1} | {suffix: 1000**power for power, suffix in enumerate(("k", "M", "G", "T", "P"), 1)}
_BYTES |= {suffix: 1024**power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), 1)}
_duration = re.compile(DURATION)
_parts = re.compile(r"([0-9]+)(ms|h|m|s)")
_size = re.compile(SIZE)
_decimal = re.compile(DECIMAL)
_suffix = re.compile(r"[A-Za-z].*$")


def seconds(text: str) -> float | None:
    """Read a duration such as ``1m30s`` in seconds; None when it is none."""
    if not _duration.fullmatch(text):
        return None
    return sum(int(number) * _MILLISECONDS[unit] for number, unit in _parts.findall(text)) / 1000


def size(text: str) -> int | None:
    """Read a quantity such as ``1Mi`` in bytes, rounded up to whole ones as Kubernetes does; None when it is none."""
    if not _size.fullmatch(text):
        return None
    suffix = found.group() if (found := _suffix.search(text)) else ""
    if suffix[:1] in ("e", "E"):
        return int(Decimal(text).to_integral_value(ROUND_CEILING))
    return int((Decimal(text.removesuffix(suffix)) * _BYTES[suffix]).to_integral_value(ROUND_CEILING))


def decimal(text: str) -> float | None:
    """Read a decimal such as ``1.5``; None when it is none."""
    return float(text) if _decimal.fullmatch(text) else None
