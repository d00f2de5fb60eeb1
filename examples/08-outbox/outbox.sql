-- The outbox: a service writes a row here in the transaction that makes it true. `fanout` is the dispatcher's column.
CREATE TABLE outbox (
    id         bigserial PRIMARY KEY,
    type       text        NOT NULL,
    data       jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    fanout     text
);

-- Finds what nobody has taken, and what a dispatcher has reserved.
CREATE INDEX outbox_fanout ON outbox (fanout, id);

-- Tells dispatchers that there are rows, once the transaction that wrote them is committed.
CREATE FUNCTION outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY outbox;
    RETURN NULL;
END
$$;
CREATE TRIGGER outbox_written AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_notify();

-- What the service keeps in the same database.
CREATE TABLE orders (
    id    bigserial PRIMARY KEY,
    item  text   NOT NULL,
    cents bigint NOT NULL
);

-- A dispatcher needs no more than this: GRANT SELECT, DELETE, UPDATE (fanout) ON outbox TO fanout;
