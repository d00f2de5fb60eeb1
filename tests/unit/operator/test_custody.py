"""What the watches tell of plans: whose it is, and when it has to be put back."""

import msgspec

from fanout_operator.custody import Custody
from fanout_operator.plans import Inventory, Written

OURS = Written(route="shop/orders", route_uid="u1", revision="r1", path="/shop/orders", created="", owned=9)


def like(**other: object) -> Written:
    return msgspec.structs.replace(OURS, **other)


class Scene:
    def __init__(self, *plans: Written) -> None:
        self.plans, self.credentials = Inventory(), Inventory()
        for plan in plans:
            self.plans.note(plan)
        self.woken: list[str] = []
        self.custody = Custody(self.plans, self.credentials, self.woken.append)


def test_our_own_writes_wake_nobody() -> None:
    scene = Scene(OURS)
    scene.custody.plan("", None, OURS)
    scene.custody.secret("", None, OURS)

    assert scene.woken == []


def test_what_somebody_edited_is_noted_and_put_back() -> None:
    scene = Scene(OURS)
    scene.custody.plan("", OURS, like(owned=8))

    assert scene.woken == ["shop/orders"]
    assert scene.plans.of("shop/orders") == (like(owned=8),)


def test_what_somebody_removed_or_marked_for_nobody_is_dropped_and_put_back() -> None:
    for now in (None, like(route="")):
        scene = Scene(OURS)
        scene.custody.plan("", OURS, now)

        assert scene.woken == ["shop/orders"]
        assert not len(scene.plans)


def test_what_we_removed_ourselves_is_not_put_back() -> None:
    scene = Scene()
    scene.custody.plan("", OURS, None)

    assert scene.woken == []


def test_a_plan_that_is_marked_with_another_route_is_still_the_first_ones() -> None:
    scene = Scene(OURS)
    scene.custody.plan("", OURS, like(route="shop/other", owned=8))
    scene.custody.plan("", like(route="shop/other", owned=8), like(revision="r2"))

    assert scene.plans.of("shop/other") == ()
    assert scene.plans.of("shop/orders") == (like(revision="r2"),)
    assert set(scene.woken) == {"shop/orders"}


def test_credentials_that_somebody_edited_or_removed_are_put_back() -> None:
    scene = Scene(OURS)
    scene.custody.secret("", None, OURS)
    scene.custody.secret("", OURS, like(owned=8))
    edited = list(scene.woken)
    scene.custody.secret("", like(owned=8), None)

    assert edited == ["shop/orders"]
    assert scene.woken == ["shop/orders"] * 2
    assert not len(scene.credentials)


def test_credentials_marked_with_another_route_wake_both() -> None:
    scene = Scene(OURS)
    scene.custody.secret("", OURS, like(route="shop/other"))

    assert set(scene.woken) == {"shop/orders", "shop/other"}


def test_a_rotation_is_no_edit() -> None:
    scene = Scene(like(revision="r2"))
    scene.custody.secret("", OURS, like(revision="r2"))

    assert scene.woken == []
