-- Every statement that is run on an outbox table, by name. Names in braces stand for quoted names of the table and its
-- columns. What becomes of a row, told by its column {state}:
--
--     null ──► reserved                    by one journal and route: only that one takes it, however often it crashes
--               ├─► deleted, or 'taken'    once its event is on disk in that journal
--               ├─► 'refused: …'           it cannot be an event; set to null again, it is looked at again
--               └─► null                   its dispatcher stops and had not taken it yet

-- name: type_of_data
-- What kind of bytes the data is.
SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2::text AND NOT attisdropped

-- name: reserve
-- null → reserved: the first rows that nobody has, up to $2 with those that are reserved already. Rows that another
-- dispatcher is about to reserve are left to it.
WITH free AS MATERIALIZED (
    SELECT {id} AS id FROM {table} WHERE {state} IS NULL ORDER BY {order_by}
    LIMIT greatest(0, $2::bigint - (SELECT count(*) FROM {table} WHERE {state} = $1::text))
    FOR UPDATE SKIP LOCKED
)
UPDATE {table} AS o SET {state} = $1::text FROM free WHERE o.{id} = free.id AND o.{state} IS NULL

-- name: reserved
-- The rows that are reserved for $1, in order: up to $2 of them, and of up to $3 bytes together. Data over $4 bytes is not
-- brought along.
SELECT id, type, source, subject, time, content_type, headers, size, total,
       CASE WHEN size <= $4::bigint THEN data END AS data
FROM (
    SELECT {id}::text AS id, {type}::text AS type, {source} AS source, {subject} AS subject, {time} AS time,
           {content_type} AS content_type, {headers} AS headers, {body} AS data,
           coalesce(octet_length({body}), 0) AS size, count(*) OVER () AS total,
           coalesce(sum(octet_length({body})) OVER (ORDER BY {order_by} ROWS UNBOUNDED PRECEDING), 0) AS upto,
           row_number() OVER (ORDER BY {order_by}) AS place
    FROM {table} WHERE {state} = $1::text
) AS mine
WHERE place <= $2::bigint AND (place = 1 OR upto <= $3::bigint) ORDER BY place

-- name: delete
-- reserved → deleted.
DELETE FROM {table} WHERE {state} = $1::text AND {id}::text = ANY($2::text[])

-- name: mark
-- reserved → taken.
UPDATE {table} SET {state} = 'taken' WHERE {state} = $1::text AND {id}::text = ANY($2::text[])

-- name: refuse
-- reserved → refused, with the reason.
UPDATE {table} SET {state} = 'refused: ' || $3::text WHERE {state} = $1::text AND {id}::text = $2::text

-- name: release
-- reserved → null, but for rows whose events are on disk.
UPDATE {table} SET {state} = NULL WHERE {state} = $1::text AND {id}::text <> ALL($2::text[])
