"""The slow second look: what is gone unseen is found, and many at once are never taken away on one list's word."""

from collections.abc import Collection

from fanout_operator.kept import Kept
from fanout_operator.kube import ROUTES, scopes
from fanout_operator.plans import Inventory, Written
from fanout_operator.routes import Routes
from fanout_operator.sweep import LISTS_WHEN_MANY, Sweeper
from tests.unit.operator.cluster import Cluster
from tests.unit.operator.made import document_of


def _plan(name: str) -> Written:
    return Written(route=f"shop/{name}", route_uid=f"uid-{name}", revision="r", path=f"/shop/{name}", created="")


class Scene:
    """A sweeper that knows some routes, all with plans."""

    def __init__(self, *names: str) -> None:
        self.routes, self.inventory, self.credentials = Routes(), Inventory(), Inventory()
        self.woken: list[str] = []
        for name in names:
            self.routes.note(document_of(name))
            self.inventory.note(_plan(name))
        self.told: list[Collection[str]] = []
        self.kept = Kept(self.told.append)
        self.sweeper = Sweeper(
            Cluster(),
            scopes(ROUTES, (), metadata_only=True),
            self.routes,
            (self.inventory, self.credentials),
            wake=self.woken.append,
            kept=self.kept,
        )

    def look(self, *names: str) -> list[str]:
        """Look at a list of routes; answers who was woken by it."""
        self.woken.clear()
        self.sweeper.look({f"shop/{name}": document_of(name)["metadata"]["uid"] for name in names})
        return sorted(self.woken)


def test_what_is_as_it_was_wakes_nobody() -> None:
    assert Scene("a", "b").look("a", "b") == []


def test_a_plan_without_a_route_is_looked_into_after_two_lists() -> None:
    scene = Scene("a", "b")

    assert scene.look("a") == []
    assert scene.look("a") == ["shop/b"]


def test_a_route_that_is_back_in_the_second_list_was_never_gone() -> None:
    scene = Scene("a", "b")
    scene.look("a")
    scene.look("a", "b")

    assert scene.look("a") == []


def test_many_at_once_are_held_until_every_list_of_a_long_while_agrees() -> None:
    names = [f"route-{number}" for number in range(50)]
    scene = Scene(*names)
    woken = [scene.look() for _ in range(LISTS_WHEN_MANY - 1)]
    held = len(scene.kept)

    assert woken == [[]] * (LISTS_WHEN_MANY - 1)
    assert held == 50
    assert len(scene.look()) == 50
    assert len(scene.kept) == 0, "they are the queue's from then on, and the next look may be minutes away"


def test_that_many_are_held_is_told_once_and_again_when_it_happens_again() -> None:
    names = [f"route-{number}" for number in range(50)]
    scene = Scene(*names)
    scene.look()
    scene.look()
    scene.look(*names)
    between = len(scene.kept)
    scene.look(*names[:10])

    assert between == 0
    assert [len(one) for one in scene.told] == [50, 40]


def test_who_stays_missing_is_handed_on_once_since_asking_for_thousands_again_and_again_would_be_a_storm() -> None:
    scene = Scene("a", "b")
    scene.look("a")

    assert [scene.look("a") for _ in range(5)] == [["shop/b"], [], [], [], []]


def test_who_came_back_and_went_again_is_handed_on_again() -> None:
    scene = Scene("a", "b")
    for names in (["a"], ["a"], ["a", "b"], ["a"]):
        scene.look(*names)

    assert scene.look("a") == ["shop/b"]


def test_a_route_that_no_event_told_of_is_looked_up() -> None:
    assert Scene("a").look("a", "missed") == ["shop/missed"]


def test_a_route_made_again_unseen_is_looked_up() -> None:
    scene = Scene("a")
    scene.sweeper.look({"shop/a": "another"})

    assert scene.woken == ["shop/a"]
    assert scene.routes.get("shop/a") is None


def test_credentials_without_a_plan_and_without_a_route_are_looked_into_too() -> None:
    scene = Scene("a")
    scene.credentials.note(_plan("b"))
    scene.look("a")

    assert scene.look("a") == ["shop/b"]
