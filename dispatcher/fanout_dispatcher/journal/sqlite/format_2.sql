-- Format 1 → 2: due rows know their kind and the size of their body, and say no longer twice when they are due.
--
-- delivery was an array (0x93) of at, attempts and history: a byte of head, nine of at, then the rest, which is 00 90 as
-- long as nothing was tried. Now it is an array (0x92) of the rest, or empty.
ALTER TABLE due RENAME TO due_1;

CREATE TABLE due (
    lane     INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    tried    INTEGER NOT NULL CHECK (tried IN (0, 1)),
    at       REAL    NOT NULL,
    size     INTEGER NOT NULL,
    delivery BLOB    NOT NULL,
    PRIMARY KEY (lane, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO due (lane, seq, tried, at, size, delivery)
SELECT lane, seq, substr(delivery, 11, 1) <> x'00', at, coalesce((SELECT length(body) FROM event WHERE seq = due_1.seq), 0),
       CASE substr(delivery, 11) WHEN x'0090' THEN x'' ELSE CAST(x'92' || substr(delivery, 11) AS BLOB) END
FROM due_1 ORDER BY lane, seq;

DROP TABLE due_1;

CREATE INDEX due_at ON due (lane, tried, at, seq);
