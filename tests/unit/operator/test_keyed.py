"""What of a plan each dispatcher keeps for itself."""

from typing import Any

import pytest

from fanout_crds.compile import Installation, Refs, compile  # noqa: A004 - the contract's word
from fanout_crds.plan import Plan, encode
from fanout_operator.keyed import keyed, keyed_in
from tests.unit.operator.made import CRM, parsed, route

RATE = {"requests": 10, "per": "1s"}


def plan(policy: dict[str, Any] | None = None, **spec: Any) -> Plan:
    document = route("orders", CRM | {"policy": policy or {}}, **spec)
    document["metadata"] |= {"uid": "u", "generation": 1}
    return compile(parsed(document), Installation(), Refs(services={}, secrets={}), "r1").plan


@pytest.mark.parametrize(
    ("made", "fields"),
    [
        (plan(), ()),
        (plan(accept={"idempotency": {}}), ("accept.idempotency",)),
        (plan(accept={"rateLimit": RATE}), ("accept.rateLimit",)),
        (plan({"ordering": {"keyExpression": "event.subject"}}), ("ordering of target crm",)),
        (plan({"rateLimit": RATE}), ("rateLimit of target crm",)),
        (plan(defaults={"policy": {"rateLimit": RATE}}), ("rateLimit of target crm",)),
        (plan({"bulkhead": {"maxConcurrent": 1}}), ()),
    ],
)
def test_order_keys_and_limits_are_a_dispatchers_own_and_so_it_is_read_back(made: Plan, fields: tuple[str]) -> None:
    assert keyed(made) == keyed_in(encode(made)) == fields


@pytest.mark.parametrize("garbage", [b"", b"{}", b'{"format": 9}', b"\xff"])
def test_of_a_plan_that_cannot_be_read_nothing_is_known(garbage: bytes) -> None:
    assert keyed_in(garbage) == ()
