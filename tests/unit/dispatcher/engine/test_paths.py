"""Which route a path leads to, held against trying every one of them."""

import itertools
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds.listen import claim
from fanout_dispatcher.engine.paths import Paths
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.values.standing import Standing
from tests.support.plans import a_plan

segment = st.sampled_from(["a", "b", "{x}", "{y}"])
paths = st.lists(segment, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
asked = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


class Listening(typing.NamedTuple):
    """Of a route, what is looked at."""

    plan: typing.Any
    standing: Standing


def listening(path: str) -> Route:
    return typing.cast(Route, Listening(a_plan(path=path), Standing()))


def found(table: Paths, path: str) -> str | None:
    route = table.at(path) or table.like(path)
    return route.plan.path if route is not None else None


def best(listens: typing.Iterable[str], path: str) -> str | None:
    """Of the paths that fit, the one that has a segment written out where it first differs from the others."""
    parts = path[1:].split("/")
    fitting = [one for one in listens if _fits(one[1:].split("/"), parts)]
    return min(fitting, key=lambda one: [part.startswith("{") for part in one[1:].split("/")], default=None)


def _fits(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(
        one.startswith("{") or one == part for one, part in zip(pattern, parts, strict=True)
    )


@given(listens=st.lists(paths, max_size=12, unique_by=claim), gone=st.integers(0, 12), path=asked)
def test_the_route_is_the_one_that_is_written_out_where_paths_first_differ(
    listens: list[str], gone: int, path: str
) -> None:
    table = Paths()
    routes = {one: listening(one) for one in listens}
    for route in routes.values():
        table.enter(route)
    for one in listens[:gone]:
        table.leave(routes[one])

    assert found(table, path) == best(listens[gone:], path)


def test_when_the_last_route_has_left_nothing_of_it_is_kept() -> None:
    table = Paths()
    routes = [listening(one) for one in ("/shop/{a}", "/shop/{a}/x", "/shop/orders/{id}", "/{any}")]
    for route in routes:
        table.enter(route)
    for route in routes:
        table.leave(route)

    assert (table._named.written, table._named.any, table._by_claim) == ({}, None, {})


def test_paths_that_differ_by_names_alone_have_one_holder() -> None:
    table = Paths()
    table.enter(listening("/shop/{id}/x"))

    holder = table.holder(a_plan(path="/shop/{name}/x"))

    assert holder is not None
    assert holder.plan.path == "/shop/{id}/x"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/shop/products/7", "/shop/products/{id}"),
        ("/shop/products/a%2Fb", "/shop/products/{id}"),
        ("/shop/pro%64ucts/7", "/shop/products/{id}"),
        ("/shop/products/new", "/shop/products/new"),
        ("/shop/products/", None),
        ("/shop/products/%2e%2e", None),
        ("/shop/products/.", None),
        ("/shop/products/%00", None),
        ("/shop/products/%0d%0aset-cookie:x", None),
        ("/shop/products/%ff", None),
        ("/shop/products/7/", None),
        ("/shop/products/7/x", None),
        ("/shop/products/" + "x" * 8192, None),
    ],
)
def test_a_segment_is_text_that_leads_nowhere_else(path: str, wanted: str | None) -> None:
    table = Paths()
    for one in ("/shop/products/{id}", "/shop/products/new"):
        table.enter(listening(one))

    assert found(table, path) == wanted


def test_a_path_of_many_segments_is_held_against_no_more_of_them_than_there_are() -> None:
    """All the ways through eight names are there, and none of them fits."""
    table = Paths()
    for ways in itertools.product(("a", "{x}"), repeat=8):
        table.enter(listening("/" + "/".join(ways) + "/end"))

    assert found(table, "/" + "/".join(["a"] * 9)) is None
    assert found(table, "/" + "/".join(["a"] * 4000)) is None
