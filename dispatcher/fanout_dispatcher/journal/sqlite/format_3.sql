-- Format 2 → 3: events that a source has fetched are remembered until it has checked them off; idempotency keys.
CREATE TABLE fetched (
    source TEXT    NOT NULL,
    key    TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE idem (
    seq         INTEGER PRIMARY KEY,
    door        INTEGER NOT NULL,
    key         BLOB    NOT NULL UNIQUE,
    fingerprint BLOB    NOT NULL,
    at          REAL    NOT NULL
) STRICT;

CREATE INDEX idem_door ON idem (door);
