"""The Events of a namespace, as whoever watches them sees them."""

from fanout_operator.kube import EVENTS
from tests.controlplane.installed import Installation
from tests.controlplane.waiting import Document, until


def told(fanout: Installation, namespace: str, *reasons: str) -> list[Document]:
    """Wait until a namespace has Events of these reasons, and give all it has, in the order of their posting."""
    path = EVENTS.path(namespace)
    found = until(fanout.server, path, lambda items: set(reasons) <= {one["reason"] for one in items})
    return sorted(found, key=lambda one: int(one["metadata"]["resourceVersion"]))
