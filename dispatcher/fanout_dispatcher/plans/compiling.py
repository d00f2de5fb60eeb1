"""Manifests to plans, without a cluster: Services come from ``--resolve``, Secrets from the same files.

A plan that says the same as before keeps its revision, so that a reload of unchanged files changes nothing.
"""

import random
import typing

import msgspec

from fanout_crds import compile as compiler
from fanout_crds import plan as plans
from fanout_crds import references
from fanout_crds.manifests import Secrets, Sourced
from fanout_crds.references import ServiceKey

Content = tuple[bytes, tuple[tuple[str, bytes], ...]]


class Compiling:
    """Compiles routes of one installation; *rng* makes revisions."""

    def __init__(
        self, installation: compiler.Installation, resolve: typing.Mapping[ServiceKey, str], rng: random.Random
    ) -> None:
        self._installation = installation
        self._services = resolve
        self._rng = rng
        self._revisions: dict[str, tuple[Content, str]] = {}

    def compile(self, found: Sourced, secrets: Secrets) -> compiler.Compiled:
        """Compile one route with what the files hold for it. Raises Invalid."""
        refs = references.found(found.route, self._services, secrets)
        made = compiler.compile(found.route, self._installation, refs, "")
        revision = self._revision(found.route.key, made)
        return msgspec.structs.replace(made, plan=msgspec.structs.replace(made.plan, revision=revision))

    def forget(self, route: str) -> None:
        """Drop what is remembered of a route that is gone."""
        self._revisions.pop(route, None)

    def _revision(self, route: str, made: compiler.Compiled) -> str:
        content = (plans.encode(made.plan), tuple(sorted(made.credentials.items())))
        known = self._revisions.get(route)
        if known is None or known[0] != content:
            known = (content, f"{self._rng.getrandbits(64):016x}")
            self._revisions[route] = known
        return known[1]
