"""The chart as text: what it renders is valid, least privileged and what its values say."""

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from fanout_crds.report import AUDIENCE
from fanout_crds.schema import crd
from fanout_dispatcher.cli.run import run
from fanout_operator.dispatchers import PORT
from fanout_operator.main import main as operator
from tests.chart.render import CHART, NAMESPACE, Document, one, pods, rendered
from tests.harness.helm import HelmError, helm

MATRIX = (
    (),
    ("watchNamespaces={shop,pay}", "crds.install=false"),
    ("dispatcher.replicas=3", "dispatcher.service.type=LoadBalancer", "dispatcher.service.port=8080"),
    ("operator.serviceAccount.name=mine", "dispatcher.serviceAccount.name=mine-too"),
    ("admin.existingSecret=token", "report.existingSecret=tls", "imagePullSecrets[0].name=pull"),
    ("dispatcher.allowCidrs={10.0.0.0/8}", "dispatcher.persistence.storageClassName=fast", "allowAnyPath=true"),
    ("commonLabels.team=events", "operator.podLabels.a=b", "dispatcher.podAnnotations.c=d", "image.tag=1.2.3"),
    ("operator.nodeSelector.disk=ssd", "dispatcher.tolerations[0].operator=Exists", "operator.priorityClassName=high"),
)


@pytest.mark.parametrize("settings", MATRIX, ids=lambda one: ",".join(one) or "defaults")
def test_what_is_rendered_is_valid_kubernetes(settings: tuple[str, ...]) -> None:
    documents = rendered(*settings)

    for document in documents:
        if document["kind"] != "CustomResourceDefinition":  # the API server judges that one
            kubernetes_validate.validate(document, "1.35", strict=True)
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in documents]
    assert len(set(names)) == len(names)


def test_it_passes_lint_with_warnings_as_errors() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_an_unknown_value_is_refused_by_name() -> None:
    with pytest.raises(HelmError, match="replica"):
        rendered("dispatcher.replica=2")


@pytest.mark.parametrize(
    "wrong",
    ["dispatcher.replicas=-1", "dispatcher.allowCidrs={everywhere}", "operator.logLevel=loud", "publicUrl=ftp://x"],
)
def test_a_value_that_cannot_work_is_refused(wrong: str) -> None:
    with pytest.raises(HelmError, match=r"(?i)schema|does not"):
        rendered(wrong)


def test_the_definition_is_the_generated_one_and_stays_when_the_release_goes() -> None:
    definition = one(rendered(), "CustomResourceDefinition", "fanoutroutes.fanout.dev")
    kept = definition["metadata"].pop("annotations")

    assert kept == {"helm.sh/resource-policy": "keep"}
    assert definition == crd()


def test_the_definition_can_be_left_to_others() -> None:
    assert "CustomResourceDefinition" not in {each["kind"] for each in rendered("crds.install=false")}


@pytest.mark.parametrize("settings", MATRIX, ids=lambda one: ",".join(one) or "defaults")
def test_every_pod_passes_pod_security_restricted(settings: tuple[str, ...]) -> None:
    for template in pods(rendered(*settings)).values():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def rules(documents: tuple[Document, ...]) -> list[tuple[str, str, str, str]]:
    """Every right that the chart gives: role, group, resource (narrowed to a name), verb."""
    return sorted(
        (each["metadata"]["name"], group, "/".join([resource, *rule.get("resourceNames", [])]), verb)
        for each in documents
        if each["kind"] in {"Role", "ClusterRole"}
        for rule in each["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def test_the_rights_are_exactly_these() -> None:
    given: dict[str, set[str]] = {}
    for role, group, resource, verb in rules(rendered()):
        given.setdefault(f"{role}: {group}/{resource}", set()).add(verb)

    look = {"get", "list", "watch"}
    assert given == {
        "fanout-operator-events: fanout.dev/fanoutroutes": look,
        "fanout-operator-events: fanout.dev/fanoutroutes/status": {"patch"},
        "fanout-operator-events: /services": look,
        "fanout-operator-events: /secrets": look,
        "fanout-operator-events: /events": {"create", "patch"},
        "fanout-operator-events: discovery.k8s.io/endpointslices": {"list", "watch"},
        "fanout-operator-events: gateway.networking.k8s.io/referencegrants": {"list", "watch"},
        "fanout-operator-events: apiextensions.k8s.io/customresourcedefinitions/fanoutroutes.fanout.dev": look,
        "fanout-operator: /configmaps": look | {"create", "patch", "delete"},
        "fanout-operator: /secrets": look | {"create", "patch", "delete"},
        "fanout-operator: /events": {"create", "patch"},
        "fanout-operator: discovery.k8s.io/endpointslices": look,
        "fanout-operator: coordination.k8s.io/leases": {"create"},
        "fanout-operator: coordination.k8s.io/leases/fanout-operator": {"get", "update"},
        "fanout-dispatcher: /configmaps": look,
        "fanout-dispatcher: /secrets": look,
        "fanout-dispatcher-events: authentication.k8s.io/tokenreviews": {"create"},
    }


def test_two_operators_stand_for_the_lease_that_they_may_write_each_by_the_name_of_its_pod() -> None:
    deployment = one(rendered(release="mine"), "Deployment", "mine-fanout-operator")["spec"]
    container = deployment["template"]["spec"]["containers"][0]
    named = {role: resource for role, _, resource, verb in rules(rendered(release="mine")) if verb == "update"}

    assert deployment["replicas"] == 2
    assert {"--leader-elect", "--leader-elect-resource-name=mine-fanout-operator"} <= set(container["args"])
    assert container["env"] == [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    assert named == {"mine-fanout-operator": "leases/mine-fanout-operator"}


def test_watching_some_namespaces_needs_roles_there_and_nothing_cluster_wide_but_the_definition() -> None:
    documents = rendered("watchNamespaces={shop,pay}")
    cluster_wide = one(documents, "ClusterRole", "fanout-operator-events")["rules"]
    there = [
        each for each in documents if each["kind"] == "Role" and each["metadata"]["name"] == "fanout-operator-routes"
    ]
    flags = pods(documents)["fanout-operator"]["spec"]["containers"][0]["args"]

    assert [rule["resources"] for rule in cluster_wide] == [["customresourcedefinitions"]]
    assert [each["metadata"]["namespace"] for each in there] == ["shop", "pay"]
    assert {"--watch-namespace=shop", "--watch-namespace=pay"} <= set(flags)


def test_both_processes_understand_every_flag_they_are_given() -> None:
    """Rendered flags against the real command lines, so that neither can change alone."""
    templates = pods(rendered(*MATRIX[5]))
    for command, workload in ((operator, "fanout-operator"), (run, "fanout-dispatcher")):
        known = {name for parameter in command.params for name in parameter.opts}
        flags = {flag.partition("=")[0] for flag in templates[workload]["spec"]["containers"][0]["args"]}
        assert flags <= known


def test_the_operator_finds_the_dispatchers_by_the_services_that_the_chart_makes() -> None:
    documents = rendered(release="mine")
    flags = pods(documents)["mine-fanout-operator"]["spec"]["containers"][0]["args"]
    report = one(documents, "Service", "mine-fanout-report")
    dispatcher = one(documents, "StatefulSet", "mine-fanout-dispatcher")

    assert "--report-service=mine-fanout-report" in flags
    assert f"--public-url=http://mine-fanout.{NAMESPACE}.svc" in flags
    assert [port["name"] for port in report["spec"]["ports"]] == [PORT]
    assert report["spec"]["clusterIP"] == "None"
    assert report["spec"]["selector"].items() <= dispatcher["spec"]["template"]["metadata"]["labels"].items()
    assert dispatcher["spec"]["serviceName"] == "mine-fanout-report"


def test_the_operators_token_for_the_report_is_of_the_reports_audience() -> None:
    (volume,) = [each for each in pods(rendered())["fanout-operator"]["spec"]["volumes"] if each["name"] == "report"]
    tokens = [each["serviceAccountToken"] for each in volume["projected"]["sources"] if "serviceAccountToken" in each]

    assert [each["audience"] for each in tokens] == [AUDIENCE]


def test_a_volume_with_accepted_events_is_never_deleted_by_the_release() -> None:
    dispatcher = one(rendered(), "StatefulSet", "fanout-dispatcher")

    assert dispatcher["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain",
        "whenScaled": "Retain",
    }


def test_secrets_of_ones_own_take_the_place_of_the_generated_ones() -> None:
    documents = rendered("admin.existingSecret=token", "report.existingSecret=tls")
    volumes = pods(documents)["fanout-dispatcher"]["spec"]["volumes"]

    assert "Secret" not in {each["kind"] for each in documents}
    assert [volume["secret"]["secretName"] for volume in volumes if "secret" in volume] == ["token", "tls"]


def test_every_value_is_told_by_the_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())

    assert set(values) == set(schema["properties"]) - {"global"}
    for part in ("image", "operator", "dispatcher"):
        assert set(values[part]) == set(schema["properties"][part]["properties"])


@pytest.mark.parametrize(("release", "secret"), [("fanout", "fanout-admin-token"), ("mine", "mine-fanout-admin-token")])
def test_the_notes_say_how_to_reach_the_admin_port_in_lines_that_work(release: str, secret: str) -> None:
    documents = rendered(release=release)

    notes = helm("install", release, str(CHART), f"--namespace={NAMESPACE}", "--dry-run=client").partition("NOTES:")[2]

    service = secret.removesuffix("-token")
    assert f"port-forward service/{one(documents, 'Service', service)['metadata']['name']} 8081" in notes
    assert "token" in one(documents, "Secret", secret)["data"]
    assert f"get secret {secret} -o jsonpath='{{.data.token}}' | base64 -d" in notes
    assert "export FANOUT_ADMIN=http://127.0.0.1:8081" in notes
