"""What the Kubernetes source makes of lists and changes; the wire is tested with the reflector and the real server."""

import random
import typing

import msgspec
import pytest

from fanout_crds import cluster_plan
from fanout_crds import plan as plans
from fanout_crds.apiserver import ApiServer
from fanout_dispatcher.plans import kubernetes
from fanout_dispatcher.plans.kubernetes import KubernetesSource
from fanout_dispatcher.plans.pairing import Object
from fanout_dispatcher.telemetry.seam import PlansFaulty, PlansHeld, PlansSynced, Recorder
from tests.unit.dispatcher.plans import test_pairing as pairing
from tests.unit.dispatcher.plans.fakes import FakeSink


class Setup:
    """A source that nobody feeds but the test."""

    def __init__(self, *in_force: str) -> None:
        self.sink = FakeSink(*in_force)
        self.seam = Recorder()
        cluster = ApiServer(server="http://127.0.0.1:1", tls=None, namespace="fanout")
        self.source = KubernetesSource(
            cluster, namespace="fanout", class_name="fanout", sink=self.sink, seam=self.seam, rng=random.Random(1)
        )

    def lists(self, *config_maps: Object, secrets: typing.Sequence[Object] = ()) -> float | None:
        self.source.listed("secrets", list(secrets))
        return self.source.listed("configmaps", list(config_maps))

    def said(self, kind: type) -> list[typing.Any]:
        return [one for one in self.seam.changes if isinstance(one, kind)]


def written(
    name: str, *, uid: str | None = None, path: str | None = None, made: str = "1", **kind: typing.Any
) -> Object:
    """The ConfigMap of route shop/<name>."""
    plan = msgspec.structs.replace(pairing.plan(**kind), name=name, uid=uid or name, path=path or f"/shop/{name}")
    found = pairing.config_map(plans.encode(plan).decode(), route=f"shop/{name}")
    found["metadata"] |= {"name": f"fanout-plan-{uid or name}", "creationTimestamp": f"2026-01-0{made}T00:00:00Z"}
    return found


def half(name: str, revision: str, value: bytes) -> Object:
    found = pairing.secret(revision, t_bearer=value)
    found["metadata"]["name"] = f"fanout-plan-{name}"
    return found


async def test_nothing_is_adopted_before_both_kinds_are_listed_and_then_it_is_ready() -> None:
    setup = Setup()
    setup.source.listed("configmaps", [written("a")])
    before = (dict(setup.sink.plans), setup.sink.ready)
    setup.source.listed("secrets", [])

    assert before == ({}, False)
    assert list(setup.sink.plans) == ["shop/a"]
    assert setup.sink.ready
    assert setup.said(PlansSynced) == [PlansSynced(source="kubernetes", routes=1)]


@pytest.mark.parametrize("order", ["secret first", "plan first"])
async def test_a_rotated_credential_is_adopted_when_both_halves_are_there(order: str) -> None:
    setup = Setup()
    setup.lists(written("a", bearer=True), secrets=[half("a", "r1", b"one")])
    halves = [("secrets", half("a", "r2", b"two")), ("configmaps", written("a", bearer=True, revision="r2"))]
    (first, second) = halves if order == "secret first" else reversed(halves)
    setup.source.put(*first)
    between = dict(setup.sink.credentials["shop/a"])
    setup.source.put(*second)

    assert between == {"t.bearer": b"one"}
    assert setup.sink.credentials["shop/a"] == {"t.bearer": b"two"}


async def test_a_secret_that_is_deleted_takes_nothing_away_by_itself() -> None:
    setup = Setup()
    setup.lists(written("a", bearer=True), secrets=[half("a", "r1", b"one")])
    setup.source.gone("secrets", half("a", "r1", b"one"))

    assert setup.sink.credentials["shop/a"] == {"t.bearer": b"one"}


async def test_a_plan_that_is_not_understood_is_refused_and_the_last_one_stays() -> None:
    setup = Setup()
    setup.lists(written("a"))
    unknown = written("a")
    unknown["data"]["plan.json"] = '{"format": 9}'
    setup.source.put("configmaps", unknown)

    assert "format 9" in setup.sink.refused["shop/a"]
    assert setup.sink.plans["shop/a"] is not None


async def test_an_explicit_delete_retires_at_once() -> None:
    setup = Setup()
    setup.lists(written("a"), written("b"))
    setup.source.gone("configmaps", written("a"))

    assert setup.sink.retired == ["shop/a"]


async def test_the_old_plan_of_a_route_made_again_goes_without_taking_the_new_one() -> None:
    setup = Setup()
    setup.lists(written("a", uid="old"))
    setup.source.put("configmaps", written("a", uid="new", made="2", revision="r2"))
    setup.source.gone("configmaps", written("a", uid="old"))

    assert setup.sink.retired == []
    assert setup.sink.plans["shop/a"].revision == "r2"  # type: ignore[union-attr]


async def test_a_late_change_of_the_old_plan_does_not_displace_the_new_one() -> None:
    setup = Setup()
    setup.lists(written("a", uid="old"), written("a", uid="new", made="2", revision="r2"))
    setup.source.put("configmaps", written("a", uid="old", revision="r3"))

    assert setup.sink.plans["shop/a"].revision == "r2"  # type: ignore[union-attr]


async def test_when_the_new_one_goes_first_the_one_that_is_left_counts() -> None:
    setup = Setup()
    setup.lists(written("a", uid="old"), written("a", uid="new", made="2", revision="r2"))
    setup.source.gone("configmaps", written("a", uid="new", made="2"))

    assert setup.sink.retired == []
    assert setup.sink.plans["shop/a"].revision == "r1"  # type: ignore[union-attr]


async def test_a_route_that_a_new_list_lacks_is_asked_about_again_before_it_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup, now = Setup(), [0.0]
    monkeypatch.setattr(kubernetes, "_now", lambda: now[0])
    setup.lists(written("a"), written("b"))
    again = setup.lists(written("a"))
    after_one = setup.source.doubted()
    now[0] += 1.0
    setup.lists(written("a"))
    after_two = (setup.source.doubted(), list(setup.sink.retired))
    setup.source.asked("fanout-plan-b", None)

    assert (again, after_one) == (1.0, ())
    assert after_two == (("fanout-plan-b",), [])
    assert setup.sink.retired == ["shop/b"]


@pytest.mark.parametrize(("class_name", "retired"), [("fanout", []), ("", []), ("another", ["shop/a"])])
async def test_the_only_route_stays_when_its_plan_is_there_by_name_whatever_lists_say(
    monkeypatch: pytest.MonkeyPatch, class_name: str, retired: list[str]
) -> None:
    setup, now = Setup("shop/a"), [0.0]  # in force by its journal
    monkeypatch.setattr(kubernetes, "_now", lambda: now[0])
    there = written("a")
    there["metadata"]["labels"] = {cluster_plan.CLASS: class_name}
    setup.lists()
    now[0] += 1.0
    setup.lists()
    setup.source.asked("fanout-plan-a", there)

    assert setup.sink.retired == retired
    assert [one.routes for one in setup.said(PlansHeld)] == ([] if retired else [("shop/a",)])
    assert setup.source.doubted() == ()


async def test_an_empty_list_where_there_were_many_is_held_and_said_once() -> None:
    setup = Setup("shop/a", "shop/b", "shop/c")
    for _ in range(3):
        assert setup.lists() is None

    assert setup.sink.retired == []
    assert [one.routes for one in setup.said(PlansHeld)] == [("shop/a", "shop/b", "shop/c")]


async def test_of_what_is_held_goes_what_a_person_lets_go_of_and_nothing_that_is_back() -> None:
    setup = Setup("shop/a", "shop/b", "shop/c")
    setup.lists()
    held = setup.source.held()
    setup.source.put("configmaps", written("b"))
    back = setup.source.held()
    setup.source.let_go(("shop/a", "shop/b"))

    assert (held, back) == (("shop/a", "shop/b", "shop/c"), ("shop/a", "shop/c"))
    assert setup.sink.retired == ["shop/a"]
    assert setup.source.held() == ("shop/c",)


async def test_a_contested_path_goes_to_the_older_and_when_it_goes_to_the_next() -> None:
    setup = Setup()
    setup.lists(written("b", path="/shop/x", made="2"), written("a", path="/shop/x", made="1"))
    before = (sorted(setup.sink.plans), list(setup.sink.refused))
    setup.source.gone("configmaps", written("a", path="/shop/x"))

    assert before == (["shop/a"], ["shop/b"])
    assert list(setup.sink.plans) == ["shop/b"]


async def test_an_api_server_that_is_away_is_said_once_not_at_every_retry() -> None:
    setup = Setup()
    (listener, _) = (one._listener for one in setup.source._reflectors)
    for why in ("refused", "refused", None, "refused"):
        listener.away(why)

    assert len(setup.said(PlansFaulty)) == 2
