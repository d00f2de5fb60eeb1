"""One receiver of a route with its references looked up: where it is, what shows who we are, and what is missing.

`compile` makes one of each target, fallback, compensation and callback, and takes from it the plan's target. What does
not resolve is no fault here: it is kept, the target is held for it, and no handle stands in the plan for a credential
that is not there.
"""

import re

import msgspec

from fanout_crds import builtin, clientcert, plan
from fanout_crds.endpoint import certified
from fanout_crds.references import Outside, Refs, Unresolved, bearer_key, ca_key, certificate_keys, service_key
from fanout_crds.route import Asked, Request, Target

_TOKEN = re.compile(rb"[!-~]+")  # what may follow "Bearer " in one header line (RFC 9110 §5.5)


class Receiver:
    """Somebody who is asked: its address, its credentials by handle, and what did not resolve."""

    def __init__(self, name: str, said: Asked, home: str, refs: Refs) -> None:
        self.name = name
        self.said = said
        self.unresolved: list[Unresolved] = []
        self.credentials: dict[str, bytes] = {}
        self._private = said.service is not None
        self._url = self._address(home, refs)
        if bearer := bearer_key(said, home):
            self._credential("bearer", _token(refs.secret(bearer), str(bearer)))
        if ca := ca_key(said, home):
            self._credential("ca", refs.secret(ca))
        if pair := certificate_keys(said, home):
            self._credential("clientCertificate", clientcert.joined(*pair, refs))

    def target(
        self,
        policy: plan.Policy,
        said: Target | None = None,
        *,
        capture: int = 0,
        keep: int = 0,
        compensates: str = "",
    ) -> plan.Target:
        """Make the plan's target. A handle stands in it only when its credential is there."""
        why = self.unresolved[0] if self.unresolved else None
        request = self.said.request or Request()
        made = plan.Target(
            name=self.name,
            url=self._url,
            private=self._private,
            held=why.reason if why else None,
            held_message=why.message if why else None,
            headers=tuple((header.name, header.value) for header in request.headers if header.value is not None),
            forward_headers=tuple(name.lower() for name in request.forward_headers),
            bearer=self._handle("bearer"),
            ca=self._handle("ca"),
            client_certificate=self._handle("clientCertificate"),
            policy=policy,
            capture=capture,
            keep=keep,
            mapping=_mapping(request),
            compensates=compensates,
        )
        if said is None:
            return made
        return msgspec.structs.replace(
            made,
            delay=said.delay or 0.0,
            when=said.when,
            depends_on=said.depends_on,
            on_dead=said.on_dead or "Fail",
            static=builtin.static(said.fallback.static) if said.fallback and said.fallback.static else None,
            cache=builtin.cache(said.cache),
        )

    def _address(self, home: str, refs: Refs) -> str:
        service = self.said.service
        if service is None:
            return _with_path(self.said.url or "")
        base = refs.service(service_key(service, home))
        if isinstance(base, Unresolved):
            self.unresolved.append(base)
            return ""
        if isinstance(base, Outside):
            self._private, base = False, base.url
        if self.said.tls or certified(self.said.authentication):
            base = re.sub(r"^http://", "https://", base)
        return base.rstrip("/") + ("/" if service.path is None else service.path)

    def _credential(self, use: str, found: bytes | Unresolved) -> None:
        if isinstance(found, Unresolved):
            self.unresolved.append(found)
        else:
            self.credentials[f"{self.name}.{use}"] = found

    def _handle(self, use: str) -> str | None:
        handle = f"{self.name}.{use}"
        return handle if handle in self.credentials else None


def _mapping(request: Request) -> plan.Mapping | None:
    """Say how the request is made of the event; None where it is the event as it came."""
    made = plan.Mapping(
        method=request.method or "POST",
        path=request.path_expression,
        query=tuple(
            plan.Value(name=one.name, value=one.value, expression=one.value_expression) for one in request.query
        ),
        headers=tuple(
            plan.Value(name=one.name, expression=one.value_expression)
            for one in request.headers
            if one.value_expression is not None
        ),
        body=request.body_expression,
        structured=request.mode == "Structured",
    )
    return None if made == plan.Mapping(method="POST") else made


def _token(found: bytes | Unresolved, place: str) -> bytes | Unresolved:
    """Take a token as people store it, often with a newline at the end, if it can stand in a header."""
    if isinstance(found, Unresolved) or _TOKEN.fullmatch(found.strip()):
        return found if isinstance(found, Unresolved) else found.strip()
    return Unresolved("SecretUnusable", f"Secret {place} does not hold one line of visible ASCII, as a token must")


def _with_path(url: str) -> str:
    """Give an absolute URL the path it means when it has none (RFC 9110 §4.2.3)."""
    return re.sub(r"^([a-z]+://[^/?]+)(?=\?|$)", r"\1/", url)
