"""The fallback of a target that is given up: a static answer that stands in the manifest, or another endpoint."""

from typing import Annotated, ClassVar, Literal

import msgspec

from fanout_crds import texts
from fanout_crds.endpoint import Endpoint
from fanout_crds.headers import CAPTURED
from fanout_crds.kinds import Enum, Integer, Text
from fanout_crds.objects import ListOf, Object
from fanout_crds.request import TYPED
from fanout_crds.rules import Place, Rule

FallbackType = Literal["Static", "Target"]
_Name = Text(  # only headers that are kept of real answers: expressions and callers read no others
    what='a header that is kept of answers, in lower case, such as "content-type"',
    longest=32,
    pattern=rf"^({'|'.join(sorted(CAPTURED))})$",
)
_Body = Text(what='a text, with JSON in quotes, such as "[]"', longest=65_536, shortest=0)


class StaticHeader(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A header field of a static answer."""

    RULES: ClassVar = (TYPED,)
    name: Annotated[str, _Name, "Name, in lower case: one of those that `targets.<name>.headers` may have."]
    value: Annotated[str, texts.HeaderValue, "Value, as it stands."]


class Static(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An answer that stands in the manifest: no request is made for it."""

    status: Annotated[int | None, Integer(200, 299), "Its status. Unset: 200."] = None
    headers: Annotated[
        tuple[StaticHeader, ...],
        ListOf(item=Object(StaticHeader), most=16, key="name"),
        "Its headers. Unset: none; a content-type of application/json is added where there is none.",
    ] = ()
    body: Annotated[str | None, _Body, "Its body, up to 64 KiB of text, such as '[]'. Unset: empty."] = None


def _wrong_part(it: "Fallback") -> list[Place]:
    """What the type needs and has not, else what it has and does not need."""
    own, other = ("static", "target") if it.type == "Static" else ("target", "static")
    return [Place(own if getattr(it, own) is None else other)]


class Fallback(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What stands in for a target that is given up, or whose circuit is open while a caller waits for it.

    A target whose fallback took is no dead letter, and counts as delivered for its caller and for what depends on it.
    """

    RULES: ClassVar = (
        Rule(
            "has(self.static) == (self.type == 'Static') && has(self.target) == (self.type == 'Target')",
            "type Static needs static and no target, type Target needs target and no static",
            lambda it: (
                (it.static is not None) == (it.type == "Static") and (it.target is not None) == (it.type == "Target")
            ),
            places=_wrong_part,
        ),
    )
    type: Annotated[
        FallbackType,
        Enum(FallbackType),
        "Static: an answer that stands here, for whoever sees the target's. Target: somebody else is asked.",
    ]
    static: Annotated[Static | None, Object(Static), "The answer, with type Static. Unset: with type Target."] = None
    target: Annotated[
        Endpoint | None,
        Object(Endpoint),
        "Who is asked, with type Target; given up, it is a dead letter itself. Unset: with type Static.",
    ] = None
