"""What a committer has collected besides events: the lists of a Batch that its verbs fill, and no others."""

from fanout_dispatcher.journal.protocol import Batch


def empty(rest: Batch) -> bool:
    """Whether there is nothing to commit."""
    settles = rest.due or rest.undue or rest.passed or rest.kept or rest.read or rest.dead or rest.removed
    return not (settles or rest.plans or rest.lanes or rest.frozen or rest.forgotten or rest.answers)


def joined(first: Batch, then: Batch) -> Batch:
    """Both, in order."""
    return Batch(
        lanes=first.lanes + then.lanes,
        frozen=first.frozen + then.frozen,
        plans=first.plans + then.plans,
        forgotten=first.forgotten + then.forgotten,
        answers=first.answers + then.answers,
        due=first.due + then.due,
        undue=first.undue + then.undue,
        passed=first.passed + then.passed,
        kept=first.kept + then.kept,
        read=first.read + then.read,
        dead=first.dead + then.dead,
        removed=first.removed + then.removed,
    )
