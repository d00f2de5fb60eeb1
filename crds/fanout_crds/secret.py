"""How a manifest names a value in a Secret: the one way for tokens, authorities and URLs that hold a password.

A certificate and its key are two values that belong together, under the names that Kubernetes has for them: of such a
Secret only the name is said.
"""

from typing import Annotated, Final

import msgspec

from fanout_crds import texts

CERTIFICATE: Final = "tls.crt"  # the keys of a Secret of type kubernetes.io/tls
PRIVATE_KEY: Final = "tls.key"

_Name = Annotated[str, texts.SecretName, "Name of the Secret."]
_Namespace = Annotated[
    str | None,
    texts.SecretNamespace,
    "Namespace of the Secret. Unset: the route's own. In another one a ReferenceGrant must permit it; without one"
    " what needs it is held (RefNotPermitted).",
]


class SecretRef(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One key of a Secret."""

    name: _Name
    key: Annotated[str, texts.SecretKeyName, "Key in the Secret's data."]
    namespace: _Namespace = None


class TlsSecretRef(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A Secret as those of type kubernetes.io/tls are: a certificate under tls.crt, its key under tls.key."""

    name: _Name
    namespace: _Namespace = None
