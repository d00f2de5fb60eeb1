-- Every statement the journal runs, by name. A VALUES row of a query that Statements.put runs is repeated as often as
-- there are rows, padded with nulls to a power of two; carray(?) is a whole array in one parameter. So a commit is O(1) statements,
-- whatever its size: between two of them the interpreter's lock goes round, and a busy loop is slow to give it back.

-- ---------------------------------------------------------------------------------------------------- facts and plans

-- name: facts
-- All facts about this file.
SELECT name, value FROM meta;

-- name: put_facts
-- Facts that are new or have changed.
INSERT INTO meta (name, value)
SELECT column1, column2 FROM (VALUES (?, ?)) WHERE column1 IS NOT NULL
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: lanes
-- Every lane, with its dead letters.
SELECT number, route, target, dead, dead_bytes FROM lane;

-- name: put_lanes
-- New lanes; one that a repeated commit brings again is there already.
INSERT INTO lane (number, route, target)
SELECT column1, column2, column3 FROM (VALUES (?, ?, ?)) WHERE column1 IS NOT NULL
ON CONFLICT (number) DO NOTHING;

-- name: plans
-- The last good plan of every route.
SELECT route, plan FROM plan;

-- name: put_plans
-- Plans that took effect.
INSERT INTO plan (route, plan)
SELECT column1, column2 FROM (VALUES (?, ?)) WHERE column1 IS NOT NULL
ON CONFLICT (route) DO UPDATE SET plan = excluded.plan;

-- name: forget_plan
-- The plan of a route that is gone.
DELETE FROM plan WHERE route = ?;

-- name: frozen
-- What is frozen with events.
SELECT value FROM frozen;

-- name: put_frozen
-- A generation that is in force, or one that is at rest.
INSERT INTO frozen (number, value)
SELECT column1, column2 FROM (VALUES (?, ?)) WHERE column1 IS NOT NULL
ON CONFLICT (number) DO UPDATE SET value = excluded.value;

-- name: put_owed
-- Its lanes, in order.
INSERT INTO owed (frozen, position, lane)
SELECT column1, column2, column3 FROM (VALUES (?, ?, ?)) WHERE column1 IS NOT NULL
ON CONFLICT (frozen, position) DO NOTHING;

-- name: frozen_of_events
-- Which of them the first unfinished events after a seq refer to: the last seq, how many rows, the numbers as a list.
SELECT max(seq), count(*), json_group_array(DISTINCT frozen)
FROM (SELECT seq, frozen FROM event WHERE seq > ? ORDER BY seq LIMIT ?);

-- name: frozen_of_letters
-- The same of dead letters, those that were replayed too.
SELECT max(number), count(*), json_group_array(DISTINCT frozen)
FROM (SELECT number, frozen FROM dead WHERE number > ? ORDER BY number LIMIT ?);

-- name: drop_frozen
-- Nothing refers to them any more.
DELETE FROM frozen WHERE number IN (SELECT value FROM carray(?));

-- name: drop_owed
-- Goes with them.
DELETE FROM owed WHERE frozen IN (SELECT value FROM carray(?));

-- name: drop_lanes
-- Lanes that no frozen value has any more; none that has anything left.
DELETE FROM lane WHERE number IN (SELECT value FROM carray(?)) AND dead = 0
    AND NOT EXISTS (SELECT 1 FROM due WHERE due.lane = lane.number)
RETURNING number;

-- ------------------------------------------------------------------------------------------------- events and the index

-- name: put_events
-- pending: accepted events.
INSERT INTO event (seq, frozen, head, body)
SELECT column1, column2, column3, column4 FROM (VALUES (?, ?, ?, ?)) WHERE column1 IS NOT NULL;

-- name: put_fetched
-- fetched: an event of a source, remembered.
INSERT INTO fetched (source, key, seq)
SELECT column1, column2, column3 FROM (VALUES (?, ?, ?)) WHERE column1 IS NOT NULL
ON CONFLICT (source, key) DO UPDATE SET seq = excluded.seq;

-- name: drop_fetched
-- fetched → forgotten: the source will not fetch it again.
DELETE FROM fetched WHERE (source, key) IN (SELECT column1, column2 FROM (VALUES (?, ?)));

-- name: fetched
-- What is remembered.
SELECT source, key FROM fetched;

-- name: put_due
-- window → due, or due at another time. A settle that is committed again may be of an event that is gone.
INSERT INTO due (lane, seq, tried, at, size, delivery)
SELECT column1, column2, column3, column4, coalesce((SELECT length(body) FROM event WHERE seq = column2), 0), column5
FROM (VALUES (?, ?, ?, ?, ?)) WHERE column1 IS NOT NULL
ON CONFLICT (lane, seq) DO UPDATE SET tried = excluded.tried, at = excluded.at, delivery = excluded.delivery;

-- name: drop_due
-- due → settled. Each value is lane << 43 | seq.
DELETE FROM due WHERE (lane, seq) IN (SELECT value >> 43, value & 0x7ffffffffff FROM carray(?));

-- name: put_ranks
-- New deliveries behind all others of their key.
INSERT INTO rank (lane, key, place, seq, ready)
SELECT column1, column2, column3, column3, column4 FROM (VALUES (?, ?, ?, ?)) WHERE column1 IS NOT NULL;

-- name: block
-- due → due when it is first, for those of them that are not. Each value is lane << 43 | seq.
UPDATE due SET at = 1e12
WHERE (lane, seq) IN (SELECT value >> 43, value & 0x7ffffffffff FROM carray(?)) AND EXISTS (
    SELECT 1 FROM rank AS mine JOIN rank AS before
    ON before.lane = mine.lane AND before.key = mine.key AND before.place < mine.place
    WHERE mine.lane = due.lane AND mine.seq = due.seq
);

-- name: pass
-- A place is given up: the next one of the key is first. Each value is lane << 43 | seq.
DELETE FROM rank WHERE (lane, seq) IN (SELECT value >> 43, value & 0x7ffffffffff FROM carray(?));

-- name: put_progress
-- Some deliveries are settled, some pending.
INSERT INTO progress (seq, states)
SELECT column1, column2 FROM (VALUES (?, ?)) WHERE column1 IS NOT NULL
ON CONFLICT (seq) DO UPDATE SET states = excluded.states;

-- name: put_kept
-- What later positions may read. A settle that is committed again may be of an event that is gone.
INSERT INTO kept (seq, position, value)
SELECT column1, column2, column3 FROM (VALUES (?, ?, ?))
WHERE column1 IS NOT NULL AND EXISTS (SELECT 1 FROM event WHERE event.seq = column1)
ON CONFLICT (seq, position) DO UPDATE SET value = excluded.value;

-- name: kept_of
-- What was kept of some events.
SELECT seq, position, value FROM kept WHERE seq IN (SELECT value FROM carray(?));

-- name: kept_bytes
-- How much was kept of some events, each.
SELECT seq, sum(length(value)) FROM kept WHERE seq IN (SELECT value FROM carray(?)) GROUP BY seq;

-- name: drop_kept
-- Goes with its event.
DELETE FROM kept WHERE seq IN (SELECT value FROM carray(?));

-- name: drop_events
-- All deliveries are settled.
DELETE FROM event WHERE seq IN (SELECT value FROM carray(?));

-- name: drop_progress
-- Goes with its event.
DELETE FROM progress WHERE seq IN (SELECT value FROM carray(?));

-- name: due_page
-- A lane's first rows of one kind by time, without those in the window already (:skip). One row comes back, in which
-- everything is joined end to end; the rows follow the order of the index.
SELECT json_group_array(json_array(
           page.at, page.seq, due.size, length(due.delivery), coalesce(length(progress.states), -1))),
       CAST(group_concat(due.delivery, '') AS BLOB),
       CAST(group_concat(progress.states, '') AS BLOB)
FROM (
    SELECT at, seq FROM due
    WHERE lane = :lane AND tried = :tried AND seq NOT IN (SELECT value FROM carray(:skip))
    ORDER BY at, seq LIMIT :limit
) AS page
CROSS JOIN due ON due.lane = :lane AND due.seq = page.seq
LEFT JOIN progress ON progress.seq = page.seq;

-- name: oldest_page
-- The same by age of the event, whatever the kind and the time.
SELECT json_group_array(json_array(
           page.at, page.seq, page.size, length(page.delivery), coalesce(length(progress.states), -1))),
       CAST(group_concat(page.delivery, '') AS BLOB),
       CAST(group_concat(progress.states, '') AS BLOB)
FROM (
    SELECT at, seq, size, delivery FROM due
    WHERE lane = :lane AND seq NOT IN (SELECT value FROM carray(:skip))
    ORDER BY seq LIMIT :limit
) AS page
LEFT JOIN progress ON progress.seq = page.seq;

-- name: stuck
-- Events above a seq with a row in some lanes that waits for people, oldest first.
SELECT DISTINCT seq FROM due
WHERE lane IN (SELECT value FROM carray(:lanes)) AND tried IN (0, 1) AND at >= :forever AND seq > :after
ORDER BY seq LIMIT :limit;

-- name: events_of
-- Some events, joined end to end.
SELECT json_group_array(json_array(event.seq, event.frozen, length(event.head), length(event.body))),
       CAST(group_concat(event.head, '') AS BLOB),
       CAST(group_concat(event.body, '') AS BLOB)
FROM carray(?) AS wanted CROSS JOIN event ON event.seq = wanted.value;

-- --------------------------------------------------------------------------------------------------- idempotency keys

-- name: put_keys
-- Keys of accepted events, each in the place of one that is past its time.
INSERT OR REPLACE INTO idem (seq, door, key, fingerprint, at)
SELECT column1, column2, column3, column4, column5 FROM (VALUES (?, ?, ?, ?, ?)) WHERE column1 IS NOT NULL;

-- name: keys
-- Those that are kept.
SELECT seq, door, key, fingerprint, at, answer FROM idem WHERE key IN (SELECT value FROM carray(?));

-- name: put_answers
-- What callers were told, with the keys of their events.
UPDATE idem SET answer = told.column2 FROM (VALUES (?, ?)) AS told WHERE idem.seq = told.column1;

-- name: answer_bytes
-- Of all kept answers.
SELECT coalesce(sum(length(answer)), 0) FROM idem WHERE answer IS NOT NULL;

-- name: oldest_answers
-- The first ones by seq, and their bytes.
SELECT seq, length(answer) FROM idem WHERE answer IS NOT NULL ORDER BY seq LIMIT ?;

-- name: drop_answers
-- The key stays.
UPDATE idem SET answer = NULL WHERE seq IN (SELECT value FROM carray(?));

-- name: keys_by_door
-- How many there are.
SELECT door, count(*) FROM idem GROUP BY door;

-- name: forget_keys
-- The first ones of a door, as far as they are old.
DELETE FROM idem WHERE seq IN (
    SELECT seq FROM (SELECT seq, at FROM idem WHERE door = ? ORDER BY seq LIMIT ?) WHERE at < ?
) RETURNING seq;

-- name: drop_keys
-- The keys of whole events.
DELETE FROM idem WHERE seq IN (SELECT value FROM carray(?));

-- ------------------------------------------------------------------------------------------------------- dead letters

-- name: put_dead
-- pending → dead: head and body come from the event, which may go in the same commit.
INSERT OR IGNORE INTO dead (seq, lane, at, reason, size, cause, frozen, head, body)
SELECT column1, column2, column3, column4, column5, column6, event.frozen, event.head, event.body
FROM (VALUES (?, ?, ?, ?, ?, ?)) CROSS JOIN event ON event.seq = column1
WHERE column1 IS NOT NULL;

-- name: replay_dead
-- dead → replayed: the new event has the bytes now.
UPDATE dead SET replayed = column2, body = NULL
FROM (VALUES (?, ?)) WHERE dead.number = column1 AND dead.replayed IS NULL;

-- name: remove_dead
-- dead → removed, by hand.
DELETE FROM dead WHERE number IN (SELECT value FROM carray(?)) AND replayed IS NULL;

-- name: oldest_dead
-- A lane's dead letters from the oldest on, as one list of number, whether it is too old, and size.
SELECT json_group_array(json_array(number, at < :before, size)) FROM (
    SELECT number, at, size FROM dead WHERE lane = :lane AND replayed IS NULL ORDER BY number LIMIT :limit
);

-- name: holding
-- How many of some dead letters hold up others.
SELECT count(*) FROM dead JOIN rank USING (lane, seq) WHERE number IN (SELECT value FROM carray(?));

-- name: dead_weight
-- What a lane's dead letters weigh: their bytes, and some more for each.
SELECT dead_bytes + dead * :letter FROM lane WHERE number = :lane;

-- name: lanes_of_dead
-- Lanes that have dead letters, of :route and :target (each may be null, as in those below).
SELECT number FROM lane
WHERE dead > 0 AND (:route IS NULL OR route = :route) AND (:target IS NULL OR target = :target)
LIMIT :limit;

-- name: dead_named
-- Which ones of :numbers are kept and meant. The plus keeps SQLite from walking through all that come :after.
SELECT dead.number FROM dead CROSS JOIN lane ON lane.number = dead.lane
WHERE dead.number IN (SELECT value FROM carray(:numbers)) AND +dead.number > :after AND +dead.number <= :last
  AND replayed IS NULL AND (:reason IS NULL OR reason = :reason)
  AND (:route IS NULL OR route = :route) AND (:target IS NULL OR target = :target)
ORDER BY dead.number LIMIT :limit;

-- name: dead_of_lanes
-- The first ones of some lanes by number: the queue of the recursion has the next one of each lane.
WITH RECURSIVE next (number, lane) AS (
    SELECT (SELECT min(number) FROM dead WHERE lane = wanted.value AND replayed IS NULL AND number > :after), wanted.value
    FROM carray(:lanes) AS wanted
    UNION ALL
    SELECT (
        SELECT min(dead.number) FROM dead
        WHERE dead.lane = next.lane AND dead.replayed IS NULL AND dead.number > next.number
    ), lane
    FROM next WHERE number < :last
    ORDER BY 1
)
SELECT number FROM next WHERE number <= :last LIMIT :limit;

-- name: dead_beyond
-- The first one, kept or not.
SELECT min(number) FROM dead WHERE number > :after;

-- name: dead_between
-- Which ones of a stretch of numbers are kept and meant.
SELECT dead.number FROM dead CROSS JOIN lane ON lane.number = dead.lane
WHERE dead.number > :after AND dead.number <= :last
  AND replayed IS NULL AND (:reason IS NULL OR reason = :reason)
  AND (:route IS NULL OR route = :route) AND (:target IS NULL OR target = :target)
ORDER BY dead.number LIMIT :limit;

-- name: dead_letter
-- One dead letter with its bytes.
SELECT number, lane, seq, at, reason, cause, size, frozen, head, body,
       EXISTS (SELECT 1 FROM rank WHERE rank.lane = dead.lane AND rank.seq = dead.seq)
FROM dead WHERE number = ? AND replayed IS NULL;

-- name: dead_head
-- The same without its body.
SELECT number, lane, seq, at, reason, cause, size, frozen, head, x'',
       EXISTS (SELECT 1 FROM rank WHERE rank.lane = dead.lane AND rank.seq = dead.seq)
FROM dead WHERE number = ? AND replayed IS NULL;

-- name: dead_of_event
-- The dead letters of one event, those that were replayed too.
SELECT lane, at, reason, cause, size, replayed FROM dead WHERE seq = ? ORDER BY lane;

-- ------------------------------------------------------------------------------------------------------ single events

-- name: event
-- An unfinished event.
SELECT event.frozen, event.head, event.body, progress.states
FROM event LEFT JOIN progress USING (seq) WHERE event.seq = ?;

-- name: event_head
-- The same without its body.
SELECT event.frozen, event.head, x'', progress.states
FROM event LEFT JOIN progress USING (seq) WHERE event.seq = ?;

-- name: due_of_event
-- Its rows in the index.
SELECT due.lane, due.at, due.delivery FROM owed JOIN due ON due.lane = owed.lane AND due.seq = :seq
WHERE owed.frozen = :frozen ORDER BY due.lane;

-- name: latest_below
-- The highest unfinished event below a seq, and the highest start of a row of history below it.
SELECT (SELECT max(seq) FROM event WHERE seq < :seq),
(
    WITH RECURSIVE slot (number) AS (
        SELECT min(key) >> 43 FROM done
        UNION ALL
        SELECT (SELECT min(key) >> 43 FROM done WHERE key >= (number + 1) << 43) FROM slot WHERE number IS NOT NULL
    )
    SELECT max((SELECT max(key) & 0x7ffffffffff FROM done WHERE key >= number << 43 AND key < (number << 43) + :seq))
    FROM slot
);

-- name: unfinished_between
-- Unfinished events of a bucket.
SELECT seq, frozen FROM event WHERE seq BETWEEN ? AND ?;

-- name: done_between
-- Rows of history that start between two seqs of a bucket and reach as far as :reach, from every slot.
WITH RECURSIVE slot (number) AS (
    SELECT min(key) >> 43 FROM done
    UNION ALL
    SELECT (SELECT min(key) >> 43 FROM done WHERE key >= (number + 1) << 43) FROM slot WHERE number IS NOT NULL
)
SELECT done.key, done.events FROM slot CROSS JOIN done ON done.key BETWEEN (number << 43) + :first AND (number << 43) + :last
WHERE done.last_seq >= :reach;

-- name: put_done
-- all settled → history.
INSERT OR REPLACE INTO done (key, last_seq, count, events)
SELECT column1, column2, column3, column4 FROM (VALUES (?, ?, ?, ?)) WHERE column1 IS NOT NULL;

-- name: drop_done
-- One row of history.
DELETE FROM done WHERE key = ?;

-- name: forget_done
-- History before a slot, some rows at a time.
DELETE FROM done WHERE key IN (SELECT key FROM done WHERE key < ? ORDER BY key LIMIT ?) RETURNING count;

-- name: forget_replayed
-- Links whose event has no history left.
DELETE FROM dead WHERE number IN (
    SELECT number FROM dead WHERE replayed IS NOT NULL AND at < ? AND seq NOT IN (SELECT seq FROM event) LIMIT ?
);

-- --------------------------------------------------------------------------------------------- opening and repairing

-- name: last_seq
-- The highest seq that any row since slot ? knows of.
SELECT max(coalesce((SELECT max(seq) FROM event), 0), coalesce((SELECT max(last_seq) FROM done WHERE key >= ? << 43), 0));

-- name: first_after
-- The first unfinished event after a seq.
SELECT min(seq) FROM event WHERE seq > ?;

-- name: recover
-- window → due: every delivery of a stretch of events that was with its lane and has no row gets one, due now.
INSERT INTO due (lane, seq, tried, at, size, delivery)
SELECT owed.lane, event.seq, 0, :now, length(event.body), x''
FROM event LEFT JOIN progress USING (seq)
CROSS JOIN owed ON owed.frozen = event.frozen
WHERE event.seq BETWEEN :first AND :last
  AND (progress.states IS NULL OR substr(progress.states, owed.position + 1, 1) IN (x'00', x'08', x'10', x'18'))
  AND NOT EXISTS (SELECT 1 FROM due WHERE due.lane = owed.lane AND due.seq = event.seq);

-- name: backlog
-- Deliveries that wait in the index, the bytes of their bodies, and how many wait for people, by lane.
SELECT lane, count(*), sum(size), sum(at >= :forever) FROM due GROUP BY lane;

-- name: ranked
-- Lanes in which something has a rank.
SELECT DISTINCT lane FROM rank;

-- name: restore_dead
-- replayed → dead: the replay is taken back, its body returns; the head stayed, with the time of the first acceptance.
UPDATE dead SET replayed = NULL, body = event.body
FROM event WHERE event.seq = dead.replayed AND dead.replayed IN (SELECT value FROM carray(?));

-- name: drop_due_of_events
-- The index rows of whole events.
DELETE FROM due WHERE (lane, seq) IN (
    SELECT owed.lane, event.seq FROM event JOIN owed ON owed.frozen = event.frozen
    WHERE event.seq IN (SELECT value FROM carray(?))
);

-- name: drop_fetched_of_events
-- That whole events were fetched: their source will fetch them again. Few rows are there to look through.
DELETE FROM fetched WHERE seq IN (SELECT value FROM carray(?));

-- name: drop_ranks_of_events
-- The ranks of whole events.
DELETE FROM rank WHERE (lane, seq) IN (
    SELECT owed.lane, event.seq FROM event JOIN owed ON owed.frozen = event.frozen
    WHERE event.seq IN (SELECT value FROM carray(?))
);

-- name: drop_dead_of_events
-- The dead letters of whole events.
DELETE FROM dead WHERE seq IN (SELECT value FROM carray(?));

-- name: room
-- Pages in use and pages free within the file.
SELECT page_count - freelist_count, freelist_count FROM pragma_page_count, pragma_freelist_count;
