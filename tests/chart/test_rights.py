"""What the chart's roles give, as text. What the API server makes of them: tests/controlplane/test_chart_rights.py."""

from tests.chart.render import Document, flags, kinds, one, rendered

LOOK = {"get", "list", "watch"}


def rights(documents: tuple[Document, ...]) -> dict[str, set[str]]:
    """Every right that the chart's accounts get: verbs by role, group and resource (narrowed to a name)."""
    given: dict[str, set[str]] = {}
    for each in documents:
        if each["kind"] not in {"Role", "ClusterRole"} or each["metadata"]["name"] in {
            "fanout-viewer",
            "fanout-editor",
        }:
            continue
        for rule in each["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    what = "/".join([resource, *rule.get("resourceNames", [])])
                    given.setdefault(f"{each['metadata']['name']}: {group}/{what}", set()).update(rule["verbs"])
    return given


def test_the_rights_are_exactly_these() -> None:
    assert rights(rendered()) == {
        "fanout-operator-events: fanout.dev/fanoutroutes": LOOK,
        "fanout-operator-events: fanout.dev/fanoutroutes/status": {"patch"},
        "fanout-operator-events: /services": LOOK,
        "fanout-operator-events: /secrets": LOOK,
        "fanout-operator-events: discovery.k8s.io/endpointslices": {"list", "watch"},
        "fanout-operator-events: gateway.networking.k8s.io/referencegrants": {"list", "watch"},
        "fanout-operator-events: /events": {"create", "patch"},
        "fanout-operator-events: apiextensions.k8s.io/customresourcedefinitions/fanoutroutes.fanout.dev": LOOK,
        "fanout-operator: /configmaps": LOOK | {"create", "patch", "delete"},
        "fanout-operator: /secrets": LOOK | {"create", "patch", "delete"},
        "fanout-operator: /events": {"create", "patch"},
        "fanout-operator: discovery.k8s.io/endpointslices": LOOK,
        "fanout-operator: coordination.k8s.io/leases": {"create"},
        "fanout-operator: coordination.k8s.io/leases/fanout-operator": {"get", "update"},
        "fanout-dispatcher: /configmaps": LOOK,
        "fanout-dispatcher: /secrets": LOOK,
        "fanout-dispatcher-events: authentication.k8s.io/tokenreviews": {"create"},
    }


def test_watching_some_namespaces_leaves_cluster_wide_only_what_is_in_no_namespace() -> None:
    """The definition of routes and TokenReviews are cluster-scoped: no Role can give a right to them."""
    documents = rendered(values="few-namespaces")
    cluster_wide = [each for each in documents if each["kind"] == "ClusterRole"]
    there = [
        each for each in documents if each["kind"] == "Role" and each["metadata"]["name"] == "fanout-operator-routes"
    ]

    assert {resource for each in cluster_wide for rule in each["rules"] for resource in rule["resources"]} == {
        "customresourcedefinitions",
        "tokenreviews",
    }
    assert [each["metadata"]["namespace"] for each in there] == ["shop", "pay"]
    assert {"--watch-namespace=shop", "--watch-namespace=pay"} <= set(flags(documents, "fanout-operator"))


def test_no_right_is_given_by_a_wildcard() -> None:
    for each in rendered():
        for rule in each.get("rules", ()):
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}


def test_the_roles_for_people_can_be_left_to_another_installation() -> None:
    people = {"fanout-viewer", "fanout-editor"}

    assert people <= {each["metadata"]["name"] for each in rendered() if each["kind"] == "ClusterRole"}
    assert not people & {each["metadata"]["name"] for each in rendered(values="few-namespaces")}


def test_paths_are_judged_by_the_api_server_unless_the_installer_says_otherwise() -> None:
    policies = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    bound = one(rendered(values="few-namespaces"), "ValidatingAdmissionPolicyBinding", "fanout-paths-events")

    assert policies <= kinds(rendered())
    assert not policies & kinds(rendered(values="own"))
    assert bound["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"] == [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop", "pay"]}
    ]
