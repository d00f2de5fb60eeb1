"""The CRD in a real API server: the same manifests are refused, with the same sentences, as in files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fanout_crds.schema import NAME
from fanout_operator import kube
from tests.controlplane.installed import define
from tests.harness.apiserver import ApiServer, KubectlError
from tests.unit.crds.corpus import CORPUS, By, Json, changed, good

EXAMPLES = Path(__file__).parents[2] / "examples"
ROUTES = kube.ROUTES.path("{}")


@pytest.fixture(scope="module")
def cluster(apiserver: ApiServer) -> ApiServer:
    """An API server that knows FanoutRoutes."""
    define(apiserver)
    return apiserver


@pytest.fixture
def admin(cluster: ApiServer) -> Iterator[httpx.Client]:
    with cluster.client() as client:
        yield client


def create(admin: httpx.Client, namespace: str, document: Json) -> httpx.Response:
    """Ask as kubectl does: only to try, and with unknown fields refused."""
    asked = {"dryRun": "All", "fieldValidation": "Strict"}
    return admin.post(ROUTES.format(namespace), params=asked, json=document)


def where(path: str) -> list[str]:
    """Where the API server may say it: at *path*, or what it is in, below spec, where the place is one in a list."""
    steps = re.findall(r"\[\d+\]|\.?[^.\[]+", path)
    return ["".join(steps[:count]) for count in range(2, len(steps) + 1)] if len(steps) > 1 else [path]


def test_the_api_server_takes_the_crd_and_finds_it_structural(cluster: ApiServer) -> None:
    found = json.loads(cluster.kubectl("get", "crd", NAME, "-o", "json"))

    conditions = {one["type"]: (one["status"], one.get("message")) for one in found["status"]["conditions"]}
    assert conditions["Established"][0] == "True"
    assert "NonStructuralSchema" not in conditions


def test_a_good_manifest_is_taken_and_its_defaults_filled_in(admin: httpx.Client, namespace: str) -> None:
    answer = create(admin, namespace, good(namespace=namespace))

    made = answer.json()
    assert answer.status_code == 201, answer.text
    assert made["spec"] == good()["spec"] | {"className": "fanout", "suspend": False, "durability": "Journal"}
    assert [one["reason"] for one in made["status"]["conditions"]] == ["Pending", "Pending"]


def test_what_is_refused_in_files_is_refused_at_apply_with_the_same_sentence(
    admin: httpx.Client, namespace: str
) -> None:
    wrong = {}
    for bad in CORPUS:
        if bad.by is By.FILES or bad.path in ("apiVersion", "kind"):  # a path of the API, or no kind of ours at all
            continue
        answer = create(admin, namespace, changed(good(namespace=namespace), bad.at, bad.value))
        said = answer.json().get("message", "").replace("<nil>: ", f"{bad.path}: ")  # rules over metadata have no path
        told = any(f"{path}: " in said for path in where(bad.path))
        same = bad.by is By.SHAPE or (told and bad.says in said)
        if answer.status_code not in (400, 422) or not same:
            wrong[bad.name] = f"{answer.status_code} {said}"

    assert wrong == {}


def test_null_is_unset_to_the_api_server_too(admin: httpx.Client, namespace: str) -> None:
    document = good(namespace=namespace)
    for at in ("spec.suspend", "spec.listen", "spec.targets[0].policy", "spec.targets[0].service"):
        document = changed(document, at, None)

    answer = create(admin, namespace, document)

    assert answer.status_code == 201, answer.text
    assert answer.json()["spec"]["suspend"] is False


def test_what_only_files_refuse_is_taken(admin: httpx.Client, namespace: str) -> None:
    seen = {
        bad.name: create(admin, namespace, changed(good(namespace=namespace), bad.at, bad.value)).status_code
        for bad in CORPUS
        if bad.by is By.FILES
    }

    assert set(seen.values()) == {201}, "the API server refuses it too: say so in the corpus"


def test_the_largest_route_there_can_be_is_within_the_budget_for_rules(admin: httpx.Client, namespace: str) -> None:
    headers = [{"name": f"X-{number}", "value": "v"} for number in range(16)]
    request = {"headers": headers, "forwardHeaders": [f"X-{number}" for number in range(32)]}
    document = good(namespace=namespace)
    document["spec"]["targets"] = [
        {"name": f"t-{number}", "url": "http://a.example/" + "x" * 2000, "request": request} for number in range(64)
    ]

    answer = create(admin, namespace, document)

    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_kubectl_apply_takes_each_example_and_get_shows_its_columns(
    cluster: ApiServer, namespace: str, example: str
) -> None:
    for file in sorted((EXAMPLES / example).glob("*.yaml")):
        text = re.sub(r"namespace: \S+", f"namespace: {namespace}", file.read_text(encoding="utf-8"))
        cluster.kubectl("apply", "-f", "-", input=text)

    narrow = cluster.kubectl("get", "fr", "--namespace", namespace)
    wide = cluster.kubectl("get", "fanout", "--namespace", namespace, "-o", "wide")

    assert narrow.split("\n")[0].split() == [
        "NAME",
        "READY",
        "REASON",
        "HEALTHY",
        "TARGETS",
        "PENDING",
        "DEAD",
        "AGE",
    ]
    assert wide.split("\n")[0].split()[-2:] == ["URL", "OPEN"]


def test_kubectl_apply_of_a_bad_route_says_the_sentence(cluster: ApiServer, namespace: str) -> None:
    document = changed(
        good(namespace=namespace), "spec.targets[0].policy.retry.backoff", {"baseDelay": "1h", "maxDelay": "1s"}
    )

    with pytest.raises(KubectlError) as refused:
        cluster.kubectl("apply", "-f", "-", input=json.dumps(document))

    assert "spec.targets[0].policy.retry.backoff" in refused.value.stderr
    assert "baseDelay must not be longer than maxDelay" in refused.value.stderr


def test_a_bare_on_is_true_to_kubectl_which_is_why_files_note_it(cluster: ApiServer, namespace: str) -> None:
    text = json.dumps(good(namespace=namespace))[:-3] + ', "policy": {"retry": {on: [5xx]}}}]}}'
    text = text.replace('}, "policy"', ', "policy"')

    with pytest.raises(KubectlError, match=r'unknown field "spec\.targets\[0\]\.policy\.retry\.true"'):
        cluster.kubectl("apply", "-f", "-", input=text)


def test_kubectl_explain_reads_like_a_manual(cluster: ApiServer) -> None:
    """What a field is, its unit, what unset and zero mean, and what goes with what."""
    cluster.kubectl("api-resources")  # kubectl remembers what there was before the definition
    retry, backoff, timeouts, budget = (
        " ".join(cluster.kubectl("explain", f"fr.spec.targets.policy.{field}").split())
        for field in ("retry", "retry.backoff", "timeouts", "retry.budget")
    )

    assert "Time for one attempt, from connecting to the answer's last byte. Unset: 10s. 0s: no limit." in timeouts
    assert "the delivery is a dead letter with reason AttemptsExhausted. 1: no retry. Unset: as many as" in retry
    assert "Unset: 408, 425, 429, 5xx but 501 and 505, and every fault. []: nothing." in retry
    assert "- maxAttempts does not go with a backoff of type Schedule" in retry
    assert "- multiplier goes with type Exponential. - schedule and preset go with type Schedule." in retry
    assert "Unset: 500ms, or maxDelay when that is shorter. A duration such as 250ms, 30s or 1h30m." in backoff
    assert "First attempts never wait for it." in budget


@pytest.mark.parametrize("field", ["status", "status.targets", "status.conditions"])
def test_kubectl_explain_has_a_sentence_for_everything_in_the_status(cluster: ApiServer, field: str) -> None:
    cluster.kubectl("api-resources")
    said = cluster.kubectl("explain", f"fr.{field}")

    assert "<no description>" not in said
    assert "What the operator has seen of the route." in said or "Name of the target;" in said or "Why, as one" in said


def test_status_is_a_subresource_that_spec_writers_cannot_touch(admin: httpx.Client, namespace: str) -> None:
    document = good(namespace=namespace) | {"status": {"observedGeneration": 99}}
    admin.post(ROUTES.format(namespace), json=document).raise_for_status()
    path = f"{ROUTES.format(namespace)}/order-placed"
    status = {"status": {"targetCount": 3, "targets": [{"name": "a", "circuit": "Open", "lastError": "503"}]}}

    before = admin.get(path).json()
    patched = admin.patch(f"{path}/status", json=status, headers={"Content-Type": "application/merge-patch+json"})

    assert "observedGeneration" not in before["status"]
    assert patched.json()["status"]["targets"][0]["circuit"] == "Open"
    assert patched.json()["metadata"]["generation"] == before["metadata"]["generation"]
