"""Who gets which path when an operator starts: whoever has it in force, then the oldest. Only here does age decide."""

from fanout_crds.faults import Invalid
from fanout_crds.listen import claim
from fanout_crds.route import parse
from fanout_operator import plans
from fanout_operator.claims import Claims, Holder
from fanout_operator.judge import Rules
from fanout_operator.routes import Known, Routes


def claim_paths(claims: Claims, routes: Routes, inventory: plans.Inventory, rules: Rules) -> None:
    """Take all paths, before any route is reconciled."""
    in_force = {plan.route: plan for plan in inventory}
    for key in routes.by_age():
        if key in in_force:
            claims.take(claim(in_force[key].path), Holder(key, in_force[key].route_uid))
    for key in routes.by_age():
        known = routes.get(key)
        if known and key not in in_force and (path := _path(known, rules)):
            claims.take(path, Holder(key, known.uid))


def _path(known: Known, rules: Rules) -> str | None:
    """The path that a route of our class may have."""
    if known.class_name() != rules.class_name:
        return None
    try:
        route = parse(known.document())
    except Invalid:
        return None
    return route.claim if rules.permits(route) else None
