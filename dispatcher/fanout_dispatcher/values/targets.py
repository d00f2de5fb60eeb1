"""Targets as expressions see them: what became of each, and what it answered.

    {"pricing": {"state": "Delivered", "status": 200, "headers": {…}, "truncated": False, "cached": False, "body": {…}}}

A target that has not answered has a state, and a reason where there is one, and nothing else. An empty body is not
there, so that `has` tells; nor is one that was cut off: half of it would be taken for the whole.
"""

import typing

import msgspec

from fanout_crds.expressions import Parts
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Heard
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.media import is_json


def targets(heard: typing.Iterable[Heard], reads: Parts) -> dict[str, object]:
    """Give those that are read; a body is only parsed where something of it is."""
    return {one.target: _seen(one, _of(reads, one.target)) for one in heard if reads is None or one.target in reads}


def _of(reads: Parts, key: str) -> Parts:
    return None if reads is None else reads[key]


def _seen(one: Heard, reads: Parts) -> dict[str, object]:
    seen: dict[str, object] = {"state": State.NAMES[one.state], "fallback": one.fallback}
    if one.reason:
        seen["reason"] = one.reason
    if (kept := one.answer) is None:
        return seen
    seen |= {"status": kept.status, "headers": dict(kept.headers), "truncated": kept.truncated, "cached": kept.cached}
    if kept.body and not kept.truncated and (reads is None or "body" in reads):
        seen["body"] = body(kept)
    return seen


def body(kept: Captured) -> object:
    """Give a body that says it is JSON, and is, parsed; else text where it is UTF-8, else bytes."""
    headers = dict(kept.headers)
    if "content-encoding" in headers:
        return kept.body
    if is_json(headers.get("content-type", "").encode("latin-1")):
        try:
            return typing.cast(object, msgspec.json.decode(kept.body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # whatever it is, it is not what it says
    try:
        return kept.body.decode()
    except UnicodeDecodeError:
        return kept.body
