"""A plan on the wire: the format that it is written in, and those that are read."""

import typing

import msgspec

from fanout_crds.plan import features
from fanout_crds.plan.route import Plan

FORMAT: typing.Final = 1
READABLE: typing.Final = frozenset({FORMAT})  # and the one before, as soon as there is one (tests/skew)

Credentials = typing.Mapping[str, bytes]  # handle -> value; never encoded with the plan


class UnknownFormat(ValueError):
    """The plan is written in a format that this dispatcher does not read."""


class UnknownFeature(ValueError):
    """The plan cannot be carried out without something that this dispatcher does not know."""


class _Envelope(msgspec.Struct):
    format: int
    needs: tuple[str, ...] = ()


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Plan)
_envelope = msgspec.json.Decoder(_Envelope)


def encode(plan: Plan) -> bytes:
    """Write *plan* as JSON; the same plan always gives the same bytes."""
    return _encoder.encode(plan)


def decode(text: bytes | str) -> Plan:
    """Read a plan.

    Raises UnknownFormat for a format this version does not read, UnknownFeature for a plan that would be another one
    without what this version leaves out of it, and ValueError (msgspec.ValidationError) with the path to the field for
    anything else that is wrong.
    """
    envelope = _envelope.decode(text)
    found = envelope.format
    if found not in READABLE:
        known = ", ".join(str(one) for one in sorted(READABLE))
        behind = "dispatcher first" if found > FORMAT else "operator"
        raise UnknownFormat(f"format {found} is not one this dispatcher reads ({known}): upgrade the {behind}")
    if unknown := [name for name in envelope.needs if name not in features.KNOWN]:
        names = ", ".join(unknown)
        raise UnknownFeature(f"upgrade this dispatcher first: the plan needs {names}, which it does not know")
    return _decoder.decode(text)
