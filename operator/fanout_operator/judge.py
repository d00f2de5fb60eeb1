"""Gathered facts to a judgement: may this route take effect?

Pure. Each check is named after its violation and looks at one frozen `Observed`; they stand in order and the first that
objects is the reason that `Accepted` shows. A route that is not accepted changes nothing: its last good plan stays.
References are not judged here: one that does not resolve holds its target and nothing else (resolve.py).
"""

import typing
from collections.abc import Callable, Mapping

import msgspec

from fanout_crds.faults import Fault
from fanout_crds.references import Outside, SecretKey, ServiceKey, Unresolved
from fanout_crds.route import FanoutRoute
from fanout_operator.claims import Holder
from fanout_operator.plans import Content
from fanout_operator.reasons import Said, say


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one route, read at one time. `route` is None when the spec does not parse."""

    key: str
    uid: str
    generation: int
    route: FanoutRoute | None
    faults: tuple[Fault, ...] = ()
    holder: Holder | None = None  # who has the path it asks for
    services: Mapping[ServiceKey, str | Outside | Unresolved] = {}
    secrets: Mapping[SecretKey, bytes | Unresolved] = {}
    plan: Content | None = None

    def __repr__(self) -> str:
        return f"<Observed {self.key} generation={self.generation} plan={self.plan!r}>"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the installer decides."""

    class_name: str = "fanout"
    any_path: bool = False

    def permits(self, route: FanoutRoute) -> bool:
        """Whether a route may listen where it wants to."""
        return self.any_path or route.path.startswith(f"/{route.metadata.namespace}/")


Check = Callable[[Observed, Rules], Said | None]


def invalid(observed: Observed, rules: Rules) -> Said | None:
    """The spec is not understood. (The API server refuses most of these; what only code can see comes here.)"""
    if observed.route is not None:
        return None
    return say("Invalid", faults="; ".join(str(fault) for fault in observed.faults))


def path_not_allowed(observed: Observed, rules: Rules) -> Said | None:
    """The path is another namespace's: a schema cannot see the namespace, so it is asked here."""
    route = observed.route
    if route is None or rules.permits(route):
        return None
    return say("PathNotAllowed", namespace=route.metadata.namespace, path=route.path)


def path_contested(observed: Observed, rules: Rules) -> Said | None:
    """Another route had the path first, and keeps it."""
    if observed.route is None or observed.holder is None or observed.holder.route == observed.key:
        return None
    return say("PathContested", path=observed.route.path, holder=observed.holder.route)


CHECKS: typing.Final[tuple[Check, ...]] = (
    invalid,  # first: the others read the route
    path_not_allowed,  # before the contest: a path it may not have is nobody's business
    path_contested,
)


def judge(observed: Observed, rules: Rules) -> Said | None:
    """The first objection, or None: the route is accepted."""
    for check in CHECKS:
        objection = check(observed, rules)
        if objection:
            return objection
    return None
