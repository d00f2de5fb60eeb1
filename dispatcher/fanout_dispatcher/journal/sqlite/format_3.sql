-- Format 2 → 3: events that a source has fetched are remembered until it has checked them off.
CREATE TABLE fetched (
    source TEXT    NOT NULL,
    key    TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;
