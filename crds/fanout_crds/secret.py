"""How a manifest names a value in a Secret: the one way for tokens, authorities and URLs that hold a password."""

from typing import Annotated

import msgspec

from fanout_crds import texts


class SecretRef(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One key of a Secret."""

    name: Annotated[str, texts.SecretName, "Name of the Secret."]
    key: Annotated[str, texts.SecretKeyName, "Key in the Secret's data."]
    namespace: Annotated[
        str | None,
        texts.SecretNamespace,
        "Namespace of the Secret. Unset: the route's own. In another one a ReferenceGrant must permit it; without one"
        " what needs it is held (RefNotPermitted).",
    ] = None
