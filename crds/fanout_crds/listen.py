"""Where events come in: a path, and the methods it is requested with.

A segment of the path may be a name in braces, which matches any one segment; expressions read it as `path.name`. Where
several paths match a request, the first segment in which they differ decides: a literal segment wins over a name. So
only paths that are equal but for their names are contested, and a path has one holder, whatever its methods. Both
planes compare paths by their `claim`.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from fanout_crds import expressions, texts
from fanout_crds.faults import Faults
from fanout_crds.kinds import Enum
from fanout_crds.nearest import hint
from fanout_crds.objects import ListOf
from fanout_crds.request import Method
from fanout_crds.respond import SETTLED, settled
from fanout_crds.rules import Place, Rule, repeated

if TYPE_CHECKING:
    from fanout_crds.plan import Plan

_NAMED: Final = re.compile(r"\{([^{}]*)\}")
_EACH_ONCE: Final = Rule(
    "self.all(one, self.exists_one(other, other == one))",
    "each method may be named once",
    lambda methods: len(set(methods)) == len(methods),
    places=lambda methods: (Place(f"[{place}]") for place in repeated(methods)),
)


class Listen(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where events come in."""

    path: Annotated[
        str | None,
        texts.ListenPath,
        "Path that events are sent to. A segment in braces, as in /shop/products/{id}, stands for any one; expressions"
        " read it as path.id, and a path that has the segment written out wins. Unset: /<namespace>/<name>. In a"
        " cluster it must start with /<namespace>/.",
    ] = None
    methods: Annotated[
        tuple[Method, ...] | None,
        ListOf(item=Enum(Method), most=5, least=1, rules=(_EACH_ONCE,)),
        "Methods that events are sent with. Others than POST need respond.mode Settled. A GET has no body, and what it"
        " asks for is in path and query; where it is taken HEAD is too. Unset: POST.",
    ] = None


ANSWERED: Final = Rule(  # of a spec
    f"!has(self.listen) || !has(self.listen.methods) || self.listen.methods.all(one, one == 'POST') || ({SETTLED})",
    "listen.methods other than POST need respond.mode Settled: who sends them wants an answer, not a receipt",
    lambda spec: not (spec.listen and spec.listen.methods) or set(spec.listen.methods) == {"POST"} or settled(spec),
    at="listen.methods",
    places=lambda spec: (
        Place(f"listen.methods[{place}]") for place, method in enumerate(spec.listen.methods) if method != "POST"
    ),
)
UNFETCHED: Final = Rule(  # of a spec
    "!has(self.sources) || !has(self.listen) || !has(self.listen.path) || !self.listen.path.contains('{')",
    "sources need a listen.path without names in braces: what is fetched was sent to no path",
    lambda spec: not spec.sources or not (spec.listen and spec.listen.path and "{" in spec.listen.path),
    at="listen.path",
)
ASKED_ANEW: Final = Rule(  # of a spec
    "!has(self.accept) || !has(self.accept.idempotency) || !has(self.listen) || !has(self.listen.methods)"
    " || !('GET' in self.listen.methods)",
    "accept.idempotency does not go with listen.methods GET: who asks again wants to know what is so now",
    lambda spec: (
        not (
            spec.accept
            and spec.accept.idempotency
            and spec.listen
            and spec.listen.methods
            and "GET" in spec.listen.methods
        )
    ),
    at="accept.idempotency",
)


NO_DATA: Final = (
    "data are not at hand: listen.methods has GET only, which brings none; read path.<name> or query.<name>"
)


def names(path: str) -> tuple[str, ...]:
    """Give the names in braces of *path*, in order."""
    return tuple(_NAMED.findall(path))


def claim(path: str) -> str:
    """Give what *path* claims: itself, without the names in its braces, which tell no two paths apart."""
    return _NAMED.sub("{}", path) if "{" in path else path


def check(plan: "Plan", written: Mapping[str, str], faults: Faults) -> None:
    """Say which expressions of *plan* read a segment that its path does not name, or data that no request brings.

    *written* has the paths that are others in the manifest.
    """
    known = names(plan.path)
    fields_of_nothing = set(plan.methods) == {"GET"} and plan.postgres_outbox is None
    for field, text, scope in plan.expressions():
        reads = expressions.compile(text, scope).reads
        whole, _, last = field.rpartition(".")
        field = f"{written.get(whole, whole)}.{last}"
        if fields_of_nothing and reads.data:
            faults.add(field, NO_DATA)
        if "path" in reads.variables and not known:
            faults.add(field, "path is not at hand: the route's listen.path has no segment in braces, such as {id}")
            continue
        for name in reads.path or ():
            if name not in known:
                faults.add(field, f"listen.path has no segment {{{name}}}; {hint(name, known)}")
