"""What happened in a simulated world, and the checkers that judge it: they know the promises, not the engine."""

import collections
import itertools

import msgspec

UNCOMMITTED = 0.1  # seconds: the last group that a crash can take is never older than this


class Sent(msgspec.Struct):
    """One attempt as the target saw it; ``yes`` when it answered with success, at ``answered``."""

    event: str
    target: str
    life: int
    at: float
    number: int
    answered: float
    yes: bool


class History(msgspec.Struct):
    """Everything that the outside could see, in order."""

    accepted: dict[str, str] = msgspec.field(default_factory=dict)  # event id -> receipt
    refused: dict[str, int] = msgspec.field(default_factory=dict)  # event id -> the life that said 503
    mishaps: int = 0  # commits that failed
    sent: list[Sent] = msgspec.field(default_factory=list)
    committed: dict[int, float] = msgspec.field(default_factory=dict)  # life -> its last commit that worked
    ended: dict[int, float] = msgspec.field(default_factory=dict)  # life -> when it crashed (engine time)
    states: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)  # event id -> target -> final state

    def imbalance(self, targets: tuple[str, ...]) -> list[str]:
        """P2: every accepted (event, target) is in exactly one state, and Delivered means that the target said yes."""
        said_yes = {(one.event, one.target) for one in self.sent if one.yes}
        wrong = []
        for event in self.accepted:
            for target in targets:
                state = self.states.get(event, {}).get(target)
                if state not in {"Delivered", "Dead"}:
                    wrong.append(f"{event} → {target}: {state}")
                elif state == "Delivered" and (event, target) not in said_yes:
                    wrong.append(f"{event} → {target}: Delivered, but the target never said yes")
        return wrong

    def phantoms(self) -> list[str]:
        """What was refused is never delivered by the life that refused it.

        After a crash it may be: a commit can fail, be written all the same, and the crash come before the repair.
        """
        return sorted({one.event for one in self.sent if self.refused.get(one.event) == one.life})

    def unexplained(self) -> list[str]:
        """P3: sent again after a yes, although that yes was read and there was time to commit it."""
        wrong = []
        by_delivery: dict[tuple[str, str], list[Sent]] = collections.defaultdict(list)
        for one in self.sent:
            by_delivery[one.event, one.target].append(one)
        for (event, target), attempts in by_delivery.items():
            for before, after in itertools.pairwise(attempts):
                if before.yes and (before.life == after.life or not self._taken(before)):
                    wrong.append(f"{event} → {target}: again at {after.at:.3f} after a yes at {before.answered:.3f}")
        return wrong

    def _taken(self, yes: Sent) -> bool:
        """A crash may have taken this yes: it was in the last group, or no commit worked after it."""
        crash = self.ended.get(yes.life, yes.answered)
        return min(crash, self.committed.get(yes.life, 0.0)) - yes.answered < UNCOMMITTED

    def trace(self) -> int:
        """A fingerprint of the run: the same seed must give the same one."""
        return hash(tuple((one.event, one.target, one.life, round(one.at, 9), one.number) for one in self.sent))
