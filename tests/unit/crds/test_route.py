"""What a manifest may say, and the words it is refused with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds.faults import Invalid
from fanout_crds.route import FanoutRoute, parse
from tests.unit.crds.corpus import CORPUS, Bad, Json, changed, good


def faults_of(document: Json) -> list[str]:
    with pytest.raises(Invalid) as refused:
        parse(document)
    return [str(fault) for fault in refused.value.faults]


@pytest.mark.parametrize("bad", CORPUS, ids=lambda bad: bad.name)
def test_a_bad_manifest_is_refused_with_path_and_sentence(bad: Bad) -> None:
    found = faults_of(changed(good(), bad.at, bad.value))

    assert any(line.startswith(f"{bad.path}: {bad.says}") for line in found), found


def test_one_bad_field_is_one_fault() -> None:
    counts = {bad.name: len(faults_of(changed(good(), bad.at, bad.value))) for bad in CORPUS}

    assert {name: count for name, count in counts.items() if count != 1} == {}


def test_each_target_or_name_that_breaks_a_rule_of_the_whole_is_told_by_its_own_path() -> None:
    cached = {"cache": {"keyExpression": "data.sku", "ttl": "30s"}}
    document = good()
    document["spec"]["targets"][0] |= cached
    document["spec"]["targets"] += [{"name": name, "url": f"https://{name}.example.com/"} for name in ("crm", "mail")]
    document["spec"]["targets"][2] |= cached
    settled = changed(document, "spec.respond", {"mode": "Settled", "waitFor": ["mail", "biling", "x"]})

    assert [line.split(":")[0] for line in faults_of(document)] == ["spec.targets[0].cache", "spec.targets[2].cache"]
    assert faults_of(settled) == [
        'spec.respond.waitFor[1]: respond.waitFor may only name targets of the route; did you mean "billing"?',
        "spec.respond.waitFor[2]: respond.waitFor may only name targets of the route; known here: billing, crm, mail",
    ]


def test_a_quorum_that_cannot_be_says_who_is_waited_for() -> None:
    document = changed(good(), "spec.respond", {"mode": "Settled", "quorum": 2})
    document["spec"]["targets"].append({"name": "mail", "url": "https://mail.example.com/", "onDead": "Continue"})

    assert faults_of(document) == [
        "spec.respond.quorum: respond.quorum must not be more than the targets that the caller waits for, which are"
        " billing"
    ]


def test_every_fault_of_a_manifest_is_told_at_once() -> None:
    document = changed(good(), "spec.targets[0].url", "ftp://x")
    document = changed(document, "spec.suspend", 1)
    document = changed(document, "metadata.name", "A")

    found = faults_of(document)

    assert [line.split(":")[0] for line in found] == ["metadata.name", "spec.suspend", "spec.targets[0].url"]


def test_a_manifest_without_anything_optional_has_its_defaults() -> None:
    route = parse(good())

    assert (route.key, route.path) == ("shop/order-placed", "/shop/order-placed")
    assert (route.spec.class_name, route.spec.suspend, route.spec.durability) == ("fanout", False, "Journal")


def test_a_route_in_a_file_without_namespace_is_in_default() -> None:
    document = good()
    del document["metadata"]["namespace"]

    assert parse(document).key == "default/order-placed"


def test_what_kubernetes_adds_to_an_object_is_left_alone() -> None:
    document = good() | {"status": {"conditions": "garbage"}}
    document["metadata"] |= {
        "uid": "u-1",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "resourceVersion": "17",
        "managedFields": [{"manager": "kubectl"}],
        "labels": {"a": "b"},
    }

    metadata = parse(document).metadata

    assert (metadata.uid, metadata.generation) == ("u-1", 3)


def test_null_means_unset_as_it_does_to_the_api_server() -> None:
    document = good()
    for at in ("spec.suspend", "spec.listen", "spec.targets[0].policy", "spec.targets[0].service"):
        document = changed(document, at, None)

    assert parse(document) == parse(good())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9101/events",
        "https://[2001:db8::1]:8443/x?y=z",
        "http://a",
        "http://a?x=1",
        "https://xn--bcher-kva.example/a%20b",
        "http://1.example/",
        "http://service_name:65535",
    ],
)
def test_a_tidy_url_is_taken_as_it_stands(url: str) -> None:
    assert parse(changed(good(), "spec.targets[0].url", url)).spec.targets[0].url == url


def test_answers_are_read_as_ranges_and_faults() -> None:
    retry = (
        parse(changed(good(), "spec.targets[0].policy.retry.on", [429, "503", "5xx", "Timeout"])).spec.targets[0].policy
    )

    assert retry is not None
    assert retry.retry is not None
    assert retry.retry.on == ((429, 429), (503, 503), (500, 599), "Timeout")


CANARY = "hunter2-canary"


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ("spec.targets[0].authentication", CANARY),
        ("spec.targets[0].authentication.bearer", [CANARY]),
        ("spec.targets[0].authentication.bearer.secretRef", CANARY),
        ("spec.targets[0].authentication.bearer.secretRef", dict.fromkeys(("name", "key", "namespace"), CANARY + "!")),
        ("spec.targets[0].url", f"https://me:{CANARY}@a.example"),
        ("spec.targets[0].request.headers", [{"name": "x-key", "value": CANARY + "\n"}]),
        ("spec.targets[0].tls.caSecret", CANARY),
        ("spec.targets[0].authentication.clientCertificate", CANARY),
        ("spec.targets[0].authentication.clientCertificate.secretRef", CANARY),
        ("spec.targets[0].authentication.clientCertificate.secretRef", {"name": CANARY + "!"}),
    ],
)
def test_a_secret_in_the_wrong_place_is_never_repeated(at: str, value: Json) -> None:
    found = faults_of(changed(good(), at, value))

    assert CANARY not in "\n".join(found)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(at=st.sampled_from([bad.at for bad in CORPUS]), value=anything)
def test_whatever_stands_in_a_field_is_taken_or_refused_in_words(at: str, value: Json) -> None:
    try:
        taken: FanoutRoute | Invalid = parse(changed(good(), at, value))
    except Invalid as refused:
        taken = refused

    assert isinstance(taken, FanoutRoute) or all(fault.message for fault in taken.faults)


@given(anything)
def test_whatever_document_comes_is_refused_in_words(document: Json) -> None:
    with pytest.raises(Invalid):
        parse(document)
