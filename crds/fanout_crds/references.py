"""What a route needs from its surroundings: Services and keys of Secrets, by name, and what became of looking them up.

Whoever compiles gathers these first (the operator from the cluster, the dispatcher from files and --resolve) and hands
the answers in as `Refs`; so compiling itself reads nothing.
"""

import json
import re
import typing
from collections.abc import Mapping

import msgspec

from fanout_crds.endpoint import Service
from fanout_crds.route import Asked, FanoutRoute
from fanout_crds.secret import CERTIFICATE, PRIVATE_KEY, SecretRef
from fanout_crds.sources import Database, PostgresOutbox

Reason = typing.Literal[
    "ServiceNotFound",
    "ServiceUnusable",
    "PortNotFound",
    "SecretNotFound",
    "SecretKeyNotFound",
    "SecretUnusable",
    "RefNotPermitted",
]

LISTED: typing.Final = 8  # names of a Secret's keys that a sentence tells


class ServiceKey(typing.NamedTuple):
    """A port of a Service; *port* is its number or its name, as text."""

    namespace: str
    name: str
    port: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}:{self.port}"

    @classmethod
    def of(cls, text: str) -> "ServiceKey":
        """Read ``namespace/name:port``; raises ValueError with a sentence."""
        found = re.fullmatch(r"([a-z0-9-]+)/([a-z0-9-]+):([a-z0-9-]+)", text)
        if found is None:
            raise ValueError(f'expected a Service such as "shop/payment:http" or "shop/payment:8080", got "{text}"')
        return cls(*found.groups())


class SecretKey(typing.NamedTuple):
    """A key of a Secret."""

    namespace: str
    name: str
    key: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}[{self.key}]"


class Unresolved(msgspec.Struct, frozen=True):
    """Why a reference gives nothing: the reason for programs, the sentence for people."""

    reason: Reason
    message: str


class Outside(msgspec.Struct, frozen=True):
    """Where a Service leads that is but a name for something outside the cluster: asked as a url is, and as guarded."""

    url: str


class Refs(msgspec.Struct, frozen=True, kw_only=True):
    """The answers: a base URL per Service port, bytes per key of a Secret. One that is missing is unresolved."""

    services: Mapping[ServiceKey, str | Outside | Unresolved] = msgspec.field(default_factory=dict)
    secrets: Mapping[SecretKey, bytes | Unresolved] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Refs({len(self.services)} services, {len(self.secrets)} secrets)"  # never a value

    def service(self, key: ServiceKey) -> str | Outside | Unresolved:
        """Give the base URL of a Service's port."""
        return self.services.get(key, Unresolved("ServiceNotFound", f"Service {key} is not known"))

    def secret(self, key: SecretKey) -> bytes | Unresolved:
        """Give the value of a Secret's key."""
        return self.secrets.get(key, Unresolved("SecretNotFound", f"Secret {key.namespace}/{key.name} is not known"))


def value(key: SecretKey, data: Mapping[str, bytes]) -> bytes | Unresolved:
    """Give the value of a key of a Secret that has *data*; the sentence tells names of keys and never a value.

    An empty value counts as missing: no credential is empty.
    """
    if found := data.get(key.key):
        return found
    secret = f"Secret {key.namespace}/{key.name}"
    if key.key in data:
        return Unresolved("SecretKeyNotFound", f"{secret} has nothing under its key {json.dumps(key.key)}")
    has = sorted(data)
    listed = ", ".join(has[:LISTED]) + (f" and {len(has) - LISTED} more" if len(has) > LISTED else "")
    words = f"{secret} has no key {json.dumps(key.key)} (it has: {listed or 'none'})"
    return Unresolved("SecretKeyNotFound", words)


class References(msgspec.Struct, frozen=True, kw_only=True):
    """What a route asks for."""

    services: frozenset[ServiceKey]
    secrets: frozenset[SecretKey]


def references(route: FanoutRoute) -> References:
    """Name everything that *route* refers to."""
    home, targets, outbox = route.metadata.namespace, route.spec.everybody(), outbox_of(route)
    secrets = [secret for target in targets for secret in (bearer_key(target, home), ca_key(target, home))]
    secrets += [secret for target in targets for secret in certificate_keys(target, home) or ()]
    services = [target.service for target in targets]
    if outbox:
        secrets += outbox_keys(outbox, home)
    return References(
        services=frozenset(service_key(service, home) for service in (*services, outbox and outbox.service) if service),
        secrets=frozenset(secret for secret in secrets if secret),
    )


def found(
    route: FanoutRoute,
    services: Mapping[ServiceKey, str],
    secrets: Mapping[tuple[str, str], Mapping[str, bytes]],
) -> Refs:
    """Answer what *route* asks for from what was given: *services*, and whole Secrets by (namespace, name)."""
    needed = references(route).secrets
    return Refs(
        services=services,
        secrets={key: value(key, secrets[key[:2]]) for key in needed if key[:2] in secrets},
    )


def outbox_of(route: FanoutRoute) -> PostgresOutbox | None:
    """Give the outbox table that *route* fetches events from, if it does."""
    return route.spec.sources.postgres_outbox if route.spec.sources else None


def outbox_keys(outbox: PostgresOutbox, home: str) -> tuple[SecretKey, SecretKey | None]:
    """Name where the outbox's URL is, and the authorities that its server is verified by, if it has its own."""
    return _key(outbox.url_secret, home), _key(outbox.ca_secret, home) if outbox.ca_secret else None


def service_key(service: Service | Database, home: str) -> ServiceKey:
    """Name a Service's port as seen from namespace *home*."""
    return ServiceKey(service.namespace or home, service.name, service.port)


def bearer_key(target: Asked, home: str) -> SecretKey | None:
    """Name where the target's token is, if it has one."""
    bearer = target.authentication and target.authentication.bearer
    return _key(bearer.secret_ref, home) if bearer else None


def certificate_keys(target: Asked, home: str) -> tuple[SecretKey, SecretKey] | None:
    """Name where the certificate that it is shown is, and its key, if it is shown one."""
    shown = target.authentication and target.authentication.client_certificate
    if not shown:
        return None
    namespace, name = shown.secret_ref.namespace or home, shown.secret_ref.name
    return SecretKey(namespace, name, CERTIFICATE), SecretKey(namespace, name, PRIVATE_KEY)


def ca_key(target: Asked, home: str) -> SecretKey | None:
    """Name where the authorities it is verified by are, if it has its own."""
    return _key(target.tls.ca_secret, home) if target.tls else None


def _key(ref: SecretRef, home: str) -> SecretKey:
    return SecretKey(ref.namespace or home, ref.name, ref.key)
