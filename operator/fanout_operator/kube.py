"""What the operator asks of a Kubernetes API, and no more.

`Kube` is the port: the adapter is rest.Rest (aiohttp, a real API server), its twin a dict in the tests; both pass one
contract suite. Everything above speaks in the words of this module: a `Kind`, plain JSON documents, and one typed error
per situation that somebody acts upon. Which error came is decided once, in `failure`.
"""

import typing
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

import msgspec

from fanout_crds.route import GROUP, KIND, VERSION
from fanout_crds.schema import PLURAL

Document = dict[str, typing.Any]  # a Kubernetes object as JSON; only the modules that read one know its shape
Reading = Mapping[str, typing.Any]

FIELD_MANAGER: typing.Final = "fanout-operator"


class Kind(msgspec.Struct, frozen=True):
    """One kind of object and where the API keeps it: `group` is empty for the core API."""

    group: str
    version: str
    plural: str
    name: str

    @property
    def api_version(self) -> str:
        """As manifests write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """The path under which its group and version are; read by itself it lists their kinds."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str | None, name: str | None = None, part: str | None = None) -> str:
        """The path of a collection, an object, or a part of one (its status)."""
        within = f"/namespaces/{namespace}" if namespace else ""
        return "/".join([f"{self.root}{within}/{self.plural}", *(piece for piece in (name, part) if piece)])


ROUTES: typing.Final = Kind(GROUP, VERSION, PLURAL, KIND)
SERVICES: typing.Final = Kind("", "v1", "services", "Service")
SECRETS: typing.Final = Kind("", "v1", "secrets", "Secret")
CONFIG_MAPS: typing.Final = Kind("", "v1", "configmaps", "ConfigMap")
EVENTS: typing.Final = Kind("", "v1", "events", "Event")
ENDPOINT_SLICES: typing.Final = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
LEASES: typing.Final = Kind("coordination.k8s.io", "v1", "leases", "Lease")
GRANTS: typing.Final = (
    tuple(  # by version, the newest first: v1 came with Gateway API 1.5, and older ones have only v1beta1
        Kind("gateway.networking.k8s.io", version, "referencegrants", "ReferenceGrant") for version in ("v1", "v1beta1")
    )
)
DEFINITIONS: typing.Final = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects of a kind are meant, and how much of each: metadata alone keeps Secrets out of our memory."""

    kind: Kind
    namespace: str | None = None  # None = all namespaces
    labels: str = ""  # a label selector
    metadata_only: bool = False


def scopes(kind: Kind, namespaces: Iterable[str], *, metadata_only: bool = False) -> tuple[Scope, ...]:
    """All objects of a kind that we may watch: everywhere, unless there are namespaces to which we are limited."""
    places: tuple[str | None, ...] = tuple(namespaces) or (None,)
    return tuple(Scope(kind=kind, namespace=one, metadata_only=metadata_only) for one in places)


class Page(msgspec.Struct, frozen=True):
    """Some objects of a scope, and the version of the whole collection, from which a watch goes on."""

    items: tuple[Document, ...]
    version: str


class Event(msgspec.Struct, frozen=True):
    """One line of a watch. A Bookmark has only a version."""

    type: typing.Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Document


class NotFound(Exception):
    """There is no such object, or no such kind."""


class Conflict(Exception):
    """The object is not the one that was meant any more: another uid or resourceVersion."""


class Gone(Exception):
    """The version to watch from is too old (410): list again."""


class Denied(Exception):
    """We may not (401, 403): roles are missing, or the token is not known."""


class Refused(Exception):
    """The API server will not have it (400, 413, 415, 422): asking again in the same words does not help."""


class TooMany(Exception):
    """The API server asks us to slow down (429)."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Exception):
    """No answer, half an answer, or a 5xx: it may have been done."""


FAILURES: typing.Final = (NotFound, Conflict, Gone, Denied, Refused, TooMany, Unavailable)


def failure(status: int, message: str, retry_after: float = 1.0) -> Exception:
    """Say which error an HTTP status of the API server is."""
    match status:
        case 404:
            return NotFound(message)
        case 409:
            return Conflict(message)
        case 410:
            return Gone(message)
        case 401 | 403:
            return Denied(message)
        case 429:
            return TooMany(message, retry_after)
        case _ if 400 <= status < 500:
            return Refused(message)
        case _:
            return Unavailable(f"{status}: {message}")


class Kube(typing.Protocol):
    """A Kubernetes API. Every method raises the errors above and nothing else."""

    async def served(self, kinds: Sequence[Kind]) -> Kind | None:
        """Which of these the API has, the first one of them; None when it has none."""
        ...

    async def get(self, kind: Kind, namespace: str | None, name: str, *, since: str = "") -> Document:
        """Read one object as fresh as the cluster has it, or no older than a version *since*.

        The latter an API server answers out of its memory; it raises Unavailable when it does not get that far soon.
        Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list
        """
        ...

    def pages(self, scope: Scope) -> AsyncIterator[Page]:
        """Read all objects of a scope as they were at one time, some after the other.

        Whoever keeps of each page only what matters needs little room: an object takes ten times that of its JSON. A
        page need not have a version, but the last.
        """
        ...

    def watch(self, scope: Scope, version: str) -> AsyncIterator[Event]:
        """Follow the changes after a version; ends when the server ends it, silently."""
        ...

    async def apply(self, kind: Kind, document: Document) -> Document:
        """Server-side apply as our field manager: afterwards its fields are as given, whoever had set them.

        Answers its metadata.
        """
        ...

    async def patch_status(self, kind: Kind, namespace: str, name: str, patch: Document) -> Document:
        """Merge a patch into an object's status; a metadata.resourceVersion in it must be the object's.

        (A uid would not do: for custom resources the API server ignores it here.)
        """
        ...

    async def create(self, kind: Kind, document: Document) -> Document:
        """Make an object; Conflict when there is one of its name."""
        ...

    async def replace(self, kind: Kind, document: Document) -> Document:
        """Write a whole object over the one of the same metadata.resourceVersion."""
        ...

    async def delete(
        self, kind: Kind, namespace: str, name: str, uid: str | None = None, *, version: str | None = None
    ) -> None:
        """Delete an object, only that one when a uid is given, and only as it was in *version*."""
        ...
