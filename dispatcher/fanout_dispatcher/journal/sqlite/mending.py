"""After an ambiguous commit: take back whatever of some events was written after all.

Their producers were told 503, so they must not appear. What else the commit carried (settles) is true either way,
and committing it again changes nothing.
"""

from collections.abc import Sequence

from fanout_dispatcher.journal.sqlite import coding
from fanout_dispatcher.journal.sqlite.reading import done_rows
from fanout_dispatcher.journal.sqlite.statements import Statements


def take_back(sql: Statements, seqs: Sequence[int]) -> None:
    """Remove all that says anything of the events *seqs*; the caller has begun a transaction.

    A dead letter that one of them replaced comes back first, with the bytes that the replay had.
    """
    if not seqs:
        return
    sql.among("restore_dead", seqs)
    sql.among("drop_dead_of_events", seqs)
    sql.among("drop_due_of_events", seqs)
    sql.among("drop_fetched_of_events", seqs)
    sql.among("drop_ranks_of_events", seqs)
    sql.among("drop_progress", seqs)
    sql.among("drop_kept", seqs)
    sql.among("drop_events", seqs)
    sql.among("drop_keys", seqs)
    gone = frozenset(seqs)
    for bucket in {seq >> coding.BUCKET_BITS for seq in seqs}:
        for key, events in done_rows(sql, bucket):
            pasts = coding.pasts_of(events)
            left = [past for past in pasts if past.seq not in gone]
            if len(left) < len(pasts):
                sql.run("drop_done", (key,))
                sql.put("put_done", coding.done_rows(key >> coding.SEQ_BITS, left), 4)
