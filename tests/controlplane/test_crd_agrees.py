"""Files and the API server agree about values nobody thought of, not only about those in the corpus.

RE2 and Python's `re`, CEL and Python, JSON's numbers and YAML's: each pair differs somewhere. Values are put together
by chance from the pieces that rules look at; the seed is fixed, so a failure comes back.
"""

import random
import typing

import pytest

from fanout_crds.faults import Invalid
from fanout_crds.route import parse
from fanout_operator.kube import ROUTES
from tests.controlplane.installed import define
from tests.harness.apiserver import ApiServer
from tests.unit.crds.corpus import Json, changed, good

TRIES = 40
POLICY = "spec.targets[0].policy"
SIZES = "1 0 . Mi k K e3 E m - 5 Pi 9"
# Where a value goes, the pieces its text is made of, and the numbers it may be instead.
FIELDS: typing.Final[dict[str, tuple[str, list[Json]]]] = {
    "spec.targets[0].url": ("http:// https:// HTTP:// a b.c 127 . 0x : 8 65535 @ / ? # % \n ä _ - [ ] \\ x.", [7]),
    "spec.listen.path": ("/ / a . .. - { % ? \n ä ~ /-/", [7]),
    "spec.targets[0].request.headers[0].name": ("x - A ce- fanout- host _ * \n ſ K İ ' \" |", []),
    "spec.targets[0].request.headers[0].value": ('x \t \n ä " \x7f ~ !', []),
    "spec.targets[0].request.forwardHeaders[0]": ("x - A ce- * host \n . cookie", []),
    "spec.targets[0].name": ("a - 1 B . \n", [1]),
    "metadata.name": ("a - 1 .", []),
    f"{POLICY}.timeouts.connect": ("1 0 s ms h m . - \n 99999h", [5]),
    f"{POLICY}.timeouts.total": ("1 0 s ms h m", [0]),
    "spec.accept.maxBodySize": (SIZES, [0, -1, 1, 2**26, 2**26 + 1, 2**70, 1.5, True]),
    f"{POLICY}.queue.maxBytes": (SIZES, [0, 1, 2**50, 2**50 + 1, 1e3]),
    f"{POLICY}.retry.backoff.multiplier": ("1 0 . e - 99 5", [-1, 0, 1, 100, 101, 1.5]),
    f"{POLICY}.retry.on[0]": ("4 0 5 xx X Timeout Reset", [299, 300, 599, 600]),
}


def values(at: str) -> list[Json]:
    """Numbers, and texts of up to six pieces."""
    chance = random.Random(at)
    pieces, numbers = FIELDS[at]
    return [
        *numbers,
        *("".join(chance.choices(pieces.split(" "), k=chance.randint(0, 6))) for _ in range(TRIES)),
    ]


@pytest.fixture(scope="module")
def cluster(apiserver: ApiServer) -> ApiServer:
    define(apiserver)
    return apiserver


def refused_here(document: Json) -> bool:
    try:
        parse(document)
    except Invalid:
        return True
    return False


@pytest.mark.parametrize("at", FIELDS)
def test_files_and_the_api_server_agree(cluster: ApiServer, namespace: str, at: str) -> None:
    whole = at.rpartition(".")[0] if "headers[0]" in at else None  # a header needs both its parts
    differ = []
    with cluster.client() as admin:
        for value in values(at):
            document = good(namespace=namespace)
            if whole:
                document = changed(document, whole, {"name": "x", "value": "y"})
            document = changed(document, at, value)
            answer = admin.post(
                ROUTES.path(namespace),
                params={"dryRun": "All", "fieldValidation": "Strict"},
                json=document,
            )
            if (answer.status_code == 201) is refused_here(document):
                differ.append((value, answer.status_code, answer.json().get("message")))

    assert differ == []
