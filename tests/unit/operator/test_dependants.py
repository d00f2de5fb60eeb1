"""Which routes need which objects."""

from fanout_operator.dependants import Dependants, thing_of
from fanout_operator.kube import SECRETS


def test_dependants_follow_what_a_route_says_last() -> None:
    dependants = Dependants()
    dependants.set("shop/orders", frozenset({"Service/shop/a", "Secret/shop/b"}))
    dependants.set("shop/other", frozenset({"Service/shop/a"}))
    dependants.set("shop/orders", frozenset({"Secret/shop/b"}))

    assert dependants.of("Service/shop/a") == ("shop/other",)
    assert dependants.of(thing_of(SECRETS, "shop/b")) == ("shop/orders",)
    assert dependants.of("Service/shop/nobody") == ()


def test_a_forgotten_route_leaves_nothing_behind() -> None:
    dependants = Dependants()
    dependants.set("shop/orders", frozenset({"Service/shop/a"}))
    dependants.set("shop/orders", frozenset())

    assert repr(dependants) == "<Dependants routes=0 objects=0>"
