"""One route from what is to what should be, against the twin of the API server."""

import base64
from collections.abc import Iterator
from itertools import count

import msgspec
import pytest

from fanout_crds import cluster_plan
from fanout_crds import plan as plans_format
from fanout_crds.compile import Installation
from fanout_crds.schema import NAME as DEFINITION_NAME
from fanout_operator import plans
from fanout_operator.claims import Claims
from fanout_operator.conditions import Finding
from fanout_operator.dependants import Dependants
from fanout_operator.endpoints import Endpoints, Slice
from fanout_operator.gather import Sources
from fanout_operator.grants import Grants, permissions
from fanout_operator.holding import Holding
from fanout_operator.judge import Rules
from fanout_operator.kept import Kept
from fanout_operator.kube import CONFIG_MAPS, DEFINITIONS, ROUTES, SECRETS, Document, Refused, Unavailable
from fanout_operator.reads import Reads
from fanout_operator.reconcile import Reconciler, Sinks
from fanout_operator.routes import Routes
from tests.unit.operator.cluster import Cluster
from tests.unit.operator.made import CRM, DISPATCHERS, route, secret, service

KEY = "shop/orders"
MAIL: Document = {
    "name": "mail",
    "url": "https://mail.example.com/",
    "authentication": {"bearer": {"secretRef": {"name": "mail", "key": "token"}}},
}
PAYMENT: Document = {"name": "payment", "service": {"name": "payment", "port": "http"}}


class Scene:
    """A reconciler over a cluster."""

    def __init__(self, rules: Rules | None = None, cluster: Cluster | None = None) -> None:
        self.cluster = cluster or Cluster()
        self.routes, self.inventory = Routes(), plans.Inventory()
        self.findings: dict[str, Finding] = {}
        self.woken: list[str] = []
        self.credentials = plans.Inventory()
        self.told: list[str] = []
        self.kept = Kept(self.told.extend)
        self.left: list[str] = []
        self.dependants, self.claims = Dependants(), Claims()
        self.grants, self.granted = Grants(lambda _permission: None), True
        self.endpoints, self.endpoints_known = Endpoints(lambda _service: None, lambda _service: None), True
        revisions: Iterator[int] = count(1)
        self.reconcile = Reconciler(
            Sources(
                kube=self.cluster,
                reads=Reads(self.cluster, {}, {}),
                dependants=self.dependants,
                claims=self.claims,
                grants=self.grants,
                granted=lambda: self.granted,
                endpoints=self.endpoints,
                endpoints_known=lambda: self.endpoints_known,
                inventory=self.inventory,
                credentials=self.credentials,
                namespace=DISPATCHERS,
            ),
            rules or Rules(),
            Installation(),
            Sinks(
                routes=self.routes,
                findings=self.findings,
                judged=lambda _key: None,
                left=self.left.append,
                wake=self.woken.append,
                holding=Holding(self.cluster, self.kept, self.woken.append),
            ),
            revision=lambda: f"r{next(revisions)}",
        )
        self.define()

    def define(self, **metadata: str) -> None:
        """The definition of routes is there, from long ago unless said otherwise."""
        document = {
            "metadata": {"name": DEFINITION_NAME, "creationTimestamp": "2025-01-01T00:00:00Z", **metadata},
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        }
        self.cluster.put(DEFINITIONS, document)

    def put(self, document: Document) -> None:
        self.routes.note(self.cluster.put(ROUTES, document))

    def delete(self, name: str = "orders") -> None:
        gone = self.cluster.remove(ROUTES, "shop", name)
        self.routes.drop(f"shop/{name}", gone["metadata"]["uid"])

    async def made(self, document: Document) -> plans_format.Plan:
        """Put a route, reconcile it and give its plan."""
        self.put(document)
        key = f"{document['metadata']['namespace']}/{document['metadata']['name']}"
        await self.reconcile(key)
        return self.plan(key)

    def plan(self, key: str = KEY) -> plans_format.Plan:
        (written,) = self.inventory.of(key)
        config = self.cluster.objects["configmaps", DISPATCHERS, cluster_plan.name_of(written.route_uid)]
        return plans_format.decode(config["data"][cluster_plan.FILE])

    def writes(self) -> list[str]:
        return [call for call in self.cluster.calls if not call.startswith(("GET", "LIST", "WATCH"))]

    def reason(self, key: str = KEY) -> str | None:
        objection = self.findings[key].objection
        return objection.reason if objection else None


async def test_a_route_becomes_a_plan_and_reconciling_it_again_writes_nothing() -> None:
    scene = Scene()
    plan = await scene.made(route())
    first = scene.writes()
    await scene.reconcile(KEY)

    assert plan.targets[0].url == "https://crm.example.com/"
    assert first == scene.writes() == [f"PATCH configmaps {DISPATCHERS}/{cluster_plan.name_of(plan.uid)}"]


async def test_a_plan_that_fits_nowhere_is_not_accepted_with_a_reason_of_its_own() -> None:
    scene = Scene()
    headers = [{"name": f"x-{number}", "value": "v" * 2048} for number in range(16)]
    targets = [{"name": f"t{n}", "url": "http://a.example", "request": {"headers": headers}} for n in range(64)]
    scene.put(route("orders", *targets))
    await scene.reconcile(KEY)

    assert scene.reason() == "PlanTooLarge"
    assert scene.writes() == []


async def test_what_of_an_accepted_route_will_surprise_is_found_out() -> None:
    scene = Scene()
    respond = {"mode": "Settled", "onTimeout": "Partial", "bodyExpression": "targets.payment.body.id"}
    await scene.made(route("orders", {"name": "payment", "url": "https://pay.example.com/"}, respond=respond))

    [caution] = scene.findings[KEY].cautions
    assert caution.startswith("spec.respond.bodyExpression: payment need not have answered")


async def test_what_is_keyed_in_a_plan_is_found_out_also_while_it_is_the_last_good_one() -> None:
    scene = Scene()
    await scene.made(route("orders", accept={"idempotency": {}}))
    first = scene.findings[KEY].keyed
    scene.put(route("orders", listen={"path": "/elsewhere"}))
    await scene.reconcile(KEY)

    assert scene.reason() == "PathNotAllowed"
    assert first == scene.findings[KEY].keyed == ("accept.idempotency",)


async def test_the_secret_is_written_before_the_plan_and_with_its_revision() -> None:
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    plan = await scene.made(route("orders", MAIL))
    name = cluster_plan.name_of(plan.uid)
    kept = scene.cluster.objects["secrets", DISPATCHERS, name]

    assert [call.split()[1] for call in scene.writes()] == ["secrets", "configmaps"]
    assert kept["metadata"]["annotations"][cluster_plan.REVISION] == plan.revision
    assert base64.b64decode(kept["data"]["mail.bearer"]) == b"first"
    assert "first" not in str(scene.cluster.objects["configmaps", DISPATCHERS, name])


async def test_interrupted_between_secret_and_plan_it_ends_the_same() -> None:
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    scene.cluster.fail = lambda call: Unavailable("cut") if call.startswith("PATCH configmaps") else None
    scene.put(route("orders", MAIL))
    with pytest.raises(Unavailable):
        await scene.reconcile(KEY)
    scene.cluster.fail = lambda _call: None
    await scene.reconcile(KEY)
    plan = scene.plan()

    kept = scene.cluster.objects["secrets", DISPATCHERS, cluster_plan.name_of(plan.uid)]
    assert kept["metadata"]["annotations"][cluster_plan.REVISION] == plan.revision


async def test_a_rotated_secret_is_another_revision_of_the_same_plan() -> None:
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    first = await scene.made(route("orders", MAIL))
    secret(scene.cluster, "mail", token="c2Vjb25k")
    await scene.reconcile(KEY)
    second = scene.plan()

    assert second.revision != first.revision
    assert second.targets == first.targets
    assert scene.dependants.of("Secret/shop/mail") == (KEY,)


async def test_a_route_that_needs_no_credentials_any_more_loses_its_secret_after_the_plan() -> None:
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    await scene.made(route("orders", MAIL))
    before = len(scene.writes())
    await scene.made(route("orders", CRM))

    assert [call.split()[:2] for call in scene.writes()[before:]] == [["PATCH", "configmaps"], ["DELETE", "secrets"]]


async def test_an_unresolved_reference_holds_its_target_and_no_other() -> None:
    scene = Scene()
    held = await scene.made(route("orders", CRM, PAYMENT))
    service(scene.cluster)
    await scene.reconcile(KEY)

    assert [target.held for target in held.targets] == [None, "ServiceNotFound"]
    assert [target.held for target in scene.plan().targets] == [None, None]
    assert scene.dependants.of("Service/shop/payment") == (KEY,)


async def test_another_namespaces_objects_are_not_even_asked_for() -> None:
    scene = Scene()
    target = {"name": "p", "service": {"name": "payment", "namespace": "bank", "port": "http"}}
    await scene.made(route("orders", target))

    assert not [call for call in scene.cluster.calls if "bank" in call]


async def test_an_invalid_spec_changes_nothing_and_the_plan_in_force_is_named() -> None:
    scene = Scene()
    good = await scene.made(route())
    scene.put(route("orders", {"name": "crm"}))
    await scene.reconcile(KEY)

    assert scene.reason() == "Invalid"
    assert scene.plan() == good
    assert scene.findings[KEY].in_force is not None


@pytest.mark.parametrize("path", ["/elsewhere", "/{namespace}/orders", "/{shop}"])
@pytest.mark.parametrize(("rules", "reason"), [(Rules(), "PathNotAllowed"), (Rules(any_path=True), None)])
async def test_a_path_outside_the_namespace_is_for_the_installer_to_allow(
    rules: Rules, reason: str | None, path: str
) -> None:
    scene = Scene(rules)
    scene.put(route("orders", listen={"path": path}))
    await scene.reconcile(KEY)

    assert scene.reason() == reason


@pytest.mark.parametrize(("path", "same"), [("/shop/x", "/shop/x"), ("/shop/{id}/x", "/shop/{name}/x")])
async def test_of_two_routes_with_one_path_the_second_waits_until_the_first_moves(path: str, same: str) -> None:
    scene = Scene()
    await scene.made(route("first", listen={"path": path}))
    scene.put(route("second", listen={"path": same}))
    await scene.reconcile("shop/second")
    contested = scene.reason("shop/second")
    await scene.made(route("first"))
    await scene.reconcile("shop/second")

    assert contested == "PathContested"
    assert scene.woken == ["shop/second"]
    assert scene.reason("shop/second") is None


async def test_a_path_is_not_held_by_a_route_that_never_got_a_plan() -> None:
    scene = Scene()
    breaker = {"circuitBreaker": {"openDuration": "10m"}}
    wrong = route("wrong", CRM | {"policy": breaker}, listen={"path": "/shop/x"})
    wrong["spec"]["defaults"] = {"policy": {"circuitBreaker": {"maxOpenDuration": "1m"}}}
    scene.put(wrong)
    await scene.reconcile("shop/wrong")
    await scene.made(route("right", listen={"path": "/shop/x"}))

    assert (scene.reason("shop/wrong"), scene.reason("shop/right")) == ("Invalid", None)


async def test_a_deleted_route_takes_its_plan_and_secret_along() -> None:
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    await scene.made(route("orders", MAIL))
    scene.delete()
    await scene.reconcile(KEY)

    assert not [address for address in scene.cluster.objects if address[1] == DISPATCHERS]
    assert scene.findings == {}
    assert scene.dependants.of("Secret/shop/mail") == ()


@pytest.mark.parametrize(
    "definition",
    [None, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, {"creationTimestamp": "2027-01-01T00:00:00Z"}],
    ids=["gone", "going", "made anew"],
)
async def test_when_the_definition_of_routes_is_not_what_it_was_plans_stay(definition: dict[str, str] | None) -> None:
    scene = Scene()
    plan = await scene.made(route())
    scene.delete()
    scene.cluster.remove(DEFINITIONS, "", DEFINITION_NAME)
    if definition:
        scene.define(**definition)
    await scene.reconcile(KEY)

    assert scene.plan() == plan
    assert scene.told == list(scene.kept) == [KEY]


async def test_a_held_route_that_is_made_again_is_held_no_longer() -> None:
    scene = Scene()
    await scene.made(route())
    scene.delete()
    scene.define(creationTimestamp="2027-01-01T00:00:00Z")
    await scene.reconcile(KEY)
    held = list(scene.kept)
    await scene.made(route())

    assert held == [KEY]
    assert list(scene.kept) == []


async def test_credentials_whose_plan_was_never_written_go_with_their_route() -> None:
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    scene.put(route("orders", MAIL))
    scene.cluster.fail = lambda call: Unavailable("503") if call.startswith("PATCH configmaps") else None
    with pytest.raises(Unavailable):
        await scene.reconcile(KEY)
    scene.delete()
    await scene.reconcile(KEY)

    assert not [address for address in scene.cluster.objects if address[1] == DISPATCHERS]


async def test_a_route_that_only_seemed_to_be_gone_keeps_its_plan() -> None:
    scene = Scene()
    plan = await scene.made(route())
    scene.routes.drop(KEY)
    await scene.reconcile(KEY)
    await scene.reconcile(KEY)

    assert scene.woken == [KEY]
    assert scene.plan() == plan


async def test_lost_rights_take_nothing_away() -> None:
    scene = Scene()
    plan = await scene.made(route())
    scene.delete()
    scene.cluster.fail = lambda call: Unavailable("403") if call.startswith("GET fanoutroutes") else None
    with pytest.raises(Unavailable):
        await scene.reconcile(KEY)

    assert scene.plan() == plan


async def test_a_route_made_again_gets_a_plan_of_its_own_before_the_old_one_goes() -> None:
    scene = Scene()
    old = await scene.made(route())
    scene.delete()
    new = await scene.made(route())

    assert new.uid != old.uid
    assert [call.split()[0] for call in scene.writes()] == ["PATCH", "PATCH", "DELETE"]
    assert [one[2] for one in scene.cluster.objects if one[0] == CONFIG_MAPS.plural] == [cluster_plan.name_of(new.uid)]


async def test_a_route_that_changes_its_class_takes_its_plan_along_and_a_strangers_is_left_alone() -> None:
    scene = Scene()
    await scene.made(route())
    scene.put(route("orders", className="another"))
    scene.put(route("stranger", className="another"))
    await scene.reconcile(KEY)
    await scene.reconcile("shop/stranger")

    assert list(scene.inventory) == []
    assert scene.findings == {}
    assert scene.left == [KEY]


async def test_a_plan_that_another_installation_took_over_is_not_taken_from_it() -> None:
    """Both write into one namespace, and the plan has one name."""
    ours = Scene()
    theirs = Scene(Rules(class_name="another"), ours.cluster)
    secret(ours.cluster, "mail", token="Zmlyc3Q=")
    plan = await ours.made(route("orders", MAIL))
    ours.put(route("orders", MAIL, className="another"))
    await theirs.made(route("orders", MAIL, className="another"))
    await ours.reconcile(KEY)

    name = cluster_plan.name_of(plan.uid)
    lying = [ours.cluster.objects[kind, DISPATCHERS, name] for kind in ("configmaps", "secrets")]
    assert [cluster_plan.class_of(one) for one in lying] == ["another", "another"]
    assert list(ours.inventory) == []


async def test_a_spoilt_plan_is_made_anew() -> None:
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    plan = await scene.made(route("orders", MAIL))
    scene.cluster.remove(SECRETS, DISPATCHERS, cluster_plan.name_of(plan.uid))
    await scene.reconcile(KEY)

    assert scene.plan().revision != plan.revision
    assert scene.cluster.objects["secrets", DISPATCHERS, cluster_plan.name_of(plan.uid)]


async def test_no_value_of_a_secret_shows_in_what_is_logged() -> None:
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    await scene.made(route("orders", MAIL))
    kept = scene.cluster.objects["secrets", DISPATCHERS, cluster_plan.name_of(scene.plan().uid)]
    config = scene.cluster.objects["configmaps", DISPATCHERS, cluster_plan.name_of(scene.plan().uid)]

    assert "first" not in repr(plans.content(config, kept))


GRANT: Document = {
    "metadata": {"name": "shop", "namespace": "vault"},
    "spec": {
        "from": [{"group": ROUTES.group, "kind": ROUTES.name, "namespace": "shop"}],
        "to": [{"group": "", "kind": "Secret", "name": "mail"}],
    },
}
ELSEWHERE: Document = {
    "name": "mail",
    "url": "https://mail.example.com/",
    "authentication": {"bearer": {"secretRef": {"namespace": "vault", "name": "mail", "key": "token"}}},
}


async def test_another_namespaces_secret_is_used_while_a_grant_is_there_and_not_a_moment_longer() -> None:
    scene = Scene()
    secret(scene.cluster, "mail", "vault", token="Zmlyc3Q=")
    without = await scene.made(route("orders", ELSEWHERE))
    scene.grants.note("vault/shop", None, permissions(GRANT))
    await scene.reconcile(KEY)
    given = scene.plan()
    scene.grants.note("vault/shop", permissions(GRANT), None)
    await scene.reconcile(KEY)
    revoked = scene.plan()

    assert [one.targets[0].held for one in (without, given, revoked)] == ["RefNotPermitted", None, "RefNotPermitted"]
    assert given.targets[0].bearer == "mail.bearer"
    assert ("secrets", DISPATCHERS, cluster_plan.name_of(revoked.uid)) not in scene.cluster.objects


async def test_without_a_grant_nobody_looks() -> None:
    scene = Scene()
    await scene.made(route("orders", ELSEWHERE))

    assert "GET secrets vault/mail" not in scene.cluster.calls


async def test_while_nobody_knows_the_grants_a_route_that_needs_one_waits_and_the_others_do_not() -> None:
    scene = Scene()
    scene.granted = False
    scene.put(route("orders", ELSEWHERE))
    with pytest.raises(Unavailable, match="not known yet"):
        await scene.reconcile(KEY)
    await scene.made(route("invoices"))

    assert set(scene.findings) == {"shop/invoices"}


async def test_what_our_own_watches_say_is_not_there_is_not_asked_for() -> None:
    scene = Scene()
    plan = await scene.made(route())
    first = list(scene.cluster.calls)
    scene.cluster.calls.clear()
    await scene.reconcile(KEY)

    name = f"{DISPATCHERS}/{cluster_plan.name_of(plan.uid)}"
    assert first == [f"PATCH configmaps {name}"]
    assert scene.cluster.calls == [f"GET configmaps {name}"]


async def test_a_headless_service_with_a_named_target_port_follows_its_endpoints() -> None:
    scene = Scene()
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    service(scene.cluster, clusterIP="None", ports=ports)
    held = await scene.made(route("orders", PAYMENT))
    scene.endpoints.note("shop/a", None, Slice("shop/payment", 1, frozenset({("http", 8080), ("metrics", 9090)})))
    await scene.reconcile(KEY)

    assert "no endpoint has told yet" in (held.targets[0].held_message or "")
    assert scene.plan().targets[0].url == "http://payment.shop.svc:8080/"
    assert KEY in scene.dependants.of("EndpointSlice/shop/payment")


async def test_while_endpoints_are_not_known_a_plan_that_needs_them_stays_as_it_is_and_no_other_waits() -> None:
    scene = Scene()
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    service(scene.cluster, clusterIP="None", ports=ports)
    service(scene.cluster, "usual")
    scene.endpoints_known = False
    await scene.made(route("usual", {"name": "usual", "service": {"name": "usual", "port": "http"}}))
    scene.put(route("orders", PAYMENT))

    with pytest.raises(Unavailable, match="not known yet"):
        await scene.reconcile(KEY)
    assert not scene.inventory.of(KEY)
    assert not scene.dependants.of("EndpointSlice/shop/usual")


async def test_what_somebody_adds_to_a_plan_is_his_and_costs_no_write() -> None:
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    plan = await scene.made(route("orders", MAIL))
    for kind in (CONFIG_MAPS, SECRETS):
        found = scene.cluster.objects[kind.plural, DISPATCHERS, cluster_plan.name_of(plan.uid)]
        scene.cluster.put(kind, {**found, "data": {**found["data"], "extra": "eA=="}})
    before = scene.writes()
    await scene.reconcile(KEY)

    assert scene.writes() == before


async def test_what_somebody_gave_back_its_own_value_is_ours_again_after_one_write() -> None:
    scene = Scene()
    plan = await scene.made(route())
    name = cluster_plan.name_of(plan.uid)
    found = scene.cluster.objects["configmaps", DISPATCHERS, name]
    scene.cluster.put(CONFIG_MAPS, {**found, "data": {cluster_plan.FILE: "{}"}})
    scene.cluster.put(CONFIG_MAPS, {**scene.cluster.objects["configmaps", DISPATCHERS, name], "data": found["data"]})
    await scene.reconcile(KEY)
    once = scene.writes()
    await scene.reconcile(KEY)

    assert len(once) == 2
    assert scene.writes() == once


@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
async def test_what_somebody_made_immutable_is_made_anew_when_it_has_to_change(plural: str) -> None:
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    first = await scene.made(route("orders", MAIL))
    scene.cluster.objects[plural, DISPATCHERS, cluster_plan.name_of(first.uid)]["immutable"] = True
    secret(scene.cluster, "mail", token="c2Vjb25k")
    await scene.made(route("orders", {**MAIL, "url": "https://other.example.com/"}))
    kept = scene.cluster.objects["secrets", DISPATCHERS, cluster_plan.name_of(first.uid)]

    assert scene.plan().targets[0].url == "https://other.example.com/"
    assert base64.b64decode(kept["data"]["mail.bearer"]) == b"second"


async def test_what_is_refused_for_another_reason_stays_and_is_not_made_anew() -> None:
    scene = Scene()
    plan = await scene.made(route())
    scene.cluster.fail = lambda call: Refused("is invalid") if call.startswith("PATCH") else None
    scene.put(route("orders", {**CRM, "url": "https://other.example.com/"}))
    with pytest.raises(Refused, match="is invalid"):
        await scene.reconcile(KEY)
    scene.put(route("other", CRM))
    with pytest.raises(Refused, match="is invalid"):
        await scene.reconcile("shop/other")

    assert scene.plan() == plan
    assert not [call for call in scene.writes() if call.startswith("DELETE")]


async def test_a_plan_that_is_marked_with_another_route_is_not_taken_away_with_that_ones() -> None:
    scene = Scene()
    plan = await scene.made(route("orders"))
    (written,) = scene.inventory.of(KEY)
    scene.inventory.note(msgspec.structs.replace(written, route="shop/other"))  # as a start would read it
    await scene.made(route("other", listen={"path": "/shop/other"}))

    assert ("configmaps", DISPATCHERS, cluster_plan.name_of(plan.uid)) in scene.cluster.objects
    assert scene.woken == [KEY]
