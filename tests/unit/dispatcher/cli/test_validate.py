"""``fanout validate``: one line per fault with its place and exit 1, or what was checked and exit 0."""

import json
import pathlib

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from tests.unit.dispatcher.cli.conftest import Run
from tests.unit.dispatcher.plans.fakes import manifest


def test_good_manifests_are_named_and_counted(fanout: Run, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(manifest("a") + manifest("b"))

    found = fanout("validate", str(tmp_path))

    assert found.exit_code == 0
    assert found.stdout.splitlines() == [
        f"{file}:2: shop/a: 1 target, valid",
        f"{file}:9: shop/b: 1 target, valid",
        "2 routes checked, no faults",
    ]


def test_every_fault_is_a_line_with_file_line_and_path(fanout: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a", url="ftp://x/", spec="  suspend: maybe"))
    (tmp_path / "b.yaml").write_text("[")

    found = fanout("validate", str(tmp_path))

    lines = found.stdout.splitlines()
    assert found.exit_code == 1
    assert any(line.startswith(f"{tmp_path}/a.yaml:7: spec.targets[0].url: ") for line in lines)
    assert any(line.startswith(f"{tmp_path}/a.yaml:6: spec.suspend: ") for line in lines)
    assert any(line.startswith(f"{tmp_path}/b.yaml") for line in lines)


def test_faults_come_file_by_file_in_the_order_of_their_lines(fanout: Run, tmp_path: pathlib.Path) -> None:
    merged = manifest("a", spec="  defaults: {policy: {circuitBreaker: {openDuration: 10m}}}").replace(
        "{name: t,", "{name: t, policy: {circuitBreaker: {maxOpenDuration: 1s}},"
    )  # found only once the others have been read
    (tmp_path / "b.yaml").write_text(merged + manifest("b", url="ftp://x/", spec="  suspend: maybe"))
    (tmp_path / "a.yaml").write_text(manifest("c", spec="  accept: {method: 1}") + manifest("d", url="ftp://x/"))

    found = fanout("validate", str(tmp_path))

    places = [(line.split(":")[0], int(line.split(":")[1])) for line in found.stdout.splitlines()]
    assert len(places) == 5
    assert places == sorted(places)


def test_policies_that_contradict_each_other_only_after_merging_are_found(fanout: Run, tmp_path: pathlib.Path) -> None:
    text = manifest("a", spec="  defaults: {policy: {circuitBreaker: {openDuration: 10m}}}").replace(
        "{name: t,", "{name: t, policy: {circuitBreaker: {maxOpenDuration: 1s}},"
    )
    (tmp_path / "a.yaml").write_text(text)

    found = fanout("validate", str(tmp_path))

    assert found.exit_code == 1
    assert found.stdout.startswith(f"{tmp_path}/a.yaml:7: spec.targets[0].policy.circuitBreaker.openDuration: ")


def test_a_duplicate_route_and_a_contested_path_name_both_places(fanout: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a"))
    (tmp_path / "b.yaml").write_text(manifest("a") + manifest("c", spec="  listen: {path: /shop/a}"))

    found = fanout("validate", str(tmp_path))

    assert found.exit_code == 1
    assert all("a.yaml" in line and "b.yaml" in line for line in found.stdout.splitlines())
    assert len(found.stdout.splitlines()) == 2


def test_paths_that_differ_by_the_names_in_their_braces_are_one(fanout: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a", spec="  listen: {path: '/shop/{id}'}"))
    (tmp_path / "b.yaml").write_text(manifest("b", spec="  listen: {path: '/shop/{name}'}"))

    found = fanout("validate", str(tmp_path))

    assert found.exit_code == 1
    said = f"path /shop/{{name}} is already that of route shop/a at {tmp_path}/a.yaml:2, /shop/{{id}}:"
    assert said in found.stdout


def test_json_carries_the_same_faults(fanout: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a", url="ftp://x/"))

    found = fanout("validate", str(tmp_path), "--output", "json")

    document = json.loads(found.stdout)
    assert found.exit_code == 1
    assert document["valid"] is False
    assert document["faults"][0]["path"] == "spec.targets[0].url"
    assert document["faults"][0]["line"] == 7


def test_a_path_that_is_not_there_is_a_usage_error(fanout: Run, tmp_path: pathlib.Path) -> None:
    assert fanout("validate", str(tmp_path / "none")).exit_code == 2
    assert fanout("validate").exit_code == 2


def test_where_nothing_was_checked_nothing_is_valid(fanout: Run, tmp_path: pathlib.Path) -> None:
    found = fanout("validate", str(tmp_path))
    told = fanout("validate", str(tmp_path), "-o", "json")

    assert (found.exit_code, found.stdout) == (1, "")
    assert "Error: nothing was checked: no FanoutRoute and no Secret was found" in found.stderr
    assert (told.exit_code, json.loads(told.stdout)["valid"]) == (1, False)


def test_secrets_are_counted_too_and_so_are_faults(fanout: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "s.yaml").write_text("{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {k: v}}")
    good = fanout("validate", str(tmp_path))
    (tmp_path / "a.yaml").write_text(manifest("a", url="ftp://x/"))
    bad = fanout("validate", str(tmp_path))

    assert (good.exit_code, good.stdout) == (0, "0 routes and 1 Secret checked, no faults\n")
    unchecked = "combinations and names in expressions are checked once this is mended"
    assert (bad.exit_code, bad.stderr) == (1, f"1 fault; {unchecked}\n")


SHAPED = "  respond: {mode: Settled, onTimeout: Partial, bodyExpression: %s}"


def test_what_can_only_be_checked_of_routes_that_can_be_read_is_checked_at_once(
    fanout: Run, tmp_path: pathlib.Path
) -> None:
    text = manifest("a", spec="  respond: {mode: Settled, bodyExpression: targets.x.body}")
    (tmp_path / "a.yaml").write_text(text.replace("{name: t,", "{name: t, delay: 20s, when: path.id == '1',"))

    found = fanout("validate", str(tmp_path))

    assert (found.exit_code, found.stderr) == (1, "3 faults\n")
    assert [line.split(": ")[1] for line in found.stdout.splitlines()] == [
        "spec.respond.bodyExpression",
        "spec.targets[0].delay",
        "spec.targets[0].when",
    ]


def test_an_answer_that_need_not_have_come_is_told_of_where_it_is_read_without_asking(
    fanout: Run, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(manifest("a", spec=SHAPED % "targets.t.body.level"))
    unasked = fanout("validate", str(file))
    file.write_text(manifest("a", spec=SHAPED % "'has(targets.t.body) ? dyn(targets.t.body.level) : null'"))
    asked = fanout("validate", str(file))

    assert (unasked.exit_code, unasked.stderr) == (
        0,
        f"{file}:6: spec.respond.bodyExpression: t need not have answered, and then the caller has 500:"
        " ask has(targets.t.body) before targets.t.body is read\n",
    )
    assert (asked.exit_code, asked.stderr) == (0, "")


def test_json_carries_the_cautions_too(fanout: Run, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(manifest("a").replace("{name: t,", "{name: t, policy: {retry: {on: [5xx]}},"))

    told = json.loads(fanout("validate", str(file), "-o", "json").stdout)

    [caution] = told["cautions"]
    assert (told["valid"], told["faults"]) == (True, [])
    assert (caution["file"], caution["line"], caution["path"]) == (str(file), 7, "spec.targets[0].policy.retry.on")
    assert "in quotes" in caution["message"]


CERTIFIED = "authentication: {clientCertificate: {secretRef: {name: s}}}"
ASKS = "authentication: {bearer: {secretRef: {name: s, key: token}}}"


def secret(folder: pathlib.Path, name: str = "s", **data: str) -> None:
    """A Secret beside the route."""
    metadata = {"name": name, "namespace": "shop"}
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}
    (folder / f"{name}.json").write_text(json.dumps(document))


def asking(folder: pathlib.Path, asks: str) -> pathlib.Path:
    """A route whose target has a credential."""
    (folder / "a.yaml").write_text(manifest("a").replace("{name: t,", f"{{name: t, {asks},"))
    return folder / "a.yaml"


def test_a_secret_among_the_files_that_lacks_a_key_is_a_caution(fanout: Run, tmp_path: pathlib.Path) -> None:
    file = asking(tmp_path, ASKS)
    secret(tmp_path, tok="en")

    found = fanout("validate", str(tmp_path))

    says = 'Secret shop/s has no key "token" (it has: tok): t is held until it is mended'
    assert (found.exit_code, found.stderr) == (0, f"{file}:7: spec.targets[0]: {says}\n")
    assert found.stdout.endswith("1 route and 1 Secret checked, no faults, 1 caution\n")


@pytest.mark.parametrize(("paired", "says"), [(False, "is not the key of the"), (True, "expected PEM, not encrypted")])
def test_a_certificate_that_cannot_be_shown_is_a_caution(
    fanout: Run, tmp_path: pathlib.Path, *, paired: bool, says: str
) -> None:
    ours, other = (trustme.CA().issue_cert("us@shop.example") for _ in range(2))
    key = (ours if paired else other).private_key_pem.bytes()
    if paired:
        plain = serialization.load_pem_private_key(key, None)
        locked = serialization.BestAvailableEncryption(b"s3cr3t")
        key = plain.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    asking(tmp_path, CERTIFIED)
    secret(tmp_path, **{"tls.crt": ours.cert_chain_pems[0].bytes().decode(), "tls.key": key.decode()})

    found = fanout("validate", str(tmp_path))

    assert found.exit_code == 0
    assert says in found.stderr
    assert "spec.targets[0]: Secret shop/s" in found.stderr


def test_a_secret_that_is_not_there_is_a_caution_where_others_are(fanout: Run, tmp_path: pathlib.Path) -> None:
    """Without any, they are kept elsewhere: in a cluster, or in a vault."""
    asking(tmp_path, ASKS)
    without = fanout("validate", str(tmp_path))
    secret(tmp_path, "other", token="t")
    beside = fanout("validate", str(tmp_path))

    assert (without.exit_code, without.stderr) == (0, "")
    assert "spec.targets[0]: Secret shop/s is not known: t is held unless it is kept elsewhere" in beside.stderr
    assert beside.exit_code == 0


@pytest.mark.parametrize(
    ("says", "path"),
    [
        (f"  finally: [{{name: t2, url: 'https://b.example/', {ASKS}}}]", "spec.finally[0]"),
        ("  sources: {postgresOutbox: {table: o, urlSecret: {name: s, key: url}}}", "spec.sources.postgresOutbox"),
    ],
)
def test_what_is_behind_the_targets_is_named_by_its_path(
    fanout: Run, tmp_path: pathlib.Path, says: str, path: str
) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a", spec=says))
    secret(tmp_path, tok="en")

    found = fanout("validate", str(tmp_path))

    assert found.exit_code == 0, found.stdout
    assert f": {path}: Secret shop/s has no key" in found.stderr
