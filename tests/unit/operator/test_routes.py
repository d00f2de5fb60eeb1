"""What is known of routes."""

from fanout_operator.routes import Routes
from tests.unit.operator.made import document_of


def test_only_a_new_spec_is_news() -> None:
    routes = Routes()

    assert routes.note(document_of("orders", resourceVersion="5")) is True
    assert routes.note(document_of("orders", resourceVersion="6")) is False
    assert routes.note(document_of("orders", resourceVersion="7", generation=2)) is True
    assert routes.note(document_of("orders", resourceVersion="8", uid="another")) is True


def test_a_version_that_is_here_already_is_known_and_any_other_is_not() -> None:
    routes = Routes()
    routes.note(document_of("orders", resourceVersion="5"))

    assert routes.knows(document_of("orders", resourceVersion="5"))
    assert not routes.knows(document_of("orders", resourceVersion="6"))
    assert not routes.knows(document_of("orders", resourceVersion="5", uid="another"))
    assert not routes.knows(document_of("invoices", resourceVersion="5"))


def test_a_route_is_answered_when_its_status_is_about_its_spec_as_it_is() -> None:
    routes = Routes()
    for name, status in (("told", {"observedGeneration": 1}), ("edited", {"observedGeneration": 0}), ("spoilt", "x")):
        routes.note(document_of(name) | {"status": status})
    routes.note(document_of("new"))

    found = {name: routes.answered(f"shop/{name}") for name in ("told", "edited", "spoilt", "new")}
    assert found == {"told": True, "edited": False, "spoilt": False, "new": False}


def test_an_older_version_that_comes_late_changes_nothing() -> None:
    routes = Routes()
    routes.note(document_of("orders", resourceVersion="10", generation=2))

    assert routes.note(document_of("orders", resourceVersion="9", generation=1)) is False
    known = routes.get("shop/orders")
    assert known is not None
    assert known.generation == 2


def test_a_late_delete_of_a_namesake_does_not_drop_the_route_that_was_made_again() -> None:
    routes = Routes()
    routes.note(document_of("orders", uid="new"))
    routes.drop("shop/orders", "old")

    assert routes.get("shop/orders") is not None


def test_managed_fields_are_not_kept() -> None:
    routes = Routes()
    routes.note(document_of("orders", managedFields=[{"manager": "kubectl"}]))
    known = routes.get("shop/orders")

    assert known is not None
    assert "managedFields" not in known.document()["metadata"]


def test_by_age_the_oldest_comes_first_and_the_name_decides_between_equals() -> None:
    routes = Routes()
    for name, created in (("b", "2026-01-02"), ("c", "2026-01-01"), ("a", "2026-01-02")):
        routes.note(document_of(name, creationTimestamp=f"{created}T00:00:00Z"))

    assert routes.by_age() == ["shop/c", "shop/a", "shop/b"]
