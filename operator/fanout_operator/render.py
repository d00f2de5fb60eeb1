"""An accepted route to the plan that should be in force, and whether that is another than the one which is.

Pure. The route is compiled with the revision that is in force; when that gives the same plan and the same
credentials, the revision stays and there is nothing to write. Otherwise it gets a new one, so that a rotated Secret
counts as much as an edited spec. Revisions are random: a hash would let a reader test guesses of what is secret.
"""

from collections.abc import Callable, Mapping

import msgspec

from fanout_crds.compile import Installation, PlanTooLarge
from fanout_crds.compile import compile as compile_route
from fanout_crds.faults import Invalid
from fanout_crds.plan import Plan, encode
from fanout_crds.references import Refs, Unresolved
from fanout_crds.route import FanoutRoute
from fanout_operator.judge import Observed
from fanout_operator.plans import MARKS, Content
from fanout_operator.reasons import Said, say

NewRevision = Callable[[], str]


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, what goes with it, and what has to be written for it to be in force."""

    plan: Plan
    credentials: Mapping[str, bytes]
    unresolved: tuple[tuple[str, Unresolved], ...]
    write: bool
    drop_secret: bool

    def __repr__(self) -> str:
        return f"<Rendered {self.plan.key} revision={self.plan.revision} write={self.write}>"


def render(
    route: FanoutRoute, observed: Observed, installation: Installation, revision: NewRevision
) -> Rendered | Said:
    """Compile an accepted route; answers the objection when it does not compile."""
    refs = Refs(services=observed.services, secrets=observed.secrets)
    in_force = observed.plan
    try:
        compiled = compile_route(route, installation, refs, in_force.plan_revision if in_force else "")
    except PlanTooLarge as invalid:  # first: it is an Invalid too
        return say("PlanTooLarge", faults=str(invalid))
    except Invalid as invalid:  # policies that contradict each other once merged
        return say("Invalid", faults="; ".join(str(fault) for fault in invalid.faults))
    same = in_force is not None and _same(in_force, encode(compiled.plan), compiled.credentials)
    return Rendered(
        plan=compiled.plan if same else msgspec.structs.replace(compiled.plan, revision=revision()),
        credentials=compiled.credentials,
        unresolved=compiled.unresolved,
        write=not same,
        drop_secret=bool(in_force and in_force.credentials_revision is not None and not compiled.credentials),
    )


def _same(in_force: Content, plan: bytes, credentials: Mapping[str, bytes]) -> bool:
    """Whether what lies in the cluster is what this plan would be, and still ours; what somebody added is his.

    A Secret left over is dropped, not counted.
    """
    if in_force.plan != plan or not in_force.plan_revision or in_force.owned != MARKS + 1:
        return False
    if not credentials:
        return True
    return (
        in_force.credentials_revision == in_force.plan_revision
        and in_force.credentials_owned == MARKS + len(credentials)
        and all(in_force.credentials.get(handle) == value for handle, value in credentials.items())
    )
