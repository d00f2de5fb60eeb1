"""What a route refers to, against a real API server and as the chart's ServiceAccount: grants, Services, Secrets."""

import base64
import json
import time
from collections.abc import Iterator

import pytest
import trustme

from fanout_dispatcher.transport.guard import Guard
from fanout_operator.kube import CONFIG_MAPS, SECRETS
from tests.controlplane import grants
from tests.controlplane.installed import Installation, Operator, condition, hasty, running_operator
from tests.controlplane.manifests import CRM, secret, service
from tests.controlplane.waiting import Document, until
from tests.harness.apiserver import ApiServer
from tests.support.figures import Figure

SECONDS = 5.0  # what "takes effect in seconds" may mean at most here; it is milliseconds


@pytest.fixture(scope="module")
def server(apiserver: ApiServer) -> Iterator[ApiServer]:
    """Here ReferenceGrants are defined and undefined; before and afterwards nobody knows them."""
    apiserver.kubectl("delete", "crd", grants.NAME, "--ignore-not-found")
    yield apiserver
    apiserver.kubectl("delete", "crd", grants.NAME, "--ignore-not-found")


@pytest.fixture(scope="module")
def fanout(server: ApiServer, release: Installation) -> Installation:
    return release.beside("test-references")


@pytest.fixture(scope="module", autouse=True)
def operator(fanout: Installation) -> Iterator[Operator]:
    """It looks for the definition of grants every second."""
    with running_operator(fanout, program=hasty("looks")) as process:
        yield process


@pytest.fixture
def shop(server: ApiServer) -> str:
    """Where the routes are."""
    return server.namespace("shop")


@pytest.fixture
def vault(server: ApiServer) -> str:
    """Where what they refer to is."""
    return server.namespace("vault")


@pytest.fixture(scope="module")
def granting(server: ApiServer, operator: Operator) -> None:
    """ReferenceGrants are defined, and watched."""
    grants.define(server, "v1beta1")


def bearer(namespace: str, name: str = "mail") -> Document:
    """A target whose token is in a Secret of some namespace."""
    ref = {"namespace": namespace, "name": name, "key": "token"}
    return {"name": name, "url": "https://mail.example.com/", "authentication": {"bearer": {"secretRef": ref}}}


def to_service(name: str, **service: object) -> Document:
    return {"name": name, "service": {"name": name, "port": "http", **service}}


def held(fanout: Installation, namespace: str, name: str, reason: str | None) -> Document:
    """Wait until a route's first target is held for a reason, or not held; give its plan."""

    def plan(items: list[Document]) -> Document | None:
        found = fanout.found(items, namespace, name)
        return found if found and found["targets"][0]["held"] == reason else None

    found = plan(until(fanout.server, CONFIG_MAPS.path(fanout.namespace), plan))
    assert found is not None
    return found


def test_without_the_definition_of_grants_nothing_is_permitted_and_once_it_is_there_grants_count(
    fanout: Installation, server: ApiServer, operator: Operator, shop: str, vault: str
) -> None:
    fanout.apply(secret(vault, "mail", token="s3cr3t"), secret(shop, "own", token="mine"))
    fanout.apply(fanout.route(shop, "orders", bearer(vault)), fanout.route(shop, "own", bearer(shop, "own")))
    without = fanout.status(shop, "orders", ResolvedRefs="False/RefNotPermitted")
    fanout.status(shop, "own", ResolvedRefs="True")
    assert "watch.failed" not in operator.log.read_text()  # that a kind is not there is no fault

    grants.define(server, "v1beta1")
    fanout.apply(grants.grant(vault, shop, "Secret", "mail"))
    fanout.status(shop, "orders", ResolvedRefs="True")

    assert (
        f"no ReferenceGrant in {vault} lets FanoutRoutes of {shop} refer to it"
        in (condition(without, "ResolvedRefs")["message"])
    )


@pytest.mark.usefixtures("granting")
def test_a_grant_lets_a_secret_through_and_revoking_it_takes_the_credentials_away_within_seconds(
    fanout: Installation, shop: str, vault: str, figure: Figure
) -> None:
    fanout.apply(secret(vault, "mail", token="s3cr3t"), fanout.route(shop, "orders", bearer(vault)))
    held(fanout, shop, "orders", "RefNotPermitted")
    fanout.apply(grants.grant(vault, shop, "Secret"))
    given = held(fanout, shop, "orders", None)
    kept = fanout.credentials(given)
    fanout.server.kubectl("delete", "referencegrant", f"routes-of-{shop}", f"--namespace={vault}")
    since = time.monotonic()
    held(fanout, shop, "orders", "RefNotPermitted")
    until(fanout.server, SECRETS.path(fanout.namespace), lambda items: not items, name=kept["metadata"]["name"])
    took = time.monotonic() - since
    fanout.status(shop, "orders", ResolvedRefs="False/RefNotPermitted")

    assert base64.b64decode(kept["data"]["mail.bearer"]) == b"s3cr3t"
    assert took < SECONDS
    figure("P29", seconds_from_revoking_a_grant_to_no_credentials=took)


@pytest.mark.usefixtures("granting")
def test_a_grant_for_another_kind_name_or_namespace_lets_nothing_through(
    fanout: Installation, server: ApiServer, shop: str, vault: str
) -> None:
    stranger = server.namespace("stranger")
    fanout.apply(service(vault, "payment"), service(vault, "other"))
    fanout.apply(grants.grant(vault, shop, "Service", "other"), grants.grant(vault, stranger, "Service"))
    for name in ("payment", "other"):
        fanout.apply(fanout.route(shop, name, to_service(name, namespace=vault)))
    refused = held(fanout, shop, "payment", "RefNotPermitted")
    given = held(fanout, shop, "other", None)
    fanout.apply(grants.grant(vault, shop, "Secret"))  # the same grant, changed: it permits Services no more
    revoked = held(fanout, shop, "other", "RefNotPermitted")

    assert given["targets"][0]["url"] == f"http://other.{vault}.svc:8080/"
    assert refused["targets"][0]["url"] == revoked["targets"][0]["url"] == ""


@pytest.mark.usefixtures("granting")
def test_a_restart_keeps_what_grants_permit_and_writes_nothing(
    fanout: Installation, operator: Operator, shop: str, vault: str
) -> None:
    fanout.apply(secret(vault, "mail", token="s3cr3t"), grants.grant(vault, shop, "Secret", "mail"))
    fanout.apply(fanout.route(shop, "orders", bearer(vault)))
    before = held(fanout, shop, "orders", None)
    fanout.status(shop, "orders", ResolvedRefs="True")
    operator.stop()
    operator.start()
    fanout.one_more(shop)

    assert held(fanout, shop, "orders", None) == before
    assert operator.patches() == 2


@pytest.mark.usefixtures("granting")
def test_with_roles_only_the_grants_of_the_watched_namespaces_count_and_no_others(
    server: ApiServer, shop: str, vault: str
) -> None:
    unwatched = server.namespace("unwatched")
    few = Installation(server, "test-few")
    few.install(f"watchNamespaces={{{shop},{vault}}}")
    for namespace in (vault, unwatched):
        few.apply(secret(namespace, "mail", token="s3cr3t"), grants.grant(namespace, shop, "Secret"))
    with running_operator(few, f"--watch-namespace={shop}", f"--watch-namespace={vault}"):
        few.apply(few.route(shop, "orders", bearer(vault)), few.route(shop, "invoices", bearer(unwatched)))
        held(few, shop, "orders", None)
        held(few, shop, "invoices", "RefNotPermitted")


@pytest.mark.usefixtures("granting")
def test_the_newer_version_of_grants_is_watched_as_well(
    fanout: Installation, server: ApiServer, shop: str, vault: str
) -> None:
    fanout.apply(secret(vault, "mail", token="s3cr3t"), grants.grant(vault, shop, "Secret", "mail"))
    fanout.apply(fanout.route(shop, "orders", bearer(vault)))
    held(fanout, shop, "orders", None)
    server.kubectl("delete", "crd", grants.NAME)
    held(fanout, shop, "orders", "RefNotPermitted")  # with their definition all grants are gone
    grants.define(server, "v1", "v1beta1")
    fanout.apply(grants.grant(vault, shop, "Secret", "mail", version="v1"))

    held(fanout, shop, "orders", None)


def slice_(namespace: str, service: str, *, ready: bool, name: str = "", port: int = 8080) -> Document:
    """An EndpointSlice as the controller of the cluster makes it; here is none."""
    labels = {"kubernetes.io/service-name": service}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name or f"{service}-x", "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.7"], "conditions": {"ready": ready}}],
        "ports": [{"name": "http", "port": port}],
    }


def test_a_service_without_a_ready_endpoint_resolves_with_a_warning_until_there_is_one(
    fanout: Installation, shop: str
) -> None:
    fanout.apply(service(shop, "payment"), fanout.route(shop, "orders", to_service("payment")))
    nobody = fanout.status(shop, "orders", ResolvedRefs="True/NoReadyEndpoints")
    plan = fanout.plan(shop, "orders")
    fanout.apply(slice_(shop, "payment", ready=False), slice_(shop, "payment", ready=True))
    fanout.status(shop, "orders", ResolvedRefs="True/ResolvedRefs")
    fanout.apply(slice_(shop, "payment", ready=False))
    fanout.status(shop, "orders", ResolvedRefs="True/NoReadyEndpoints")

    assert (
        f"no endpoint is ready for target payment (Service {shop}/payment)"
        in (condition(nobody, "ResolvedRefs")["message"])
    )
    assert plan["targets"][0]["held"] is None
    assert fanout.plan(shop, "orders") == plan


def test_that_nobody_is_there_survives_a_restart_without_a_word(
    fanout: Installation, operator: Operator, shop: str
) -> None:
    fanout.apply(service(shop, "payment"), service(shop, "crm"), slice_(shop, "crm", ready=True))
    fanout.apply(fanout.route(shop, "orders", to_service("payment"), to_service("crm")))
    fanout.status(shop, "orders", ResolvedRefs="True/NoReadyEndpoints")
    operator.stop()
    operator.start()
    fanout.one_more(shop)

    assert operator.patches() == 2


def test_an_external_name_is_asked_as_a_url_is_and_so_as_guarded(fanout: Installation, shop: str) -> None:
    outside = {"type": "ExternalName", "externalName": "pay.example.com", "ports": []}
    metadata = {**outside, "externalName": "169.254.169.254"}
    fanout.apply(service(shop, "outside", **outside), service(shop, "metadata", **metadata))
    targets = [{"name": name, "service": {"name": name, "port": 8080}} for name in ("outside", "metadata")]
    fanout.apply(fanout.route(shop, "orders", *targets))
    fanout.status(shop, "orders", ResolvedRefs="True/ResolvedRefs")  # it has no endpoints, and needs none
    plan = fanout.plan(shop, "orders")

    assert [(one["url"], one["private"]) for one in plan["targets"]] == [
        ("http://pay.example.com:8080/", False),
        ("http://169.254.169.254:8080/", False),
    ]
    assert Guard().check_url(plan["targets"][1]["url"], private=False) == "a metadata address"


def test_a_headless_service_is_asked_where_its_pods_listen(fanout: Installation, shop: str) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    fanout.apply(service(shop, "payment", clusterIP="None", ports=ports))
    fanout.apply(fanout.route(shop, "orders", to_service("payment")))

    assert fanout.plan(shop, "orders")["targets"][0]["url"] == f"http://payment.{shop}.svc:8080/"


def test_a_headless_service_with_a_named_target_port_is_asked_where_its_endpoints_listen(
    fanout: Installation, shop: str
) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    fanout.apply(service(shop, "payment", clusterIP="None", ports=ports))
    fanout.apply(fanout.route(shop, "orders", to_service("payment")))
    held = fanout.status(shop, "orders", ResolvedRefs="False/ServiceUnusable")
    fanout.apply(slice_(shop, "payment", ready=True))
    fanout.status(shop, "orders", ResolvedRefs="True/ResolvedRefs")

    assert "no endpoint has told yet which number" in condition(held, "ResolvedRefs")["message"]
    assert fanout.plan(shop, "orders")["targets"][0]["url"] == f"http://payment.{shop}.svc:8080/"


def test_a_rollout_that_changes_the_number_behind_a_name_holds_nothing(fanout: Installation, shop: str) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    fanout.apply(service(shop, "payment", clusterIP="None", ports=ports), slice_(shop, "payment", ready=True))
    fanout.apply(fanout.route(shop, "orders", to_service("payment")))
    fanout.status(shop, "orders", ResolvedRefs="True/ResolvedRefs")
    first = fanout.plan(shop, "orders")
    fanout.apply(slice_(shop, "payment", ready=True, name="payment-new", port=9090))
    fanout.one_more(shop)
    between = fanout.plan(shop, "orders")
    fanout.apply(slice_(shop, "payment", ready=False))
    after = fanout.another_plan(first)

    assert between == first
    assert [(one["url"], one["held"]) for one in after["targets"]] == [(f"http://payment.{shop}.svc:9090/", None)]


def test_a_secret_without_the_key_says_which_one_it_lacks_and_gets_it(fanout: Installation, shop: str) -> None:
    fanout.apply(secret(shop, "mail", other="x"), fanout.route(shop, "orders", bearer(shop)))
    without = fanout.status(shop, "orders", ResolvedRefs="False/SecretKeyNotFound")
    fanout.apply(secret(shop, "mail", token="s3cr3t"))
    fanout.status(shop, "orders", ResolvedRefs="True")

    assert f'Secret {shop}/mail has no key "token" (it has: other)' in condition(without, "ResolvedRefs")["message"]


def test_a_client_certificate_is_held_until_it_is_a_pair_and_a_renewed_one_takes_its_place(
    fanout: Installation, shop: str
) -> None:
    authority = trustme.CA()
    ours, renewed = (authority.issue_cert("us@shop.example") for _ in range(2))
    shown = {"authentication": {"clientCertificate": {"secretRef": {"name": "us"}}}}
    fanout.apply(fanout.route(shop, "orders", CRM | shown))
    fanout.status(shop, "orders", ResolvedRefs="False/SecretNotFound")
    fanout.apply(secret(shop, "us", **{"tls.crt": pem(ours)}))
    fanout.status(shop, "orders", ResolvedRefs="False/SecretKeyNotFound")
    fanout.apply(tls_secret(shop, "us", certificate=pem(renewed), of=ours))
    without = fanout.status(shop, "orders", ResolvedRefs="False/SecretUnusable")
    fanout.apply(tls_secret(shop, "us", certificate=pem(ours), of=ours))
    first = fanout.credentials(held(fanout, shop, "orders", None))
    fanout.apply(tls_secret(shop, "us", certificate=pem(renewed), of=renewed))
    wanted = base64.b64encode((pem(renewed) + renewed.private_key_pem.bytes().decode()).encode()).decode()
    name = first["metadata"]["name"]

    def there(items: list[Document]) -> bool:
        return any(one["data"].get("crm.clientCertificate") == wanted for one in items)

    until(fanout.server, SECRETS.path(fanout.namespace), there, name=name)

    says = condition(without, "ResolvedRefs")["message"]
    assert f"Secret {shop}/us[tls.key] is not the key of the first certificate beside it" in says
    assert first["data"]["crm.clientCertificate"] != wanted


def pem(of: trustme.LeafCert) -> str:
    return of.cert_chain_pems[0].bytes().decode()


def tls_secret(namespace: str, name: str, *, certificate: str, of: trustme.LeafCert) -> Document:
    """A certificate, and the key of perhaps another one."""
    return secret(namespace, name, **{"tls.crt": certificate, "tls.key": of.private_key_pem.bytes().decode()})


def test_a_secret_as_large_as_a_secret_may_be_is_used(fanout: Installation, server: ApiServer, shop: str) -> None:
    bundle = "x" * ((1 << 20) - len("s3cr3t") - 100)
    document = secret(shop, "large", token="s3cr3t", **{"ca.crt": bundle})
    server.kubectl("create", "-f", "-", input=json.dumps(document))  # to apply it would need it twice
    target = bearer(shop, "large") | {"tls": {"caSecret": {"name": "large", "key": "ca.crt"}}}
    fanout.apply(fanout.route(shop, "orders", target))
    fanout.status(shop, "orders", ResolvedRefs="True")
    kept = fanout.credentials(held(fanout, shop, "orders", None))

    assert len(base64.b64decode(kept["data"]["large.ca"])) == len(bundle)


def test_credentials_that_fit_into_no_secret_are_refused_and_say_so(
    fanout: Installation, server: ApiServer, shop: str
) -> None:
    for name in ("first", "second"):
        document = secret(shop, name, **{"ca.crt": "x" * (600 << 10)})
        server.kubectl("create", "-f", "-", input=json.dumps(document))
    targets = [
        {"name": name, "url": "https://a.example/", "tls": {"caSecret": {"name": name, "key": "ca.crt"}}}
        for name in ("first", "second")
    ]
    fanout.apply(fanout.route(shop, "orders", *targets))
    status = fanout.status(shop, "orders", Accepted="False/PlanTooLarge")

    assert "their credentials have 1228800 bytes, 1048576 fit" in condition(status, "Accepted")["message"]
