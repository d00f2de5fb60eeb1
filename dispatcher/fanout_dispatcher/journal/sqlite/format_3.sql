-- Format 2 → 3: events that a source has fetched are remembered until it has checked them off; idempotency keys; ranks of
-- deliveries whose target keeps order; what later positions of a graph may read of earlier ones.
CREATE TABLE fetched (
    source TEXT    NOT NULL,
    key    TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE kept (
    seq      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    value    BLOB    NOT NULL,
    PRIMARY KEY (seq, position)
) STRICT;

CREATE TABLE idem (
    seq         INTEGER PRIMARY KEY,
    door        INTEGER NOT NULL,
    key         BLOB    NOT NULL UNIQUE,
    fingerprint BLOB    NOT NULL,
    at          REAL    NOT NULL,
    answer      BLOB
) STRICT;

CREATE INDEX idem_door ON idem (door);
CREATE INDEX idem_told ON idem (seq, length(answer)) WHERE answer IS NOT NULL;

CREATE TABLE rank (
    lane  INTEGER NOT NULL,
    key   BLOB    NOT NULL,
    place INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    ready REAL    NOT NULL,
    PRIMARY KEY (lane, key, place),
    UNIQUE (lane, seq)
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
