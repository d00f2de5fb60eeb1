"""From a Service or Secret as it is to what a plan needs of it: a base URL, a value, or the reason why there is none.

Pure. The checks of each kind stand in order; the first that objects says why, and its words are what the route's status
shows. A reference into another namespace is refused before anybody looks: without a grant of that namespace nobody may
learn through a route what is there.
"""

import typing
from collections.abc import Callable, Mapping

import msgspec

from fanout_crds.references import Outside, References, SecretKey, ServiceKey, Unresolved, value
from fanout_operator.endpoints import UNKNOWN, Heard
from fanout_operator.grants import ANY, Permission
from fanout_operator.kube import SECRETS, SERVICES, Document, Kind, Reading
from fanout_operator.plans import decoded
from fanout_operator.reasons import unresolved

SERVICE_DOMAIN: typing.Final = "svc"


class Rights(msgspec.Struct, frozen=True):
    """In which namespace a route is, and what others permit to it."""

    owner: str
    given: frozenset[Permission] = frozenset()


Listening = Mapping[ServiceKey, Heard]  # as far as that has to be known

ServiceCheck = Callable[[ServiceKey, Rights, Document | None, Heard], Unresolved | None]
SecretCheck = Callable[[SecretKey, Rights, Document | None], Unresolved | None]


def permitted(kind: Kind, namespace: str, name: str, rights: Rights) -> bool:
    """Whether a route may refer to an object: to those of its namespace, and to those that a grant of theirs names."""
    return namespace == rights.owner or not rights.given.isdisjoint(_asked(kind, namespace, name, rights.owner))


def asked(needs: References, owner: str) -> frozenset[Permission]:
    """Name every permission that would let a route of `owner` have what it needs of other namespaces."""
    everything = [(SERVICES, one) for one in needs.services] + [(SECRETS, one) for one in needs.secrets]
    return frozenset(
        permission
        for kind, key in everything
        if key.namespace != owner
        for permission in _asked(kind, key.namespace, key.name, owner)
    )


def _asked(kind: Kind, namespace: str, name: str, owner: str) -> tuple[Permission, Permission]:
    return Permission(namespace, owner, kind.name, name), Permission(namespace, owner, kind.name, ANY)


def _not_permitted(kind: Kind, key: ServiceKey | SecretKey, rights: Rights) -> Unresolved | None:
    if permitted(kind, key.namespace, key.name, rights):
        return None
    return unresolved("RefNotPermitted", kind=kind.name, namespace=key.namespace, name=key.name, owner=rights.owner)


# --- Services ---------------------------------------------------------------------------------------------------------


def _service_not_permitted(
    key: ServiceKey, rights: Rights, service: Document | None, heard: Heard
) -> Unresolved | None:
    return _not_permitted(SERVICES, key, rights)


def _service_not_found(key: ServiceKey, rights: Rights, service: Document | None, heard: Heard) -> Unresolved | None:
    return None if service else unresolved("ServiceNotFound", name=f"{key.namespace}/{key.name}")


def _port_not_found(key: ServiceKey, rights: Rights, service: Document | None, heard: Heard) -> Unresolved | None:
    if service is None or _port(service, key.port) or _any_port(service, key.port):
        return None
    has = ", ".join(_said(port) for port in _ports(service)) or "no ports"
    return unresolved("PortNotFound", name=f"{key.namespace}/{key.name}", port=key.port, has=has)


def _headless_by_name(key: ServiceKey, rights: Rights, service: Document | None, heard: Heard) -> Unresolved | None:
    """Its name in DNS leads to all of its pods, so nothing else may be at the number that is asked."""
    port = by_name(key, service)
    if port is None or (heard.number and not heard.clash):
        return None
    clash = f"{heard.number} is the port {heard.clash} of some of its endpoints"
    said = clash if heard.number else "no endpoint has told yet which number that is"
    why = f"is headless and its targetPort is a name ({port['targetPort']}), but {said}; give it a numeric targetPort"
    return unresolved("ServiceUnusable", name=f"{key.namespace}/{key.name}", why=why)


SERVICE_CHECKS: typing.Final[tuple[ServiceCheck, ...]] = (
    _service_not_permitted,  # first: nothing about another namespace is told
    _service_not_found,
    _port_not_found,
    _headless_by_name,
)


def service(
    key: ServiceKey, rights: Rights, found: Document | None, heard: Heard = UNKNOWN
) -> str | Outside | Unresolved:
    """The base URL of a Service's port, as the cluster's DNS knows it, or outside of the cluster.

    `heard` is asked where `by_name` has found something only.
    """
    for check in SERVICE_CHECKS:
        objection = check(key, rights, found, heard)
        if objection:
            return objection
    external = _external_name(found or {})
    if external:
        port = _port(found or {}, key.port) or {"port": key.port}
        return Outside(f"{_scheme(port)}://{external}:{port['port']}")
    port = _port(found or {}, key.port) or {}
    number = heard.number if by_name(key, found) else _number(found or {}, port)
    return f"{_scheme(port)}://{key.name}.{key.namespace}.{SERVICE_DOMAIN}:{number}"


def by_name(key: ServiceKey, found: Reading | None) -> Reading | None:
    """The port of a headless Service whose target port is a name: which number that is only its endpoints say."""
    port = _port(found, key.port) if found and _headless(found) else None
    return port if port and isinstance(port.get("targetPort"), str) else None


def _ports(service: Reading) -> tuple[Reading, ...]:
    return tuple(service["spec"].get("ports") or ())


def _port(service: Reading, wanted: str) -> Reading | None:
    """Find a port by its number or its name; only TCP can carry HTTP."""
    for port in _ports(service):
        if wanted in (str(port["port"]), port.get("name")) and port.get("protocol", "TCP") == "TCP":
            return port
    return None


def _external_name(service: Reading) -> str | None:
    """Where a Service of type ExternalName leads. Its name is what certificates and the Host header are about."""
    spec = service["spec"]
    return str(spec["externalName"]).rstrip(".") if spec.get("type") == "ExternalName" else None


def _any_port(service: Reading, wanted: str) -> bool:
    """A Service of type ExternalName need not say its ports; then any number is one."""
    return bool(_external_name(service) and not _ports(service) and wanted.isdecimal())


def _said(port: Reading) -> str:
    return f"{port['name']} ({port['port']})" if port.get("name") else str(port["port"])


def _headless(service: Reading) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def _number(service: Reading, port: Reading) -> int:
    """A headless Service's name resolves to pods, where the target port is the one that listens."""
    number = port.get("targetPort", port["port"]) if _headless(service) else port["port"]
    return int(number)


def _scheme(port: Reading) -> str:
    """As service meshes and ingresses read it: appProtocol says, else the port's name."""
    says: str = port.get("appProtocol") or port.get("name") or ""
    return "https" if says.lower() == "https" or says.startswith("https-") else "http"


# --- Secrets ----------------------------------------------------------------------------------------------------------


def _secret_not_permitted(key: SecretKey, rights: Rights, secret: Document | None) -> Unresolved | None:
    return _not_permitted(SECRETS, key, rights)


def _secret_not_found(key: SecretKey, rights: Rights, secret: Document | None) -> Unresolved | None:
    return None if secret else unresolved("SecretNotFound", name=f"{key.namespace}/{key.name}")


def _secret_key_not_found(key: SecretKey, rights: Rights, secret: Document | None) -> Unresolved | None:
    found = value(key, decoded(secret)) if secret else b""
    return unresolved("SecretKeyNotFound", why=found.message) if isinstance(found, Unresolved) else None


SECRET_CHECKS: typing.Final[tuple[SecretCheck, ...]] = (
    _secret_not_permitted,  # first: nothing about another namespace is told
    _secret_not_found,
    _secret_key_not_found,
)


def secret(key: SecretKey, rights: Rights, found: Document | None) -> bytes | Unresolved:
    """The value of one key of a Secret."""
    for check in SECRET_CHECKS:
        objection = check(key, rights, found)
        if objection:
            return objection
    return decoded(found or {})[key.key]


def all_services(
    keys: frozenset[ServiceKey], rights: Rights, found: Mapping[str, Document], listening: Listening
) -> dict[ServiceKey, str | Outside | Unresolved]:
    """Resolve every Service; `found` is by ``namespace/name``."""
    return {
        key: service(key, rights, found.get(f"{key.namespace}/{key.name}"), listening.get(key, UNKNOWN)) for key in keys
    }


def all_secrets(
    keys: frozenset[SecretKey], rights: Rights, found: Mapping[str, Document]
) -> dict[SecretKey, bytes | Unresolved]:
    """Resolve every Secret; `found` is by ``namespace/name``."""
    return {key: secret(key, rights, found.get(f"{key.namespace}/{key.name}")) for key in keys}
