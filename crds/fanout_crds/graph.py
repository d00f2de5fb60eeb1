"""Checks the graph that `dependsOn` makes of a route's targets.

No rule of the API server can see these: a name that no target has, a cycle, a saga that might wait for ever.
"""

from fanout_crds.faults import Faults
from fanout_crds.inherit import switch
from fanout_crds.nearest import hint
from fanout_crds.route import FanoutRoute, Target


def check(route: FanoutRoute, totals: list[float], orders: list[bool], faults: Faults) -> None:
    """Say what is wrong with the graph of *route*.

    *totals* are its targets' timeouts.total, in seconds, *orders* says which of them keep order.
    """
    targets = route.spec.targets
    _check_names(targets, faults)
    if cycle := _cycle({target.name: target.depends_on for target in targets}):
        faults.add(_step(cycle, targets), f"dependsOn goes in a circle: {' → '.join(cycle)}")
    if route.spec.has_graph:
        for place, ordered in enumerate(orders):
            if ordered:
                faults.add(
                    f"spec.targets[{place}].policy.ordering",
                    "does not go with dependsOn, compensate, fallback or finally: this version keeps order only on a"
                    f" route whose targets are each on their own{switch(targets[place].policy, 'ordering')}",
                )
    if any(target.compensate for target in targets):
        for place, total in enumerate(totals):
            if not total:
                faults.add(
                    f"spec.targets[{place}].policy.timeouts.total",
                    "must not be 0s in a saga: while a target may still be tried nothing is compensated",
                )


def _check_names(targets: tuple[Target, ...], faults: Faults) -> None:
    names = [target.name for target in targets]
    for place, target in enumerate(targets):
        for at, name in enumerate(target.depends_on):
            path = f"spec.targets[{place}].dependsOn[{at}]"
            if name == target.name:
                faults.add(path, "a target cannot depend on itself")
            elif name not in names:
                others = [other for other in names if other != target.name]
                known = hint(name, others) if others else "there is no other"
                faults.add(path, f"no target is named {name}; {known}")


def _step(way: list[str], targets: tuple[Target, ...]) -> str:
    """The path of the first step of *way*: where one target names the next."""
    name, following = way[:2]
    place, target = next((place, one) for place, one in enumerate(targets) if one.name == name)
    return f"spec.targets[{place}].dependsOn[{target.depends_on.index(following)}]"


def _cycle(after: dict[str, tuple[str, ...]]) -> list[str]:
    """Give the names on one cycle, from a name back to itself; empty when there is none.

    Depth first. A name that leads to no cycle is walked once, so the work is linear in names and edges.
    """
    done: set[str] = set()
    for start in after:
        found = _cycle_from(start, after, [], done)
        if found:
            return found
    return []


def _cycle_from(name: str, after: dict[str, tuple[str, ...]], way: list[str], done: set[str]) -> list[str]:
    """Walk on from *name*, to which *way* has led; *done* are names that lead to no cycle."""
    if name in way:
        return [*way[way.index(name) :], name]
    if name in done or name not in after:
        return []
    for before in after[name]:
        if before != name and (found := _cycle_from(before, after, [*way, name], done)):
            return found
    done.add(name)
    return []
