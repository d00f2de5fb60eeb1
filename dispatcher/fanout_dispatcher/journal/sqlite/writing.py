"""From a Batch to rows: the body of one transaction, in the order that the protocol gives.

A list that is empty costs nothing; one that is not costs one statement (two for a finished event and for frozen
ones), whatever its length.
"""

from fanout_dispatcher.journal.protocol import Batch, DeadRow, DueRow, Finished, Rank, Replayed
from fanout_dispatcher.journal.sqlite import coding
from fanout_dispatcher.journal.sqlite.statements import Statements, Value
from fanout_dispatcher.values.event import Frozen


def write(sql: Statements, batch: Batch) -> None:
    """Write *batch*; the caller has begun a transaction."""
    if batch.lanes or batch.frozen or batch.plans or batch.forgotten:
        _settings(sql, batch)
    if batch.events or batch.answers:
        _events(sql, batch)
    if batch.due:
        _due(sql, batch.due)
    if batch.undue or batch.ranks or batch.passed:
        _moves(sql, batch)
    if batch.progress or batch.kept or batch.read:
        _progress(sql, batch)
    if batch.dead:
        _dead(sql, batch.dead)
    if batch.finished:
        _finished(sql, batch.at, batch.finished)
    if batch.replayed:
        _replayed(sql, batch.replayed)
    if batch.removed:
        sql.among("remove_dead", batch.removed)


def _settings(sql: Statements, batch: Batch) -> None:
    sql.put("put_lanes", [value for lane in batch.lanes for value in lane], 3)
    if batch.frozen:
        _frozen(sql, batch.frozen)
    plans = dict(batch.plans)  # the last word on each route counts
    sql.put("put_plans", [value for route, plan in plans.items() if plan is not None for value in (route, plan)], 2)
    for route, plan in plans.items():
        if plan is None:
            sql.run("forget_plan", (route,))
    sql.put("drop_fetched", [value for pair in batch.forgotten for value in pair], 2)


def _frozen(sql: Statements, frozen: list[Frozen]) -> None:
    sql.put("put_frozen", [value for one in frozen for value in (one.number, coding.frozen_bytes(one))], 2)
    owed = [value for one in frozen for place, lane in enumerate(one.lanes) for value in (one.number, place, lane)]
    sql.put("put_owed", owed, 3)


def _events(sql: Statements, batch: Batch) -> None:
    values: list[Value] = []
    for event in batch.events:
        values += (event.seq, event.frozen.number, coding.head_bytes(event), event.body)
    sql.put("put_events", values, 4)
    fetched = [value for one in batch.fetched for value in (one.source, one.key, one.seq)]
    sql.put("put_fetched", fetched, 3)
    if batch.keys:
        rows: list[Value] = []
        for row in batch.keys:
            rows += (row.seq, row.door, row.key, row.fingerprint, row.at)
        sql.put("put_keys", rows, 5)
    sql.put("put_answers", [value for one in batch.answers for value in (one.seq, one.answer)], 2)


def _due(sql: Statements, due: list[DueRow]) -> None:
    values: list[Value] = []
    for row in due:
        values += (row.lane, row.seq, row.tried, row.at, coding.delivery_bytes(row))
    sql.put("put_due", values, 5)


def _moves(sql: Statements, batch: Batch) -> None:
    """What leaves the index, and who comes and goes in the order of a key."""
    if batch.undue:
        sql.among("drop_due", [lane << coding.SEQ_BITS | seq for lane, seq in batch.undue])
    if batch.ranks:
        _ranks(sql, batch.ranks)
    if batch.passed:
        sql.among("pass", [lane << coding.SEQ_BITS | seq for lane, seq in batch.passed])


def _ranks(sql: Statements, ranks: list[Rank]) -> None:
    values: list[Value] = []
    for rank in ranks:
        values += (rank.lane, rank.key, rank.seq, rank.ready)
    sql.put("put_ranks", values, 4)
    sql.among("block", [rank.lane << coding.SEQ_BITS | rank.seq for rank in ranks])


def _progress(sql: Statements, batch: Batch) -> None:
    """How far unfinished events have come, and what later positions of them may read of earlier ones."""
    sql.put("put_progress", [value for pair in dict(batch.progress).items() for value in pair], 2)
    values: list[Value] = []
    for row in batch.kept:
        values += (row.seq, row.place, coding.kept_bytes(row.kept))
    sql.put("put_kept", values, 3)
    if batch.read:
        sql.among("drop_kept", batch.read)


def _dead(sql: Statements, dead: list[DeadRow]) -> None:
    values: list[Value] = []
    for row in dead:
        values += (row.seq, row.lane, row.at, row.reason, row.size, coding.cause_bytes(row))
    sql.put("put_dead", values, 6)


def _finished(sql: Statements, at: float, finished: list[Finished]) -> None:
    seqs = [one.seq for one in finished]
    sql.among("drop_events", seqs)
    sql.among("drop_progress", seqs)
    sql.put("put_done", coding.finished_rows(at, finished), 4)


def _replayed(sql: Statements, replayed: list[Replayed]) -> None:
    sql.put("replay_dead", [value for one in replayed for value in (one.dead, one.seq)], 2)
