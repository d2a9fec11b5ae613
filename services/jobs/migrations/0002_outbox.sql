-- What is still to be told on Kafka. A row is written in the transaction that makes it true and deleted by the
-- relay after Kafka has acknowledged it; `kind` is mapped to a topic by relay.py.

CREATE TABLE outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL,
    key        text        NOT NULL,
    event_id   uuid        NOT NULL DEFAULT gen_random_uuid(),
    payload    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
