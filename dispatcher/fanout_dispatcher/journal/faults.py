"""What a journal says when it cannot: by what follows for whoever asked.

Every journal raises these, whatever it keeps its rows in. What follows is the reader's: of a full one producers are
told so, an ambiguous one is repaired before the next commit, and a file that is refused ends the start. Whoever asks
for something else shows the sentence.
"""


class JournalFault(Exception):
    """The journal cannot do what was asked; the sentence says what, where and what to do."""


class JournalFull(JournalFault):
    """No space: on the disk, or within the journal's own bound. Nothing of the batch was written."""


class JournalAmbiguous(JournalFault):
    """A commit failed in a way that leaves open whether it was written: `repair` before anything else."""


class JournalRefused(JournalFault):
    """The file cannot be opened at all: newer version, in use by another process, corrupt, read-only."""
