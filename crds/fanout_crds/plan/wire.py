"""A plan on the wire: the format that it is written in, and those that are read."""

import typing

import msgspec

from fanout_crds.plan.route import Plan

FORMAT: typing.Final = 1
READABLE: typing.Final = frozenset({FORMAT})  # and the one before, as soon as there is one (tests/skew)

Credentials = typing.Mapping[str, bytes]  # handle -> value; never encoded with the plan


class UnknownFormat(ValueError):
    """The plan is written in a format that this dispatcher does not read."""


class _Envelope(msgspec.Struct):
    format: int


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Plan)
_envelope = msgspec.json.Decoder(_Envelope)


def encode(plan: Plan) -> bytes:
    """Write *plan* as JSON; the same plan always gives the same bytes."""
    return _encoder.encode(plan)


def decode(text: bytes | str) -> Plan:
    """Read a plan.

    Raises UnknownFormat for a format this version does not read, and ValueError (msgspec.ValidationError) with the path
    to the field for anything else that is wrong.
    """
    found = _envelope.decode(text).format
    if found not in READABLE:
        known = ", ".join(str(one) for one in sorted(READABLE))
        behind = "dispatcher first" if found > FORMAT else "operator"
        raise UnknownFormat(f"format {found} is not one this dispatcher reads ({known}): upgrade the {behind}")
    return _decoder.decode(text)
