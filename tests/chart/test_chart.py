"""The chart's parts fit each other: what one object names, another has."""

import re

import pytest
import yaml

from fanout_crds.report import AUDIENCE
from fanout_crds.schema import NAME, crd
from fanout_dispatcher.telemetry import exposition
from fanout_operator.dispatchers import PORT
from scripts.chart import README
from tests.chart.promtool import evaluate
from tests.chart.render import CHART, MATRIX, NAMESPACE, flags, kinds, one, rendered, workloads
from tests.harness.helm import helm


def test_the_definition_is_the_generated_one_and_stays_when_the_release_goes() -> None:
    definition = one(rendered(), "CustomResourceDefinition", "fanoutroutes.fanout.dev")
    kept = {"annotations": {"helm.sh/resource-policy": "keep"}}

    assert definition == {**crd(), "metadata": {"name": NAME, **kept}}


def test_the_definition_can_be_left_to_others() -> None:
    assert "CustomResourceDefinition" not in kinds(rendered(values="few-namespaces"))


def test_two_operators_stand_for_the_lease_that_they_may_write_each_by_the_name_of_its_pod() -> None:
    documents = rendered(release="mine")
    deployment = one(documents, "Deployment", "mine-fanout-operator")["spec"]
    container = deployment["template"]["spec"]["containers"][0]
    role = one(documents, "Role", "mine-fanout-operator")
    named = [rule["resourceNames"] for rule in role["rules"] if "update" in rule["verbs"]]

    assert deployment["replicas"] == 2
    assert {"--leader-elect", "--leader-elect-resource-name=mine-fanout-operator"} <= set(container["args"])
    assert {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}} in container["env"]
    assert named == [["mine-fanout-operator"]]


def test_the_operator_finds_the_dispatchers_by_the_services_that_the_chart_makes() -> None:
    documents = rendered(release="mine")
    given = flags(documents, "mine-fanout-operator")
    report = one(documents, "Service", "mine-fanout-report")
    dispatcher = one(documents, "StatefulSet", "mine-fanout-dispatcher")

    assert "--report-service=mine-fanout-report" in given
    assert "--namespace=$(POD_NAMESPACE)" in given
    assert "--public-url=http://mine-fanout.$(POD_NAMESPACE).svc" in given
    assert [port["name"] for port in report["spec"]["ports"]] == [PORT]
    assert report["spec"]["clusterIP"] == "None"
    assert report["spec"]["selector"].items() <= dispatcher["spec"]["template"]["metadata"]["labels"].items()
    assert dispatcher["spec"]["serviceName"] == "mine-fanout-report"


def test_the_data_service_is_of_the_type_that_the_values_say_and_only_it() -> None:
    outside = one(rendered(values="everything"), "Service", "fanout")["spec"]
    node = one(rendered("dispatcher.service.type=NodePort"), "Service", "fanout")["spec"]

    assert (outside["type"], outside["ports"][0]["nodePort"]) == ("LoadBalancer", 30080)
    assert outside["externalTrafficPolicy"] == "Local"
    assert outside["loadBalancerClass"] == "example.com/nlb"
    assert outside["loadBalancerSourceRanges"] == ["203.0.113.0/24"]
    assert (node["type"], set(node)) == ("NodePort", {"type", "selector", "ports"})
    for behind in ("fanout-admin", "fanout-report"):
        assert "type" not in one(rendered(values="everything"), "Service", behind)["spec"]


def test_the_operators_token_for_the_report_is_of_the_reports_audience() -> None:
    (volume,) = [
        each for each in workloads(rendered())["fanout-operator"]["spec"]["volumes"] if each["name"] == "report"
    ]
    tokens = [each["serviceAccountToken"] for each in volume["projected"]["sources"] if "serviceAccountToken" in each]

    assert [each["audience"] for each in tokens] == [AUDIENCE]


@pytest.mark.parametrize("values", MATRIX)
def test_the_operators_account_and_no_other_may_read_the_report(values: str) -> None:
    documents = rendered(values=values)
    (operator,) = [pod for name, pod in workloads(documents).items() if name.endswith("-operator")]
    (dispatcher,) = [name for name in workloads(documents) if name.endswith("-dispatcher")]
    readers = [one for one in flags(documents, dispatcher) if one.startswith("--report-reader=")]

    assert readers == [f"--report-reader={operator['spec']['serviceAccountName']}"]


def test_a_volume_with_accepted_events_is_never_deleted_by_the_release() -> None:
    dispatcher = one(rendered(), "StatefulSet", "fanout-dispatcher")

    assert dispatcher["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain",
        "whenScaled": "Retain",
    }


def test_secrets_of_ones_own_take_the_place_of_the_generated_ones() -> None:
    documents = rendered(values="own")
    volumes = workloads(documents)["own-dispatcher"]["spec"]["volumes"]

    assert "Secret" not in kinds(documents)
    assert [volume["secret"]["secretName"] for volume in volumes if "secret" in volume] == ["token", "tls"]


@pytest.mark.parametrize(("release", "secret"), [("fanout", "fanout-admin-token"), ("mine", "mine-fanout-admin-token")])
def test_the_notes_say_how_to_reach_the_admin_port_in_lines_that_work(release: str, secret: str) -> None:
    documents = rendered(release=release)

    notes = helm("install", release, str(CHART), f"--namespace={NAMESPACE}", "--dry-run=client").partition("NOTES:")[2]

    service = secret.removesuffix("-token")
    assert f"port-forward service/{one(documents, 'Service', service)['metadata']['name']} 8081" in notes
    assert "token" in one(documents, "Secret", secret)["data"]
    assert f"get secret {secret} -o jsonpath='{{.data.token}}' | base64 -d" in notes
    assert "export FANOUT_ADMIN=http://127.0.0.1:8081" in notes


def test_the_notes_first_route_is_one_that_is_served() -> None:
    values = str(CHART / "ci" / "few-namespaces-values.yaml")
    given = ["--dry-run=client", f"--values={values}", "--set=className=central"]

    notes = helm("install", "fanout", str(CHART), f"--namespace={NAMESPACE}", *given).partition("NOTES:")[2]

    assert "metadata: {name: hello, namespace: shop}" in notes
    assert "    className: central\n" in notes
    assert "/shop/hello" in notes


def test_certificates_of_cert_manager_are_for_the_report_service_and_where_the_pods_look() -> None:
    documents = rendered(values="everything")
    wanted = one(documents, "Certificate", "fanout-report-tls")["spec"]

    assert wanted["dnsNames"] == [f"{one(documents, 'Service', 'fanout-report')['metadata']['name']}.{NAMESPACE}.svc"]
    assert wanted["secretName"] not in {each["metadata"]["name"] for each in documents if each["kind"] == "Secret"}
    for template in workloads(documents).values():
        assert f"'secretName': '{wanted['secretName']}'" in str(template) or f"'name': '{wanted['secretName']}'" in str(
            template
        )


@pytest.mark.parametrize("kind", ["NetworkPolicy", "PodMonitor", "PrometheusRule", "Ingress", "HTTPRoute", "ConfigMap"])
def test_what_is_switched_off_is_not_there(kind: str) -> None:
    assert kind in kinds(rendered(values="everything"))
    assert kind not in kinds(rendered())


@pytest.mark.parametrize("kind", ["Ingress", "HTTPRoute"])
def test_a_proxy_in_front_leads_to_the_data_service_by_the_names_and_paths_that_are_let_in(kind: str) -> None:
    documents = rendered(values="everything")
    spec = one(documents, kind, "fanout")["spec"]
    port = one(documents, "Service", "fanout")["spec"]["ports"][0]["port"]

    if kind == "Ingress":
        hosts = [rule["host"] for rule in spec["rules"]]
        paths = [path for rule in spec["rules"] for path in rule["http"]["paths"]]
        backends = [each["backend"]["service"] for each in paths]
        assert (spec["ingressClassName"], spec["tls"][0]["secretName"]) == ("nginx", "events-tls")
        assert hosts == ["events.example.com", "*.events.example.com"]
        assert [each["path"] for each in paths] == ["/shop", "/-/events"] * 2
        assert {(each["name"], each["port"]["number"]) for each in backends} == {("fanout", port)}
    else:
        (rule,) = spec["rules"]
        assert spec["parentRefs"] == [{"name": "public", "namespace": "gateways", "sectionName": "https"}]
        assert spec["hostnames"] == ["events.example.com"]
        assert [each["path"]["value"] for each in rule["matches"]] == ["/shop", "/-/events"]
        assert rule["backendRefs"] == [{"name": "fanout", "port": port}]


def test_an_ingress_of_any_name_has_one_rule_without_a_host() -> None:
    (rule,) = one(rendered("dispatcher.ingress.enabled=true"), "Ingress", "fanout")["spec"]["rules"]

    assert set(rule) == {"http"}
    assert [each["path"] for each in rule["http"]["paths"]] == ["/"]


@pytest.mark.parametrize("component", ["operator", "dispatcher"])
def test_policies_and_monitors_select_pods_and_name_ports_that_are_there(component: str) -> None:
    documents = rendered(values="everything")
    template = workloads(documents)[f"fanout-{component}"]
    ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    policy = one(documents, "NetworkPolicy", f"fanout-{component}")["spec"]
    monitor = one(documents, "PodMonitor", f"fanout-{component}")

    for selector in (policy["podSelector"], monitor["spec"]["selector"]):
        assert selector["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert {rule["ports"][0]["port"] for rule in policy["ingress"]} == ports
    assert {each["port"] for each in monitor["spec"]["podMetricsEndpoints"]} <= ports
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_without_peers_producers_reach_the_data_port_and_nobody_the_admin_port() -> None:
    documents = rendered(values="few-namespaces")
    dispatcher = one(documents, "NetworkPolicy", "fanout-dispatcher")["spec"]["ingress"]

    assert [(rule["ports"][0]["port"], "from" in rule) for rule in dispatcher] == [("data", False), ("report", True)]
    assert one(documents, "NetworkPolicy", "fanout-operator")["spec"]["ingress"] == []


def test_the_rule_for_the_autoscalers_metric_gives_the_oldest_backlog_of_a_pod() -> None:
    """README.md's rule for prometheus-adapter, evaluated as the adapter would ask, of a metric that is exported."""
    (block,) = re.findall(r"```yaml\n(rules:.*?)```", README.read_text(), re.DOTALL)
    (rule,) = yaml.safe_load(block)["rules"]["custom"]
    name, _, _ = rule["seriesQuery"].partition("{")
    asked = {"Series": name, "LabelMatchers": 'namespace="events",pod=~"fanout-dispatcher-0"', "GroupBy": "pod"}
    expression = re.sub(r"<<\.(\w+)>>", lambda found: asked[found[1]], rule["metricsQuery"])
    series = f'{name}{{namespace="events",pod="fanout-dispatcher-0",route="shop/orders",target='

    assert yaml.safe_load((CHART / "values.yaml").read_text())["dispatcher"]["autoscaling"]["metric"] == name
    assert name in {family.name for family in exposition.LANES}
    evaluate(
        {"groups": []},
        [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f'{series}"crm"}}', "values": "7x10"},
                    {"series": f'{series}"mail"}}', "values": "70x10"},
                ],
                "promql_expr_test": [
                    {
                        "expr": expression,
                        "eval_time": "5m",
                        "exp_samples": [{"labels": '{pod="fanout-dispatcher-0"}', "value": 70}],
                    }
                ],
            }
        ],
    )
