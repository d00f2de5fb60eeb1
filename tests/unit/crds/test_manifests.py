"""Manifests from files and folders: what is taken, and where what is wrong stands."""

import base64
import json
import os
from pathlib import Path

import pytest
import yaml

from fanout_crds import yamltree
from fanout_crds.compile import Installation, Refs
from fanout_crds.compile import compile as compile_route
from fanout_crds.faults import Invalid
from fanout_crds.manifests import Manifests, load
from tests.unit.crds.corpus import Json, changed, good

EXAMPLES = Path(__file__).parents[3] / "examples"


def written(tmp_path: Path, text: str, name: str = "route.yaml") -> Manifests:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    found = load([file])
    for one in (*found.faults, *found.notices):
        assert one.file == str(file)
    return found


def faults(found: Manifests) -> list[str]:
    return [str(fault).removeprefix(str(fault.file)).lstrip(": ") for fault in found.faults]


def secret(**more: Json) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "crm", "namespace": "shop"}} | more


ROUTE = """\
# a comment
apiVersion: fanout.dev/v1alpha1
kind: FanoutRoute
metadata:
  name: order-placed
  namespace: shop
spec:
  targets:
  - name: billing
    url: http://a.example
  - name: crm
    url: http://b.example
    policy:
      retry: {backoff: {baseDelay: 5}}
"""


def test_each_fault_has_its_line(tmp_path: Path) -> None:
    found = written(tmp_path, ROUTE.replace("name: crm", "name: billing"))

    assert faults(found) == [
        '11: spec.targets[1].name: "billing" is already the name of spec.targets[0]',
        "14: spec.targets[1].policy.retry.backoff.baseDelay: "
        'expected a duration such as "250ms" or "1m30s" (h, m, s, ms), got 5',
    ]
    assert found.routes == []


def test_what_is_missing_stands_where_it_would_be(tmp_path: Path) -> None:
    found = written(tmp_path, ROUTE.replace("    url: http://b.example\n", "").replace("5}", "5s}"))

    assert faults(found) == ["11: spec.targets[1]: exactly one of url and service is needed"]


def test_a_good_document_is_taken_beside_a_bad_one(tmp_path: Path) -> None:
    other = ROUTE.replace("order-placed", "other").replace("5}", "5s}")

    found = written(tmp_path, f"---\n{ROUTE}---\n{other}---\n")

    assert [one.route.key for one in found.routes] == ["shop/other"]
    assert found.routes[0].line == 18
    assert faults(found)[0].startswith("15: spec.targets[1].policy")


def test_a_list_from_kubectl_is_read_item_by_item(tmp_path: Path) -> None:
    bad = changed(good("bad"), "spec.targets[0].url", "ftp://x")
    items = {"apiVersion": "v1", "kind": "List", "items": [good(), bad, secret(data={})], "metadata": {}}

    found = written(tmp_path, yaml.safe_dump(items, sort_keys=False))

    assert [one.route.key for one in found.routes] == ["shop/order-placed"]
    assert faults(found) == ["21: items[1].spec.targets[0].url: must start with http:// or https://"]
    assert list(found.secrets) == [("shop", "crm")]


def test_a_fault_found_by_compiling_has_its_line_too(tmp_path: Path) -> None:
    text = ROUTE.replace("{backoff: {baseDelay: 5}}", "{}\n      timeouts:\n        attempt: 2s")
    text = text.replace("spec:\n", "spec:\n  defaults: {policy: {timeouts: {total: 1s}}}\n")
    one = written(tmp_path, text).routes[0]

    with pytest.raises(Invalid) as refused:
        compile_route(one.route, Installation(), Refs(), "r1")

    assert [(fault.line, fault.path) for fault in map(one.placed, refused.value.faults)] == [
        (17, "spec.targets[1].policy.timeouts.attempt")
    ]


def test_json_is_read_with_lines_and_tabs_and_any_character(tmp_path: Path) -> None:
    text = json.dumps(changed(good(), "metadata.annotations", {"a": "\U0001f600 \\ud83d"}), indent="\t")

    fine = written(tmp_path, text, "route.json")
    wrong = written(tmp_path, text.replace("https:", "ftp:"), "wrong.json")

    assert (len(fine.routes), fine.faults) == (1, [])
    assert faults(wrong) == ["15: spec.targets[0].url: must start with http:// or https://"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", '{\n "kind": "Fan', "2: not JSON: Unterminated string starting at (column 10)"),
        ("a.json", '{\n "kind": "A",\n}', "3: not JSON: Expecting property name enclosed in double quotes (column 1)"),
        ("a.json", "", "1: not JSON: Expecting value (column 1)"),
        ("a.json", '{"a": NaN}', "not JSON that is taken: NaN is no JSON number"),
        ("a.json", "[" * 100_000, "not JSON that is taken: nested too deeply"),
        ("a.json", "[" * 100 + "]" * 100, "1: nested more than 60 levels deep"),
        ("a.yaml", "a:\n  b: [1,\n", "3: not YAML: while parsing a flow node did not find expected node content"),
        ("a.yaml", "a: 1\n\tb: 2\n", "2: not YAML: while scanning a plain scalar found a tab character that violates"),
        ("a.yaml", "a: *nowhere\n", "1: not YAML: found undefined alias"),
        ("a.yaml", "a: \x00", "not YAML: "),
        ("a.yaml", "{a: " * 100_000, "1: nested more than 60 levels deep"),
        ("a.yaml", "a: &x [*x]", "1: an alias holds itself"),
        ("a.yaml", "kind: A\nkind: B\n", "2: kind: written twice, first on line 1"),
        ("a.yaml", "? [a]\n: b\n", "1: a key must be text"),
        ("a.yaml", "a: !!python/object:os.system x\n", "1: a: expected plain text, a number, true, false or null"),
        ("a.yaml", "a: !!int x\n", "1: a: expected a number or true or false, as its tag says"),
        ("a.yaml", "a:\n  <<: 7\n", "2: a: a merge key (<<) takes a mapping or a list of them"),
        ("a.yaml", "- 1\n", "1: expected a mapping that describes a FanoutRoute, got a list"),
        ("a.yaml", "just text\n", "1: expected a mapping that describes a FanoutRoute, got a string"),
        ("a.yaml", "# nothing\n---\n", "there is no manifest in this file"),
        (
            "a.yaml",
            "kind: Deployment\napiVersion: apps/v1\n",
            '1: kind: "Deployment" is not a FanoutRoute or a Secret',
        ),
        (
            "a.yaml",
            "kind: Gadget\napiVersion: fanout.dev/v1alpha1\n",
            '1: kind: "Gadget" is not a kind of fanout.dev; known here: FanoutRoute, FanoutRouteList',
        ),
        ("a.yaml", "kind: List\napiVersion: v1\nitmes: []\n", "1: items: expected a list"),
        ("a.yaml", "kind: fanoutroute\n", '1: kind: expected "FanoutRoute", got "fanoutroute"'),
    ],
)
def test_what_cannot_be_read_says_where_and_why(tmp_path: Path, name: str, text: str, says: str) -> None:
    found = faults(written(tmp_path, text, name))

    assert any(one.startswith(says) for one in found), found


def test_bytes_that_are_no_text_have_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: 1\nb: \xff\n")

    assert str(load([tmp_path]).faults[0]) == f"{tmp_path}/a.yaml:2: not UTF-8 text"


def test_a_file_that_is_not_there_or_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    gone = tmp_path / "gone.yaml"

    assert [str(fault) for fault in load([gone]).faults] == [f"{gone}: cannot be read: No such file or directory"]


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yamltree, "MOST_BYTES", 10)

    assert faults(written(tmp_path, ROUTE)) == ["the file has more than 10 bytes"]


def test_aliases_cannot_multiply_a_small_file_into_a_large_one(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))

    assert "values, those that aliases repeat included" in faults(written(tmp_path, bomb))[0]


def test_anchors_and_merge_keys_are_read_as_kubectl_reads_them(tmp_path: Path) -> None:
    text = ROUTE.replace(
        "url: http://a.example", "url: http://a.example\n    policy: &p {timeouts: {attempt: 3s, total: 9s}}"
    )
    text = text.replace(
        "policy:\n      retry: {backoff: {baseDelay: 5}}", "policy:\n      <<: *p\n      bulkhead: {maxConcurrent: 2}"
    )

    policy = written(tmp_path, text).routes[0].route.spec.targets[1].policy

    assert policy is not None
    assert policy.timeouts is not None
    assert policy.bulkhead is not None
    assert (policy.timeouts.attempt, policy.bulkhead.max_concurrent) == (3, 2)


def test_a_bare_on_is_read_as_meant_and_noted_since_kubectl_reads_true(tmp_path: Path) -> None:
    text = ROUTE.replace("{backoff: {baseDelay: 5}}", "{on: [5xx]}")

    found = written(tmp_path, text)

    policy = found.routes[0].route.spec.targets[1].policy
    assert policy is not None
    assert policy.retry is not None
    assert policy.retry.on == ((500, 599),)
    assert [(one.line, one.path) for one in found.notices] == [(14, "spec.targets[1].policy.retry.on")]
    assert 'write this key in quotes, "on"' in found.notices[0].message


def test_a_folder_is_read_in_order_and_leaves_other_kinds_alone_aloud(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "..data").mkdir()
    (tmp_path / "b" / "z.yml").write_text(json.dumps(good("z")))
    (tmp_path / "a.json").write_text(json.dumps(good("a")))
    (tmp_path / "..data" / "a.json").write_text(json.dumps(good("a")))
    (tmp_path / "c.yaml").write_text("apiVersion: v1\nkind: ConfigMap\n")
    (tmp_path / "README.md").write_text("{")

    found = load([tmp_path])

    assert [one.route.key for one in found.routes] == ["shop/a", "shop/z"]
    assert found.faults == []
    assert [str(one) for one in found.notices] == [
        f'{tmp_path}/c.yaml:2: kind "ConfigMap" is not a FanoutRoute or a Secret: left alone'
    ]


@pytest.mark.parametrize(
    ("api", "kind", "meant"),
    [
        ("fanout.dev/v1alpha1", "FanoutRout", "FanoutRoute"),
        ("fanout.dev/v1alpha1", "Route", "FanoutRoute"),
        ("fanout.dev/v2", "FanoutRoutes", "FanoutRoute"),
        ("fanuot.dev/v1alpha1", "FanoutRuote", "FanoutRoute"),
        ("v1", "Secrets", "Secret"),
        ("v1", "secret", "Secret"),
        ("V1", "Sceret", "Secret"),
    ],
)
def test_a_misspelt_kind_is_a_fault_even_in_a_folder(tmp_path: Path, api: str, kind: str, meant: str) -> None:
    (tmp_path / "a.yaml").write_text(f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\n")

    found = load([tmp_path])

    assert found.notices == []
    assert [(one.line, one.path) for one in found.faults] == [(2, "kind")]
    assert found.faults[0].message.endswith(f'did you mean "{meant}"?')


def test_a_secret_of_another_version_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v2\nkind: Secret\nmetadata: {name: a}\n")

    assert [str(one) for one in load([tmp_path]).faults] == [
        f'{tmp_path}/a.yaml:1: apiVersion: expected "v1" with a Secret, got "v2"'
    ]


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        ("bitnami.com/v1alpha1", "SealedSecret"),
        ("external-secrets.io/v1", "ExternalSecret"),
        ("external-secrets.io/v1", "SecretStore"),
        ("secretsmanager.services.k8s.aws/v1alpha1", "Secret"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("route.openshift.io/v1", "Route"),
        ("v1", "Service"),
    ],
)
def test_the_kinds_of_others_are_left_alone_in_a_folder(tmp_path: Path, api: str, kind: str) -> None:
    (tmp_path / "a.yaml").write_text(f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\n")

    found = load([tmp_path])

    assert (found.faults, len(found.notices)) == ([], 1)


def test_a_blank_file_is_a_fault_and_one_that_is_all_comments_is_meant(tmp_path: Path) -> None:
    (tmp_path / "blank.yaml").write_text(" \n\n")
    (tmp_path / "comments.yaml").write_text("# nothing here for now\n")

    found = load([tmp_path])

    assert [str(one) for one in found.faults] == [
        f"{tmp_path}/blank.yaml: the file is empty: remove it if it shall hold nothing"
    ]
    assert found.notices == []


def test_what_is_no_file_is_not_opened_whatever_it_is_called(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "route.json").write_text(json.dumps(good()))

    found = load([tmp_path])

    assert (len(found.routes), found.faults) == (1, [])
    assert [str(one) for one in found.notices] == [
        f"{tmp_path}/pipe.yaml: is no regular file: left alone",
        f"{tmp_path}/zero.yaml: is no regular file: left alone",
    ]


def test_the_name_of_a_file_that_is_no_utf8_is_told_in_plain_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.yaml")).write_text(json.dumps(good()))

    found = load([tmp_path])

    assert [one.file for one in found.routes] == [f"{tmp_path}/caf\\udce9.yaml"]


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    assert [str(one) for one in load([tmp_path]).notices] == [
        f"{tmp_path}: no .yaml, .yml or .json file in this folder"
    ]


def test_a_route_and_a_path_belong_to_who_had_them_first(tmp_path: Path) -> None:
    rival = changed(good("rival"), "spec.listen.path", "/shop/order-placed")
    for name, document in {"1": good(), "2": good(), "3": rival}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))

    found = load([tmp_path])

    assert [one.file for one in found.routes] == [f"{tmp_path}/1.json"]
    assert [str(fault) for fault in found.faults] == [
        f"{tmp_path}/2.json:1: metadata.name: route shop/order-placed is already written at {tmp_path}/1.json:1",
        f"{tmp_path}/3.json:1: spec.listen.path: path /shop/order-placed is already that of route shop/order-placed"
        f" at {tmp_path}/1.json:1",
    ]


def test_secrets_are_taken_with_what_is_written_plainly_over_what_is_encoded(tmp_path: Path) -> None:
    data = {"token": base64.b64encode(b"old").decode(), "ca.crt": base64.b64encode(b"PEM").decode()}

    found = written(tmp_path, yaml.safe_dump(secret(data=data, stringData={"token": "new"})))

    assert found.secrets == {("shop", "crm"): {"token": b"new", "ca.crt": b"PEM"}}
    assert "PEM" not in repr(found)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"data": {"token": "hunter2-canary!"}}, "data.token: expected base64 text"),
        ({"data": {"token": 7}}, "data.token: expected base64 text"),
        ({"stringData": {"token": 7}}, "stringData.token: expected text"),
        ({"stringData": ["hunter2-canary"]}, "stringData: expected a mapping, got a list"),
        ({"stringData": {"token": "x" * (2**20 + 1)}}, "a Secret holds up to 1048576 bytes, this one has 1048577"),
        ({"metadata": {}}, "metadata.name: is required"),
    ],
)
def test_a_bad_secret_is_refused_without_repeating_it(tmp_path: Path, more: Json, says: str) -> None:
    found = written(tmp_path, yaml.safe_dump(secret(**more)))

    assert found.secrets == {}
    assert [fault.split(": ", 1)[1] for fault in faults(found)] == [says]


def test_a_secret_written_twice_is_a_fault(tmp_path: Path) -> None:
    found = written(tmp_path, yaml.safe_dump_all([secret(data={}), secret(data={})]))

    assert "Secret shop/crm is already written at" in faults(found)[0]


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_every_example_is_valid(example: str) -> None:
    found = load([EXAMPLES / example])

    assert found.routes
    assert (found.faults, found.notices) == ([], [])
