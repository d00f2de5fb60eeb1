"""The folder source on real files: what is wrong never takes effect and never takes anything away."""

import asyncio
import contextlib
import os
import pathlib
import random
import typing

import pytest

from fanout_crds.compile import Installation
from fanout_crds.references import ServiceKey
from fanout_dispatcher.plans import folder as module
from fanout_dispatcher.plans.folder import FolderSource
from fanout_dispatcher.telemetry.seam import (
    PlansCautioned,
    PlansFaulty,
    PlansForeign,
    PlansHeld,
    PlansMended,
    PlansSynced,
    Recorder,
)
from tests.unit.dispatcher.plans.fakes import FakeSink, manifest, replace


class Clock:
    """Replaces the loop's clock for the census: what two lists a second apart mean, without the second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Setup:
    """A folder source by hand: `load` looks once, a second after the last time."""

    def __init__(self, *paths: pathlib.Path, sink: FakeSink | None = None, resolve: typing.Any = None) -> None:
        self.sink = sink or FakeSink()
        self.seam = Recorder()
        self.source = FolderSource(
            paths,
            sink=self.sink,
            seam=self.seam,
            installation=Installation(),
            resolve=resolve or {},
            rng=random.Random(7),
            sweep=0.2,
        )

    async def load(self) -> float | None:
        self.clock.now += 1.0
        return await self.source.load()

    clock: Clock

    def said(self, kind: type) -> list[typing.Any]:
        return [one for one in self.seam.changes if isinstance(one, kind)]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "_now", made)
    monkeypatch.setattr(Setup, "clock", made, raising=False)
    return made


# --- one look at a time -----------------------------------------------------------------------------------------------


async def test_every_route_of_a_folder_comes_into_force(tmp_path: pathlib.Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.yaml").write_text(manifest("a") + manifest("b"))
    (tmp_path / "deep" / "c.yml").write_text(manifest("c"))
    setup = Setup(tmp_path)

    await setup.load()

    assert sorted(setup.sink.plans) == ["shop/a", "shop/b", "shop/c"]


async def test_unchanged_content_keeps_its_revision_and_changed_content_gets_a_new_one(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a"))
    setup = Setup(tmp_path)
    await setup.load()
    (tmp_path / "b.yaml").write_text(manifest("b"))
    await setup.load()
    after_a_neighbour = len(setup.sink.adopted)
    (tmp_path / "a.yaml").write_text(manifest("a", url="https://example.com/2"))
    await setup.load()

    assert after_a_neighbour == 2
    assert len(set(setup.sink.adopted)) == len(setup.sink.adopted) == 3
    assert all(len(one) == 16 for one in setup.sink.adopted)


async def test_a_secret_in_the_files_reaches_the_plan_by_handle_and_its_rotation_is_a_new_revision(
    tmp_path: pathlib.Path,
) -> None:
    route = manifest("a").replace(
        'url: "https://example.com/"',
        'url: "https://example.com/", authentication: {bearer: {secretRef: {name: s, key: token}}}',
    )
    secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: shop}}\nstringData: {{token: {0}}}\n"
    (tmp_path / "a.yaml").write_text(route + secret.format("one"))
    setup = Setup(tmp_path)
    await setup.load()
    before = dict(setup.sink.credentials["shop/a"])
    (tmp_path / "a.yaml").write_text(route + secret.format("two"))
    await setup.load()

    assert (before, setup.sink.credentials["shop/a"]) == ({"t.bearer": b"one"}, {"t.bearer": b"two"})
    assert len(setup.sink.adopted) == 2


@pytest.mark.parametrize(
    ("asks", "holds", "says"),
    [
        (
            "authentication: {bearer: {secretRef: {name: s, key: nokey}}}",
            "{token: t}",
            'has no key "nokey" (it has: token)',
        ),
        (
            "authentication: {bearer: {secretRef: {name: s, key: token}}}",
            '{token: ""}',
            'has nothing under its key "token"',
        ),
        ("authentication: {clientCertificate: {secretRef: {name: s}}}", "{tls.crt: c}", 'has no key "tls.key"'),
        ("tls: {caSecret: {name: s, key: ca}}", "{ca.crt: c, a: b}", 'has no key "ca" (it has: a, ca.crt)'),
        ("tls: {caSecret: {name: s, key: ca}}", "{}", 'has no key "ca" (it has: none)'),
    ],
)
async def test_a_secret_that_lacks_a_key_holds_its_target_and_says_which_keys_it_has(
    tmp_path: pathlib.Path, asks: str, holds: str, says: str
) -> None:
    route = manifest("a").replace('url: "https://example.com/"', f'url: "https://example.com/", {asks}')
    (tmp_path / "a.yaml").write_text(route)
    (tmp_path / "s.yaml").write_text(
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: shop}}\nstringData: {holds}\n"
    )
    setup = Setup(tmp_path)

    await setup.load()

    plan = setup.sink.plans["shop/a"]
    assert plan is not None
    assert plan.targets[0].held == "SecretKeyNotFound"
    assert f"Secret shop/s {says}" in str(plan.targets[0].held_message)


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {token: one, other: o}\n"


def asking(folder: pathlib.Path) -> Setup:
    """A route whose target is shown what `s.yaml` has under `token`."""
    bearer = "authentication: {bearer: {secretRef: {name: s, key: token}}}"
    (folder / "a.yaml").write_text(manifest("a").replace('url: "', f'{bearer}, url: "'))
    (folder / "s.yaml").write_text(SECRET)
    return Setup(folder)


def held(setup: Setup) -> str | None:
    plan = setup.sink.plans["shop/a"]
    assert plan is not None
    return plan.targets[0].held


@pytest.mark.parametrize(
    "spoilt",
    [
        "",
        " \n",
        "{truncated",
        SECRET[:20],
        SECRET.replace("v1", "v2"),
        SECRET.replace("one", "{}"),
        SECRET.replace("stringData: {token: one, other: o}", "data: {token: '~'}"),
        SECRET.replace("token: one, ", "") + "---\nkind: Secrets\n",
    ],
)
async def test_a_secret_whose_file_goes_bad_stays_as_it_was_and_a_mended_one_is_taken(
    tmp_path: pathlib.Path, spoilt: str
) -> None:
    setup = asking(tmp_path)
    await setup.load()
    (tmp_path / "s.yaml").write_text(spoilt)
    for _ in range(3):
        await setup.load()
    meanwhile = dict(setup.sink.credentials["shop/a"]), held(setup), len(setup.sink.adopted)
    (tmp_path / "s.yaml").write_text(SECRET.replace("one", "two"))
    await setup.load()

    assert meanwhile == ({"t.bearer": b"one"}, None, 1)
    assert setup.said(PlansFaulty)
    assert (setup.sink.credentials["shop/a"], held(setup)) == ({"t.bearer": b"two"}, None)


@pytest.mark.parametrize("cut", ["stringData:", "stringData: {token: ''}", "stringData: {other: o}"])
async def test_what_a_secret_lacks_is_believed_at_the_second_look_at_an_unchanged_file(
    tmp_path: pathlib.Path, cut: str
) -> None:
    setup = asking(tmp_path)
    await setup.load()
    (tmp_path / "s.yaml").write_text(SECRET.partition("stringData")[0] + cut)
    again = await setup.load()
    at_first = held(setup)
    await setup.load()

    assert (at_first, again) == (None, 1.0)
    assert held(setup) == "SecretKeyNotFound"


async def test_a_secret_whose_file_is_removed_is_gone_at_the_second_look(tmp_path: pathlib.Path) -> None:
    setup = asking(tmp_path)
    await setup.load()
    (tmp_path / "s.yaml").unlink()
    again = await setup.load()
    at_first = held(setup)
    await setup.load()

    assert (at_first, again) == (None, 1.0)
    assert held(setup) == "SecretNotFound"
    assert setup.sink.credentials["shop/a"] == {}


async def test_a_secret_that_moves_to_another_file_is_no_longer_the_first_ones(tmp_path: pathlib.Path) -> None:
    setup = asking(tmp_path)
    await setup.load()
    (tmp_path / "s.yaml").rename(tmp_path / "t.yaml")
    await setup.load()
    (tmp_path / "s.yaml").write_text("[")
    (tmp_path / "t.yaml").unlink()
    for _ in range(2):
        await setup.load()

    assert held(setup) == "SecretNotFound"


async def test_a_service_is_where_resolve_says_and_held_where_it_says_nothing(tmp_path: pathlib.Path) -> None:
    text = manifest("a").replace(
        'targets: [{name: t, url: "https://example.com/"}]',
        "targets: [{name: t, service: {name: pay, port: http}}, {name: u, service: {name: mail, port: 80}}]",
    )
    (tmp_path / "a.yaml").write_text(text)
    setup = Setup(tmp_path, resolve={ServiceKey("shop", "pay", "http"): "http://127.0.0.1:9000"})

    await setup.load()

    plan = setup.sink.plans["shop/a"]
    assert plan is not None
    assert [(one.url, one.held) for one in plan.targets] == [("http://127.0.0.1:9000/", None), ("", "ServiceNotFound")]


async def test_a_file_that_goes_bad_keeps_its_route_as_it_was_and_is_reported_once_with_its_place(
    tmp_path: pathlib.Path,
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(manifest("a", url="https://example.com/good"))
    setup = Setup(tmp_path)
    await setup.load()
    file.write_text(manifest("a", url="ftp://example.com/bad"))
    for _ in range(3):
        await setup.load()

    assert setup.sink.url("shop/a") == "https://example.com/good"
    assert "spec.targets[0].url" in setup.sink.refused["shop/a"]
    (told,) = setup.said(PlansFaulty)
    assert told.why.startswith(f"{file}:")


async def test_a_file_that_is_mended_takes_effect_and_is_refused_no_more(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("{truncated")
    setup = Setup(tmp_path)
    await setup.load()
    file.write_text(manifest("a"))
    await setup.load()

    assert list(setup.sink.plans) == ["shop/a"]
    assert setup.sink.refused == {}


async def test_a_field_that_this_dispatcher_does_not_take_is_named_with_its_line(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a"))
    setup = Setup(tmp_path)
    setup.sink.why = "spec.targets[0].policy.ordering: the 2 workers have a journal each"
    await setup.load()

    assert setup.sink.refused["shop/a"] == f"{tmp_path}/a.yaml:7: {setup.sink.why}"


async def test_one_bad_file_does_not_keep_its_neighbours_from_changing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a"))
    (tmp_path / "b.yaml").write_text(manifest("b"))
    setup = Setup(tmp_path)
    await setup.load()
    (tmp_path / "a.yaml").write_text("[")
    (tmp_path / "b.yaml").write_text(manifest("b", url="https://example.com/new"))
    await setup.load()

    assert setup.sink.url("shop/b") == "https://example.com/new"
    assert "shop/a" in setup.sink.plans


async def test_a_route_whose_file_disappears_is_retired_at_the_second_look(tmp_path: pathlib.Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.yaml").write_text(manifest(name))
    setup = Setup(tmp_path)
    await setup.load()
    (tmp_path / "b.yaml").unlink()
    again = await setup.load()
    after_one_look = list(setup.sink.retired)
    await setup.load()

    assert (after_one_look, again) == ([], 1.0)
    assert setup.sink.retired == ["shop/b"]


async def test_a_folder_that_looks_empty_takes_nothing_away_and_says_so_once(tmp_path: pathlib.Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.yaml").write_text(manifest(name))
    setup = Setup(tmp_path)
    await setup.load()
    for file in tmp_path.iterdir():
        file.unlink()
    for _ in range(4):
        await setup.load()

    assert setup.sink.retired == []
    (told,) = setup.said(PlansHeld)
    assert told.routes == ("shop/a", "shop/b", "shop/c")
    assert "`fanout held list`" in told.why


async def test_of_what_is_held_goes_what_a_person_lets_go_of_and_nothing_else(tmp_path: pathlib.Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.yaml").write_text(manifest(name))
    setup = Setup(tmp_path)
    await setup.load()
    for name in "abc":
        (tmp_path / f"{name}.yaml").unlink()
    await setup.load()
    held = setup.source.held()
    setup.source.let_go(("shop/b", "shop/d"))

    assert held == ("shop/a", "shop/b", "shop/c")
    assert setup.sink.retired == ["shop/b"]
    assert setup.source.held() == ("shop/a", "shop/c")


async def test_a_folder_that_is_gone_takes_nothing_away_even_with_a_single_route(tmp_path: pathlib.Path) -> None:
    home = tmp_path / "routes"
    home.mkdir()
    (home / "a.yaml").write_text(manifest("a"))
    setup = Setup(home)
    await setup.load()
    home.rename(tmp_path / "elsewhere")
    for _ in range(3):
        await setup.load()

    assert setup.sink.retired == []
    assert "its routes stay" in setup.said(PlansFaulty)[0].why


async def test_a_named_file_that_is_removed_retires_its_route(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a"))
    (tmp_path / "b.yaml").write_text(manifest("b"))
    setup = Setup(tmp_path / "a.yaml", tmp_path / "b.yaml")
    await setup.load()
    (tmp_path / "b.yaml").unlink()
    for _ in range(2):
        await setup.load()

    assert setup.sink.retired == ["shop/b"]


async def test_after_a_restart_a_route_of_the_journal_survives_while_any_file_is_faulty(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a"))
    (tmp_path / "b.yaml").write_text("[")
    setup = Setup(tmp_path, sink=FakeSink("shop/a", "shop/b"))
    for _ in range(3):
        await setup.load()
    while_faulty = list(setup.sink.retired)
    (tmp_path / "b.yaml").unlink()
    for _ in range(3):
        await setup.load()

    assert while_faulty == []
    assert setup.sink.retired == ["shop/b"]


async def test_a_second_file_with_the_same_route_changes_nothing_and_both_are_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "b.yaml").write_text(manifest("a", url="https://example.com/first"))
    setup = Setup(tmp_path)
    await setup.load()
    (tmp_path / "a.yaml").write_text(manifest("a", url="https://example.com/second"))
    await setup.load()

    assert setup.sink.url("shop/a") == "https://example.com/first"
    assert str(tmp_path / "a.yaml") in setup.sink.refused["shop/a"]
    assert str(tmp_path / "b.yaml") in setup.sink.refused["shop/a"]


@pytest.mark.parametrize(("path", "same"), [("/orders", "/orders"), ("/orders/{id}", "/orders/{number}")])
async def test_a_contested_path_stays_with_the_incumbent_whatever_the_files_are_called(
    tmp_path: pathlib.Path, path: str, same: str
) -> None:
    (tmp_path / "z.yaml").write_text(manifest("old", spec=f"  listen: {{path: '{path}'}}"))
    setup = Setup(tmp_path)
    await setup.load()
    (tmp_path / "a.yaml").write_text(manifest("new", spec=f"  listen: {{path: '{same}'}}"))
    await setup.load()

    assert list(setup.sink.plans) == ["shop/old"]
    assert "belongs to shop/old" in setup.sink.refused["shop/new"]


@pytest.mark.parametrize("fault", ["  listen: {path: /orders}", "  lisen: {path: /new}"])
async def test_a_new_route_that_is_refused_is_known_by_name_until_its_file_is_mended_or_gone(
    tmp_path: pathlib.Path, fault: str
) -> None:
    (tmp_path / "a.yaml").write_text(manifest("old", spec="  listen: {path: /orders}"))
    (tmp_path / "b.yaml").write_text(manifest("new", spec=fault))
    setup = Setup(tmp_path)
    await setup.load()
    refused = dict(setup.sink.refused)
    mended_too_soon = setup.said(PlansMended)
    (tmp_path / "b.yaml").unlink()
    await setup.load()

    assert list(refused) == ["shop/new"]
    assert f"{tmp_path}/b.yaml:6: spec.lis" in refused["shop/new"]
    assert (setup.sink.refused, list(setup.sink.plans), mended_too_soon) == ({}, ["shop/old"], [])
    assert [one.of for one in setup.said(PlansMended)] == [f"{tmp_path}/b.yaml", "shop/new"]


async def test_a_folder_that_cannot_be_read_for_a_while_mends_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text("[")
    setup = Setup(tmp_path)
    await setup.load()
    with monkeypatch.context() as patched:
        patched.setattr(setup.source, "_folders", [tmp_path / "unmounted"])
        await setup.load()
    await setup.load()

    assert [one.of for one in setup.said(PlansMended)] == [f"{tmp_path}/unmounted"]
    assert len(setup.said(PlansFaulty)) == 2, "the fault in a.yaml is told once"


async def test_a_path_that_its_owner_leaves_can_be_taken_in_the_same_load(tmp_path: pathlib.Path) -> None:
    (tmp_path / "z.yaml").write_text(manifest("old", spec="  listen: {path: /orders}"))
    setup = Setup(tmp_path)
    await setup.load()
    (tmp_path / "z.yaml").write_text(manifest("old", spec="  listen: {path: /orders-v1}"))
    (tmp_path / "a.yaml").write_text(manifest("new", spec="  listen: {path: /orders}"))
    await setup.load()

    assert sorted(setup.sink.plans) == ["shop/new", "shop/old"]
    assert setup.sink.refused == {}


async def test_a_route_of_another_class_is_left_alone_and_said(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a", spec="  className: other"))
    setup = Setup(tmp_path)
    await setup.load()

    assert setup.sink.plans == {}
    assert setup.said(PlansFaulty) == [], "to be another installation's is no fault"
    assert setup.said(PlansForeign)[0].why.endswith(
        "a.yaml:2: shop/a is of class other, and this dispatcher serves fanout (--class-name)"
    )


async def test_what_will_surprise_is_told_once_in_one_line_for_each_route(tmp_path: pathlib.Path) -> None:
    respond = "  respond: {mode: Settled, onTimeout: Partial, bodyExpression: "
    (tmp_path / "a.yaml").write_text(manifest("a", spec=respond + "targets.t.body.id}"))
    setup = Setup(tmp_path)
    await setup.load()
    await setup.load()

    [told] = setup.said(PlansCautioned)
    assert (told.route, list(setup.sink.plans), setup.said(PlansFaulty)) == ("shop/a", ["shop/a"], [])
    assert told.why.startswith(f"{tmp_path}/a.yaml:")
    assert "spec.respond.bodyExpression: t need not have answered" in told.why

    (tmp_path / "a.yaml").write_text(manifest("a", spec=respond + "targets.t.body.other}"))
    await setup.load()

    assert len(setup.said(PlansCautioned)) == 1, "the same again is no news"


async def test_what_kubectl_reads_in_another_way_is_a_caution_that_is_told_once_and_no_fault(
    tmp_path: pathlib.Path,
) -> None:
    bare = "{name: t, policy: {retry: {on: [5xx]}},"
    (tmp_path / "a.yaml").write_text(manifest("a").replace("{name: t,", bare))
    setup = Setup(tmp_path)
    for _ in range(2):
        await setup.load()

    (told,) = setup.said(PlansCautioned)
    assert told.why.startswith(f"{tmp_path}/a.yaml:7: spec.targets[0].policy.retry.on: write this key in quotes")
    assert (list(setup.sink.plans), setup.said(PlansFaulty)) == (["shop/a"], [])


async def test_policies_that_contradict_each_other_after_merging_are_refused_at_the_target_s_line(
    tmp_path: pathlib.Path,
) -> None:
    text = manifest("a", spec="  defaults: {policy: {circuitBreaker: {openDuration: 10m}}}").replace(
        "{name: t,", "{name: t, policy: {circuitBreaker: {maxOpenDuration: 1s}},"
    )
    (tmp_path / "a.yaml").write_text(text)
    setup = Setup(tmp_path)
    await setup.load()

    assert setup.sink.plans == {}
    assert setup.sink.refused["shop/a"].startswith(
        f"{tmp_path}/a.yaml:7: spec.targets[0].policy.circuitBreaker.openDuration: "
    )


# --- what a file lacks, and since when --------------------------------------------------------------------------------

TWO = '{name: t, url: "https://example.com/"}, {name: u, url: "https://example.com/"}'
ONE = '{name: t, url: "https://example.com/"}'


def targets(setup: Setup, route: str) -> list[str]:
    plan = setup.sink.plans[route]
    assert plan is not None
    return [one.name for one in plan.targets]


async def test_a_target_that_is_gone_is_believed_at_the_second_look_at_an_unchanged_file(
    tmp_path: pathlib.Path,
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(manifest("a").replace(ONE, TWO))
    setup = Setup(tmp_path)
    await setup.load()
    file.write_text(manifest("a"))
    again = await setup.load()
    at_first = targets(setup, "shop/a")
    await setup.load()

    assert (at_first, again) == (["t", "u"], 1.0)
    assert targets(setup, "shop/a") == ["t"]


async def test_a_file_that_is_written_bit_by_bit_takes_no_target_away(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "a.yaml"
    whole = manifest("a").replace(ONE, TWO)
    file.write_text(whole)
    setup = Setup(tmp_path)
    await setup.load()
    for comment in range(4):
        file.write_text(manifest("a") + "# more" * comment)
        await setup.load()
    in_between = targets(setup, "shop/a")
    file.write_text(whole)
    await setup.load()

    assert in_between == targets(setup, "shop/a") == ["t", "u"]


async def test_a_change_that_takes_nothing_away_is_not_waited_for(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a"))
    setup = Setup(tmp_path)
    await setup.load()
    (tmp_path / "a.yaml").write_text(manifest("a").replace(ONE, TWO))

    assert await setup.load() is None
    assert targets(setup, "shop/a") == ["t", "u"]


async def test_a_route_that_a_file_lacks_stays_while_the_file_still_grows(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "ab.yaml"
    file.write_text(manifest("a") + manifest("b"))
    (tmp_path / "c.yaml").write_text(manifest("c"))
    setup = Setup(tmp_path)
    await setup.load()
    for comment in range(4):
        file.write_text(manifest("a") + "# more" * comment)
        await setup.load()
    while_growing = list(setup.sink.retired)
    await setup.load()

    assert while_growing == []
    assert setup.sink.retired == ["shop/b"]


@pytest.mark.parametrize("in_force", [(), ("shop/a",)], ids=["served", "restarted"])
async def test_a_file_that_is_emptied_is_a_fault_and_takes_nothing_away(
    tmp_path: pathlib.Path, in_force: tuple[str, ...]
) -> None:
    (tmp_path / "a.yaml").write_text("" if in_force else manifest("a"))
    setup = Setup(tmp_path, sink=FakeSink(*in_force))
    await setup.load()
    (tmp_path / "a.yaml").write_text("")
    for _ in range(3):
        await setup.load()

    assert setup.sink.retired == []
    assert "the file is empty" in setup.said(PlansFaulty)[0].why


async def test_a_misspelt_kind_takes_nothing_away(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a"))
    setup = Setup(tmp_path)
    await setup.load()
    (tmp_path / "a.yaml").write_text(manifest("a").replace("FanoutRoute", "FanoutRout"))
    for _ in range(3):
        await setup.load()

    assert setup.sink.retired == []
    assert 'did you mean "FanoutRoute"?' in setup.sink.refused["shop/a"]


async def test_a_route_that_goes_to_another_class_is_said_to_end_before_it_ends(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a"))
    setup = Setup(tmp_path)
    await setup.load()
    (tmp_path / "a.yaml").write_text(manifest("a", spec="  className: fanuot"))
    await setup.load()
    told, retired = setup.said(PlansFaulty)[0].why, list(setup.sink.retired)
    await setup.load()

    assert retired == []
    assert told.endswith(
        "a.yaml:2: shop/a is of class fanuot, not served here:"
        " what is in force of it is retired, unless its class is fanout again"
    )
    assert setup.sink.retired == ["shop/a"]


# --- paths that change hands ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["ab", "abc"])
async def test_routes_that_swap_their_paths_all_get_what_they_want(tmp_path: pathlib.Path, names: str) -> None:
    def write(paths: str) -> None:
        for name, path in zip(names, paths, strict=True):
            (tmp_path / f"{name}.yaml").write_text(manifest(name, spec=f"  listen: {{path: /{path}}}"))

    write(names)
    setup = Setup(tmp_path)
    await setup.load()
    write(names[1:] + names[0])
    await setup.load()

    assert {route: plan and plan.path for route, plan in setup.sink.plans.items()} == {
        f"shop/{name}": f"/{path}" for name, path in zip(names, names[1:] + names[0], strict=True)
    }
    assert setup.sink.refused == {}


async def test_a_route_that_cannot_move_keeps_its_path_from_the_one_that_wants_it(tmp_path: pathlib.Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(manifest(name, spec=f"  listen: {{path: /{name}}}"))
    setup = Setup(tmp_path)
    await setup.load()
    (tmp_path / "a.yaml").write_text(manifest("a", spec="  listen: {path: /b}"))
    (tmp_path / "b.yaml").write_text(manifest("b", spec="  listen: {path: /a}", url="ftp://example.com"))
    await setup.load()

    assert sorted(setup.sink.plans) == ["shop/a", "shop/b"]
    assert setup.sink.retired == []
    assert "belongs to shop/b" in setup.sink.refused["shop/a"]


# --- what is no file --------------------------------------------------------------------------------------------------


async def test_a_pipe_in_the_folder_holds_nothing_up_and_is_said(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "a.yaml").write_text(manifest("a"))
    setup = Setup(tmp_path)
    await setup.load()

    assert list(setup.sink.plans) == ["shop/a"]
    assert "no regular file" in setup.said(PlansCautioned)[0].why


async def test_a_named_pipe_is_not_followed(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    setup = Setup(tmp_path / "pipe", sink=FakeSink("shop/a"))
    for _ in range(3):
        await setup.load()

    assert "neither a file nor a folder" in setup.said(PlansFaulty)[0].why
    assert setup.sink.retired == []


async def test_a_name_that_is_no_utf8_is_refused_in_text_that_can_be_written(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a", spec="  listen: {path: /orders}"))
    pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.yaml")).write_text(manifest("b", url="ftp://x"))
    setup = Setup(tmp_path)
    await setup.load()

    assert list(setup.sink.plans) == ["shop/a"]
    assert setup.said(PlansFaulty)[0].why.encode("utf-8").startswith(f"{tmp_path}/caf\\udce9.yaml:".encode())


# --- following --------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def following(setup: Setup) -> typing.AsyncIterator[FakeSink]:
    task = asyncio.create_task(setup.source.run())
    try:
        await setup.sink.until(lambda: setup.sink.ready)
        yield setup.sink
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def _real_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_now", lambda: asyncio.get_running_loop().time())


async def test_the_first_complete_load_makes_ready(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a"))
    setup = Setup(tmp_path)
    async with following(setup):
        assert setup.said(PlansSynced) == [PlansSynced(source="folder", routes=1)]


@pytest.mark.usefixtures("_real_clock")
@pytest.mark.parametrize("named", ["folder", "file"])
async def test_edits_in_place_renames_removals_and_returns_are_followed(tmp_path: pathlib.Path, named: str) -> None:
    home, file = tmp_path / "routes", tmp_path / "routes" / "a.yaml"
    home.mkdir()
    file.write_text(manifest("a", url="https://example.com/0"))
    async with following(Setup(home if named == "folder" else file)) as sink:
        file.write_text(manifest("a", url="https://example.com/1"))
        await sink.until(lambda: sink.url("shop/a").endswith("/1"))
        for number in "234":  # again and again: each rename makes a new inode
            replace(file, manifest("a", url=f"https://example.com/{number}"))
            await sink.until(lambda number=number: sink.url("shop/a").endswith(number))  # type: ignore[misc]
        file.unlink()
        await sink.until(lambda: sink.retired == ["shop/a"])
        file.write_text(manifest("a", url="https://example.com/5"))
        await sink.until(lambda: "shop/a" in sink.plans)

        assert sink.url("shop/a").endswith("/5")


@pytest.mark.usefixtures("_real_clock")
async def test_a_folder_that_is_removed_and_made_again_is_followed_again(tmp_path: pathlib.Path) -> None:
    home = tmp_path / "routes"
    home.mkdir()
    (home / "a.yaml").write_text(manifest("a"))
    async with following(Setup(home)) as sink:
        for number in "12":
            home.rename(tmp_path / f"old{number}")
            home.mkdir()
            (home / "a.yaml").write_text(manifest("a", url=f"https://example.com/{number}"))
            await sink.until(lambda number=number: sink.url("shop/a").endswith(number))  # type: ignore[misc]

        assert sink.retired == []


@pytest.mark.usefixtures("_real_clock")
async def test_a_mounted_config_map_that_swaps_its_symlink_is_followed(tmp_path: pathlib.Path) -> None:
    mount = tmp_path / "mount"
    for version in "12":
        (mount / f"..{version}").mkdir(parents=True)
        (mount / f"..{version}" / "a.yaml").write_text(manifest("a", url=f"https://example.com/{version}"))
    (mount / "..data").symlink_to("..1")
    (mount / "a.yaml").symlink_to("..data/a.yaml")
    async with following(Setup(mount)) as sink:
        first = sink.url("shop/a")
        (mount / "..fresh").symlink_to("..2")
        (mount / "..fresh").replace(mount / "..data")
        await sink.until(lambda: sink.url("shop/a").endswith("/2"))

        assert first.endswith("/1")
        assert sink.refused == {}
