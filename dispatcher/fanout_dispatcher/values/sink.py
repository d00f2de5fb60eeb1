"""Where plans go: what every plan source (folder, Kubernetes) calls, on the event loop.

A source says what it *knows*. That a plan is gone is only said after an explicit delete or an absence that a second
list confirmed: one empty list is no evidence.
"""

import typing

from fanout_crds.plan import Credentials, Plan


class PlanRefused(Exception):
    """The plan was understood and cannot be carried out (its path belongs to another route, say); a sentence."""


class PlanSink(typing.Protocol):
    """Takes plans into force. Nothing here waits."""

    def adopt(self, plan: Plan, credentials: Credentials) -> None:
        """Carry out *plan* from now on; the same revision again changes nothing. Raises PlanRefused."""

    def refuse(self, route: str, why: str) -> None:
        """Remember that a newer plan of *route* is not in force, and why; the last good one stays."""

    def retire(self, route: str) -> None:
        """Stop *route*: it was deleted."""

    def routes(self) -> typing.Mapping[str, str]:
        """The routes in force, whether they came from a source or from the journal: by key, the uid in their plans."""

    def synced(self) -> None:
        """The first complete load is in: part of readiness."""


class Holder(typing.Protocol):
    """A source that keeps routes in force which vanished with many others."""

    def held(self) -> tuple[str, ...]:
        """Which ones, by key."""

    def let_go(self, routes: typing.Collection[str]) -> None:
        """Take a person's word that these were meant to go. What is not held stays."""
