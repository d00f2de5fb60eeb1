"""Somebody who is asked because of what became of a target, and what it has in common with one: where, who we are, TLS.

Behind the targets stand those who undo one, stand in for one, or are told at the end. They carry a small policy: how
long an attempt may take, and which failures are tried again.
"""

from typing import Annotated, ClassVar

import msgspec

from fanout_crds import texts
from fanout_crds.kinds import Port
from fanout_crds.objects import Object
from fanout_crds.policy import EndpointTimeouts
from fanout_crds.request import Request
from fanout_crds.retry import Retry
from fanout_crds.rules import Rule
from fanout_crds.secret import SecretRef, TlsSecretRef


class Service(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A Kubernetes Service as a target."""

    name: Annotated[str, texts.Label, "Name of the Service."]
    namespace: Annotated[
        str | None,
        texts.Namespace,
        "Namespace of the Service. Unset: the route's own. In another one a ReferenceGrant must permit it; without one"
        " the target is held (RefNotPermitted).",
    ] = None
    port: Annotated[str, Port(), "Port of the Service, by number or by its name there."]
    path: Annotated[str | None, texts.ServicePath, "Path of the request, with a query if need be. Unset: /."] = None


class Bearer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A bearer token (RFC 6750)."""

    secret_ref: Annotated[SecretRef, Object(SecretRef), "Where the token is; a rotated one is used within seconds."]


class ClientCertificate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A certificate of ours (mutual TLS)."""

    secret_ref: Annotated[
        TlsSecretRef,
        Object(TlsSecretRef),
        "A Secret with the certificate in PEM under tls.crt, whoever issued it behind it, and its key, not encrypted,"
        " under tls.key, as those of type kubernetes.io/tls have them; a rotated one is used within seconds.",
    ]


class Authentication(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How we say who we are."""

    RULES: ClassVar = (
        Rule(
            "has(self.bearer) || has(self.clientCertificate)",
            "bearer or clientCertificate is needed, or both",
            lambda it: it.bearer is not None or it.client_certificate is not None,
        ),
    )
    bearer: Annotated[
        Bearer | None, Object(Bearer), "Send `Authorization: Bearer <token>` (RFC 6750). Unset: no token."
    ] = None
    client_certificate: Annotated[
        ClientCertificate | None,
        Object(ClientCertificate),
        "Show a certificate in the TLS handshake, where the server asks for one; a service with it is asked over"
        " https. Unset: none.",
    ] = None


class Tls(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a target proves who it is. Certificate and name are always verified."""

    ca_secret: Annotated[
        SecretRef, Object(SecretRef), "A PEM bundle of the authorities to trust, instead of the system's."
    ]


class Patience(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How patiently somebody behind the targets is told. It is not expired: only attempts that are used up end it."""

    timeouts: Annotated[
        EndpointTimeouts | None, Object(EndpointTimeouts), "How long an attempt may take. Unset: as each field says."
    ] = None
    retry: Annotated[
        Retry | None,
        Object(Retry),
        "Which failures are tried again, how often and when. Unset: as each field says, but maxAttempts: 20.",
    ] = None


def certified(said: Authentication | None) -> bool:
    """Say whether a certificate of ours is shown."""
    return said is not None and said.client_certificate is not None


WHERE = (
    Rule(
        "has(self.url) != has(self.service)",
        "exactly one of url and service is needed",
        lambda it: (it.url is None) != (it.service is None),
    ),
    Rule(
        "!has(self.tls) || !has(self.url) || self.url.startsWith('https://')",
        "tls goes with an https:// url",
        lambda it: it.tls is None or it.url is None or it.url.startswith("https://"),
        at="tls",
    ),
    Rule(
        "!has(self.authentication) || !has(self.authentication.clientCertificate) || !has(self.url)"
        " || self.url.startsWith('https://')",
        "a client certificate goes with an https:// url",
        lambda it: not certified(it.authentication) or it.url is None or it.url.startswith("https://"),
        at="authentication.clientCertificate",
    ),
)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Somebody who is asked because of what became of a target: where it is, how it is asked, and how patiently."""

    RULES: ClassVar = WHERE
    url: Annotated[str | None, texts.Url, "As a target's url. Unset: service says where it is."] = None
    service: Annotated[
        Service | None, Object(Service, brief=True), "As a target's service. Unset: url says where it is."
    ] = None
    request: Annotated[
        Request | None, Object(Request, brief=True), "As a target's request. Unset: the event as it came."
    ] = None
    authentication: Annotated[
        Authentication | None, Object(Authentication, brief=True), "How we say who we are. Unset: not at all."
    ] = None
    tls: Annotated[
        Tls | None, Object(Tls, brief=True), "How it proves who it is. Unset: by the system's authorities."
    ] = None
    policy: Annotated[
        Patience | None,
        Object(Patience, brief=True),
        "How patiently it is asked: timeouts of an attempt, retry. Unset: as a target, but retry.maxAttempts: 20.",
    ] = None


class Callback(Endpoint, frozen=True, kw_only=True, rename="camel"):
    """Somebody who is told once everything else of an event is settled."""

    name: Annotated[str, texts.Label, "Name, once in a route: shown as <name>.finally (RFC 1123 label)."]
