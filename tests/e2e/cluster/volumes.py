"""Volumes for the journals: a default class, and volumes that both nodes reach, as a network's would be.

They lie in the memory of the run. Being `local` they honour fsGroup, which a hostPath does not; naming both nodes, they
follow a pod that moves, which is what a drain is about.
"""

from typing import Any

from tests.e2e.cluster.apps import apply
from tests.harness.nodes.cluster import Cluster

CLASS = "memory"


def provide(cluster: Cluster, count: int) -> None:
    """Make the class and `count` volumes."""
    apply(cluster, storage_class(), *(volume(cluster, f"volume-{number}") for number in range(count)))


def storage_class() -> dict[str, Any]:
    """Make the class that a claim gets which names none."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def volume(cluster: Cluster, name: str) -> dict[str, Any]:
    """Make one volume; its folder too."""
    folder = cluster.home / "volumes" / name
    folder.mkdir(parents=True)
    nodes = [one.name for one in cluster.nodes]
    anywhere = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [anywhere]}},
        },
    }
