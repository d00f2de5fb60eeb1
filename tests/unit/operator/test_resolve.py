"""From Services and Secrets to URLs and values, or to the reason why not."""

from typing import Any

import pytest

from fanout_crds.references import Outside, SecretKey, ServiceKey, Unresolved
from fanout_operator import resolve
from fanout_operator.endpoints import Heard
from fanout_operator.resolve import Rights

SHOP, OTHER = Rights("shop"), Rights("other")
KEY = ServiceKey("shop", "payment", "http")
TOKEN = SecretKey("shop", "mail", "token")


def service(*ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "payment", "namespace": "shop"}, "spec": {"ports": list(ports), **spec}}


@pytest.mark.parametrize(
    ("port", "wanted", "url"),
    [
        ({"port": 8080}, "8080", "http://payment.shop.svc:8080"),
        ({"port": 80, "name": "http"}, "http", "http://payment.shop.svc:80"),
        ({"port": 80, "targetPort": 8080}, "80", "http://payment.shop.svc:80"),
        ({"port": 443, "name": "https"}, "443", "https://payment.shop.svc:443"),
        ({"port": 443, "name": "https-api"}, "https-api", "https://payment.shop.svc:443"),
        ({"port": 443, "name": "web", "appProtocol": "https"}, "web", "https://payment.shop.svc:443"),
        ({"port": 443, "name": "https", "appProtocol": "http"}, "https", "http://payment.shop.svc:443"),
    ],
)
def test_a_port_becomes_a_url(port: dict[str, Any], wanted: str, url: str) -> None:
    assert resolve.service(ServiceKey("shop", "payment", wanted), SHOP, service(port)) == url


def test_a_headless_service_is_asked_where_its_pods_listen() -> None:
    headless = service({"port": 80, "name": "http", "targetPort": 8080}, clusterIP="None")

    assert resolve.service(KEY, SHOP, headless) == "http://payment.shop.svc:8080"


def test_a_headless_service_whose_target_port_has_a_name_is_asked_where_its_endpoints_listen() -> None:
    headless = service({"port": 80, "name": "http", "targetPort": "web"}, clusterIP="None")
    clash = resolve.service(KEY, SHOP, headless, Heard(8080, "metrics"))

    assert resolve.service(KEY, SHOP, headless, Heard(8080)) == "http://payment.shop.svc:8080"
    assert isinstance(clash, Unresolved)
    assert clash.reason == "ServiceUnusable"
    assert "8080 is the port metrics of some of its endpoints; give it a numeric targetPort" in clash.message


@pytest.mark.parametrize(
    ("ports", "wanted", "url"),
    [
        ([], "8080", "http://pay.example.com:8080"),
        ([{"port": 80, "name": "http"}], "http", "http://pay.example.com:80"),
        ([{"port": 443, "name": "https", "targetPort": 8443}], "443", "https://pay.example.com:443"),
    ],
)
def test_an_external_name_is_asked_by_its_own_name_as_what_lies_outside(
    ports: list[dict[str, Any]], wanted: str, url: str
) -> None:
    found = service(*ports, type="ExternalName", externalName="pay.example.com.")

    assert resolve.service(ServiceKey("shop", "payment", wanted), SHOP, found) == Outside(url)


def test_an_external_name_that_says_its_ports_has_no_others() -> None:
    found = service({"port": 443, "name": "https"}, type="ExternalName", externalName="pay.example.com")
    said = resolve.service(ServiceKey("shop", "payment", "80"), SHOP, found)

    assert isinstance(said, Unresolved)
    assert said.reason == "PortNotFound"


@pytest.mark.parametrize(
    ("found", "reason", "words"),
    [
        (None, "ServiceNotFound", "there is no Service shop/payment"),
        (service({"port": 80, "name": "web"}), "PortNotFound", "no TCP port http; it has web (80)"),
        (service(), "PortNotFound", "it has no ports"),
        (service({"port": 53, "name": "http", "protocol": "UDP"}), "PortNotFound", "no TCP port http"),
        (service(type="ExternalName", externalName="pay.example.com"), "PortNotFound", "it has no ports"),
        (
            service({"port": 80, "name": "http", "targetPort": "web"}, clusterIP="None"),
            "ServiceUnusable",
            "its targetPort is a name (web), but no endpoint has told yet which number that is",
        ),
    ],
)
def test_what_does_not_resolve_says_why(found: dict[str, Any] | None, reason: str, words: str) -> None:
    said = resolve.service(KEY, SHOP, found)

    assert isinstance(said, Unresolved)
    assert said.reason == reason
    assert words in said.message


@pytest.mark.parametrize("found", [None, service({"port": 80, "name": "http"})])
def test_of_another_namespace_nothing_is_told_not_even_whether_it_exists(found: dict[str, Any] | None) -> None:
    said = resolve.service(KEY, OTHER, found)

    assert said == resolve.service(KEY, OTHER, None)
    assert isinstance(said, Unresolved)
    assert said.reason == "RefNotPermitted"


def test_a_secrets_value_is_decoded() -> None:
    assert resolve.secret(TOKEN, SHOP, {"metadata": {}, "data": {"token": "czNjcjN0"}}) == b"s3cr3t"


@pytest.mark.parametrize(
    ("found", "owner", "reason", "words"),
    [
        (None, "shop", "SecretNotFound", "there is no Secret"),
        ({"metadata": {}}, "shop", "SecretKeyNotFound", 'has no key "token" (it has: none)'),
        ({"metadata": {}, "data": {"b": "eA==", "a": "eA=="}}, "shop", "SecretKeyNotFound", "(it has: a, b)"),
        ({"metadata": {}, "data": {"token": ""}}, "shop", "SecretKeyNotFound", 'has nothing under its key "token"'),
        ({"metadata": {}, "data": {"token": "eA=="}}, "other", "RefNotPermitted", "no ReferenceGrant"),
    ],
)
def test_a_secret_that_cannot_be_used_says_why_and_never_its_value(
    found: dict[str, Any] | None, owner: str, reason: str, words: str
) -> None:
    said = resolve.secret(TOKEN, Rights(owner), found)

    assert isinstance(said, Unresolved)
    assert said.reason == reason
    assert words in said.message
