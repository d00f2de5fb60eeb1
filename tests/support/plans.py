"""Plans for tests: complete, valid, with the product's own defaults, and one thing changed where a test says so.

``a_policy(retry={"max_attempts": 3})`` is the built-in policy with that one field changed. A mapping changes fields
inside a part, anything else replaces the field: the names are those of `fanout_crds.plan`.
"""

import typing
from collections.abc import Mapping

import msgspec

from fanout_crds import plan, policy
from fanout_crds.builtin import complete

T = typing.TypeVar("T", bound=msgspec.Struct)


def a_policy(durability: str = "Journal", **changes: object) -> plan.Policy:
    """The built-in policy of a route with *durability*, with *changes*."""
    return changed(complete(policy.Policy(), durability), changes)


def a_target(name: str = "billing", **changes: object) -> plan.Target:
    """A target on this machine that nobody listens for; ``policy={…}`` changes parts of its policy."""
    target = plan.Target(
        name=name,
        url=f"http://127.0.0.1:9/{name}",
        private=True,
        held=None,
        held_message=None,
        headers=(),
        forward_headers=(),
        bearer=None,
        ca=None,
        policy=a_policy(),
    )
    return changed(target, changes)


def a_plan(*targets: plan.Target | str, **changes: object) -> plan.Plan:
    """The plan of route ``shop/order-placed`` for *targets* (names make default targets; none: one of them)."""
    made = plan.Plan(
        format=plan.FORMAT,
        revision="0123456789abcdef",
        namespace="shop",
        name="order-placed",
        uid="6f2c1c1e-0d5b-4e0c-9d39-2f6b7f6a1d11",
        generation=1,
        path="/shop/order-placed",
        max_body_size=1 << 20,
        durability="Journal",
        suspend=False,
        targets=tuple(a_target(one) if isinstance(one, str) else one for one in targets or ("billing",)),
    )
    return changed(made, changes)


def a_wait(*names: str, quorum: int = 0, timeout: float = 10.0, partial: bool = False) -> plan.Respond:
    """What a caller waits for: targets by name, all of them unless *quorum* says how many."""
    return plan.Respond(wait_for=names, quorum=quorum or len(names), timeout=timeout, partial=partial)


def changed(value: T, changes: Mapping[str, object]) -> T:
    """*value* with *changes*; a mapping goes on inside the field that it is for."""
    fields = {
        name: changed(getattr(value, name), change) if isinstance(change, Mapping) else change
        for name, change in changes.items()
    }
    return msgspec.structs.replace(value, **fields)
