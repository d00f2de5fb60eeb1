-- The journal's tables: format 3 (PRAGMA user_version). Times are engine time in seconds. Blobs are msgpack; coding.py says
-- what is in them. One writer, one connection, one process.
--
-- What becomes of an event:
--
--     appended ──► event                        immutable until every delivery of it is settled
--                    ├─► progress               from the first settle that leaves others pending
--                    └─► done                   all settled: event and progress go, a line of history stays for a while
--
-- What becomes of a delivery (lane, event):
--
--     in a window ──► settled                   never had a row of its own: the cheap way, and the usual one
--     in a window ──► due ──► settled           it waits for a retry, for a held target or for room in the window
--     pending     ──► dead ──► replayed         by a new event, which takes the bytes along
--                      └────► removed           by hand, by age, or by the bound of its target
--
-- A due row stays while its delivery is in a window, until it is settled or put back: a crash loses neither it nor its
-- attempts. A pending delivery without a due row was in a window: opening gives it one.

-- Facts about this file: key, worker, the clock (boot, boottime, wall, now), last_seq, indexed_to.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Targets by number. dead and dead_bytes are kept by the triggers below, so that a bound is checked without counting.
CREATE TABLE lane (
    number     INTEGER PRIMARY KEY,
    route      TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    dead       INTEGER NOT NULL DEFAULT 0,
    dead_bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (route, target)                      -- a target has one lane
) STRICT;

-- The last good plan of each route: a restart needs neither operator nor API server.
CREATE TABLE plan (
    route TEXT PRIMARY KEY,
    plan  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What is frozen with events: one row per generation of a route, until no event, dead letter or history refers to it.
CREATE TABLE frozen (
    number INTEGER PRIMARY KEY,
    value  BLOB NOT NULL
) STRICT;

-- The same as rows: which lane the n-th delivery of such an event belongs to. For recovery in SQL.
CREATE TABLE owed (
    frozen   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    lane     INTEGER NOT NULL,
    PRIMARY KEY (frozen, position)
) STRICT, WITHOUT ROWID;

-- Accepted and not yet settled. Written once; body last, so that the rest is read without a large body's overflow pages.
CREATE TABLE event (
    seq    INTEGER PRIMARY KEY,
    frozen INTEGER NOT NULL,
    head   BLOB    NOT NULL,
    body   BLOB    NOT NULL
) STRICT;

-- Events that a source has fetched and not yet checked off where it fetched them: fetched again, they are not accepted
-- again. Written with the event, removed once it is checked off; so there are a few batches of them at most.
CREATE TABLE fetched (
    source TEXT    NOT NULL,
    key    TEXT    NOT NULL,                    -- the source's own name of it
    seq    INTEGER NOT NULL,
    PRIMARY KEY (source, key)                   -- fetched once
) STRICT, WITHOUT ROWID;

-- One byte per delivery (values/event.py, State) of an event of which some are settled, or blocked in a graph. No row: all
-- are pending, and with their lanes.
CREATE TABLE progress (
    seq    INTEGER PRIMARY KEY,
    states BLOB NOT NULL
) STRICT;

-- What later positions of an event may read of earlier ones, of those that expressions read: written with the settling of the
-- position, removed with the event. Of a graph only.
CREATE TABLE kept (
    seq      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    value    BLOB    NOT NULL,                  -- reason, and the answer: status, headers, body, truncated
    PRIMARY KEY (seq, position)                 -- a position is settled once, however often that is committed again
) STRICT;

-- The idempotency keys of accepted events, finished ones too, until they are past their time or too many. Keys and
-- fingerprints are digests of 16 bytes, door is one of the route's name: its keys are counted together.
CREATE TABLE idem (
    seq         INTEGER PRIMARY KEY,            -- in the order of acceptance, so that they are written at the end
    door        INTEGER NOT NULL,
    key         BLOB    NOT NULL UNIQUE,        -- a key is taken once
    fingerprint BLOB    NOT NULL,
    at          REAL    NOT NULL,
    answer      BLOB                            -- what a caller that waited was told, while it is kept
) STRICT;

CREATE INDEX idem_door ON idem (door);          -- and by seq within: the oldest of a door go first
CREATE INDEX idem_told ON idem (seq, length(answer)) WHERE answer IS NOT NULL;  -- the oldest answers, and their bytes

-- The index of deliveries that are not in a window, or came out of here. A million of them are counted at a start, so
-- that a row says itself what its body weighs, and says nothing that is not so: delivery is empty until there is a history.
CREATE TABLE due (
    lane     INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    tried    INTEGER NOT NULL CHECK (tried IN (0, 1)),  -- its kind: 1 once an attempt has been spent on it
    at       REAL    NOT NULL,
    size     INTEGER NOT NULL,                  -- bytes of the event's body
    delivery BLOB    NOT NULL,                  -- attempts, history; why it was given up, if it is stuck
    PRIMARY KEY (lane, seq)                     -- a delivery is due once
) STRICT, WITHOUT ROWID;

CREATE INDEX due_at ON due (lane, tried, at, seq);  -- the order in which a lane gets its deliveries back, kind by kind

-- Deliveries given up, with the event's own head and body. Two states: kept, while replayed is null; and replayed, when
-- only the link is left (the body went along with event number *replayed*).
CREATE TABLE dead (
    number   INTEGER PRIMARY KEY AUTOINCREMENT, -- a cursor for lists, so never given out twice
    seq      INTEGER NOT NULL,
    lane     INTEGER NOT NULL,
    at       REAL    NOT NULL,
    reason   TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    cause    BLOB    NOT NULL,                  -- detail, attempts, history
    frozen   INTEGER NOT NULL,
    replayed INTEGER,
    head     BLOB    NOT NULL,
    body     BLOB,
    UNIQUE (seq, lane),                         -- a delivery dies once, however often a settle is committed again
    CHECK (replayed IS NOT NULL OR body IS NOT NULL)    -- a kept one can be replayed
) STRICT;

CREATE INDEX dead_kept ON dead (lane, number) WHERE replayed IS NULL;
CREATE INDEX dead_replayed ON dead (replayed) WHERE replayed IS NOT NULL;

CREATE TRIGGER dead_comes AFTER INSERT ON dead WHEN new.replayed IS NULL BEGIN
    UPDATE lane SET dead = dead + 1, dead_bytes = dead_bytes + new.size WHERE number = new.lane;
END;

CREATE TRIGGER dead_goes AFTER DELETE ON dead WHEN old.replayed IS NULL BEGIN
    UPDATE lane SET dead = dead - 1, dead_bytes = dead_bytes - old.size WHERE number = old.lane;
END;

CREATE TRIGGER dead_is_replayed AFTER UPDATE OF replayed ON dead WHEN old.replayed IS NULL AND new.replayed IS NOT NULL BEGIN
    UPDATE lane SET dead = dead - 1, dead_bytes = dead_bytes - old.size WHERE number = old.lane;
END;

CREATE TRIGGER dead_is_back AFTER UPDATE OF replayed ON dead WHEN old.replayed IS NOT NULL AND new.replayed IS NULL BEGIN
    UPDATE lane SET dead = dead + 1, dead_bytes = dead_bytes + old.size WHERE number = old.lane;
END;

-- Order. A delivery whose target keeps order has a rank for as long as it is pending, or a dead letter that holds up those
-- behind it. Only the first of a key (the lowest place) is due when it would be; the due row of every other has the time
-- 1e12, which no pull asks for, so that a key with a million behind a failing one costs the other keys nothing.
--
--     appended ──► last of its key ──► first: due ──► settled, passed over, removed: the next one is first
--                                        └──► dead, and holds its place ──► replayed: the new event has the place
--
-- The triggers see to it wherever a row comes from or goes, in the same transaction: so whatever a crash leaves, one of each
-- key is due and no other, and a restart has nothing to work out.
CREATE TABLE rank (
    lane  INTEGER NOT NULL,
    key   BLOB    NOT NULL,                     -- a digest of what the target keeps in order
    place INTEGER NOT NULL,                     -- the seq that it was accepted under first
    seq   INTEGER NOT NULL,                     -- of the event that has the place now: a replay takes it over
    ready REAL    NOT NULL,                     -- when it is due, once it is first
    PRIMARY KEY (lane, key, place),
    UNIQUE (lane, seq)                          -- a delivery has one place
) STRICT, WITHOUT ROWID;

CREATE TRIGGER rank_goes AFTER DELETE ON rank BEGIN
    UPDATE due SET at = first.ready
    FROM (SELECT seq, ready FROM rank WHERE lane = old.lane AND key = old.key ORDER BY place LIMIT 1) AS first
    WHERE due.lane = old.lane AND due.seq = first.seq AND due.at >= 1e12;
END;

CREATE TRIGGER dead_lets_go AFTER DELETE ON dead WHEN old.replayed IS NULL BEGIN
    DELETE FROM rank WHERE lane = old.lane AND seq = old.seq;
END;

CREATE TRIGGER dead_gives_its_place AFTER UPDATE OF replayed ON dead WHEN old.replayed IS NULL AND new.replayed IS NOT NULL BEGIN
    UPDATE OR REPLACE rank SET seq = new.replayed WHERE lane = new.lane AND seq = new.seq;
    UPDATE due SET at = CASE WHEN EXISTS (
        SELECT 1 FROM rank AS before WHERE before.lane = mine.lane AND before.key = mine.key AND before.place < mine.place
    ) THEN 1e12 ELSE mine.ready END
    FROM rank AS mine
    WHERE mine.lane = new.lane AND mine.seq = new.replayed AND due.lane = new.lane AND due.seq = new.replayed;
END;

CREATE TRIGGER dead_takes_it_back AFTER UPDATE OF replayed ON dead WHEN old.replayed IS NOT NULL AND new.replayed IS NULL BEGIN
    UPDATE rank SET seq = new.seq WHERE lane = new.lane AND seq = old.replayed AND place <> old.replayed;
END;

-- History of finished events: one row per commit and bucket of 4,096 sequence numbers (a row per event costs as much to
-- write, and many times more to prune). key = slot << 43 | first seq in the row, where a slot is 15 minutes of engine time
-- at the finish: so pruning drops a prefix, and a seq is found by one look into its bucket per slot.
CREATE TABLE done (
    key      INTEGER PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    events   BLOB    NOT NULL                   -- a list of seq, frozen, accepted, states
) STRICT;
