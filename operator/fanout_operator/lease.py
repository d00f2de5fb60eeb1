"""Who leads: the rules of election by a Lease (coordination.k8s.io/v1), as client-go has them. Pure; time is handed in.

A candidate reads the Lease, and writes it when nobody holds it any more, always as the version that it read: of two who
write at once the API server lets one. A holder says by every write that it still is there. How long ago that was, each
candidate measures by its own clock from when it *saw* the change; the times in the Lease are for people, so no clock of
another machine matters.

A leader counts the other way round: from before it *asked* for the write that went well, and for less long. So it has
stopped before any other could begin, whatever happened to its requests, its process or its clock. What it must never do
is lead on an answer that has not come.
"""

import math
import typing
from collections.abc import Callable

import msgspec

from fanout_operator.kube import LEASES, Document, Reading

LONGEST: typing.Final = 300.0  # seconds that a lease may last: a longer one was written by hand, or by mistake
MOST: typing.Final = 2**31 - 1  # what the API takes as a number of transitions
JITTER: typing.Final = 0.2  # of a wait: candidates shall not come all at once


class BadTerms(ValueError):
    """Terms under which two could lead, or nobody; a sentence that says why."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How long a lease holds, in seconds.

    Shorter than client-go's 15, 10 and 2. When an API server was away for long the leader has given up, and a standby
    that had not seen its last renewal waits for a whole duration once it can look again: after up to duration + retry
    somebody leads, and 10 s after the API server is back routes have to be served.
    """

    duration: float = 8.0  # so long after its last sign of life a leader is not one any more
    deadline: float = 7.0  # so long after its last renewal a leader gives up by itself
    retry: float = 1.5  # between two looks or renewals

    def __post_init__(self) -> None:
        if not 1 <= self.duration <= LONGEST or self.duration % 1:
            raise BadTerms(f"a lease lasts whole seconds, from 1s to {LONGEST:g}s, got {self.duration:g}s")
        if self.deadline >= self.duration:
            raise BadTerms(
                f"the renew deadline must be less than the lease's duration {self.duration:g}s, or two could lead at "
                f"once, got {self.deadline:g}s"
            )
        if not 0 < self.retry < self.deadline:
            raise BadTerms(
                f"the retry period must be above 0s and less than the renew deadline {self.deadline:g}s, "
                f"got {self.retry:g}s"
            )


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Which Lease is contested, and as whom."""

    namespace: str
    name: str
    identity: str


class Election:
    """One candidate's knowledge of the Lease, and what follows from it."""

    def __init__(self, place: Place, terms: Terms, wall: Callable[[], str]) -> None:
        """`wall` says the time of day as Kubernetes' MicroTime, for people who read the Lease."""
        self.place = place
        self.terms = terms
        self._wall = wall
        self._lease: Document | None = None
        self._seen_at = -math.inf  # when the holder last showed that it is there
        self._leads_until = -math.inf

    def __repr__(self) -> str:
        return f"<Election {self.place.identity} holder={self.holder or 'nobody'} until={self._leads_until:.1f}>"

    @property
    def holder(self) -> str:
        """Who was last seen to hold the Lease; empty: nobody."""
        return _spec(self._lease).get("holderIdentity") or ""

    @property
    def until(self) -> float:
        """When this candidate stops to lead unless it renews; minus infinity: it does not lead."""
        return self._leads_until

    def leads(self, now: float) -> bool:
        """Whether this candidate may write."""
        return now < self._leads_until

    def see(self, lease: Document | None, now: float) -> None:
        """Take the Lease as it was just read. One that vanished still binds: its holder cannot know yet."""
        if lease is not None and _spec(lease) != _spec(self._lease):
            self._seen_at = now
        if lease is not None or self._lease is None:
            self._lease = lease
        else:
            self._lease = {"spec": _spec(self._lease)}
        if self.holder != self.place.identity:
            self._leads_until = -math.inf

    def claim(self, now: float) -> Document | None:
        """The Lease to be written so that we lead; None while another one does."""
        if self.holder not in {"", self.place.identity} and now < self.free_at():
            return None
        before, ours = _spec(self._lease), self.holder == self.place.identity
        wall = self._wall()
        spec = {
            "holderIdentity": self.place.identity,
            "leaseDurationSeconds": int(self.terms.duration),
            "acquireTime": before.get("acquireTime", wall) if ours else wall,
            "renewTime": wall,
            "leaseTransitions": min(MOST, (before.get("leaseTransitions") or 0) + (bool(before) and not ours)),
        }
        return self._document(spec)

    def granted(self, lease: Document, asked_at: float, now: float) -> None:
        """Our write was accepted; it may have been in force since it was asked for."""
        self.see(lease, now)
        self._leads_until = asked_at + self.terms.deadline

    def resign(self) -> Document:
        """Stop leading, this very moment, and answer the Lease to be written so that another need not wait."""
        self._leads_until = -math.inf
        wall = self._wall()
        spec = {**_spec(self._lease), "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": wall}
        return self._document(spec)

    def free_at(self) -> float:
        """When whoever holds the Lease has been silent for as long as it promised not to be.

        By no promise for longer than any operator would make: a Lease edited by hand shall not keep everybody out.
        """
        return self._seen_at + min(LONGEST, _spec(self._lease).get("leaseDurationSeconds") or self.terms.duration)

    def pause(self, now: float, chance: float) -> float:
        """How long until the next look or renewal; `chance` is from 0 to 1."""
        usual, held = self.terms.retry * (1 - JITTER * chance), self.free_at() - now
        return min(usual, held) if held > 0 and self.holder not in {"", self.place.identity} else usual

    def _document(self, spec: Document) -> Document:
        """Written over the version that we know: the API server refuses it when there is a newer one."""
        metadata = (self._lease or {}).get("metadata") or {"namespace": self.place.namespace, "name": self.place.name}
        return {"apiVersion": LEASES.api_version, "kind": LEASES.name, "metadata": metadata, "spec": spec}


def _spec(lease: Reading | None) -> Document:
    return (lease or {}).get("spec") or {}
