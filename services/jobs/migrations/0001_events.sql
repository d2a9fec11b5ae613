-- What producers reported, and what was made of it. Every raw table is keyed by (project, id), so that an event
-- that is delivered twice is stored, and counted, once.

CREATE TABLE metrics (
    project      text        NOT NULL,
    id           text        NOT NULL,
    occurred_at  timestamptz NOT NULL,
    received_at  timestamptz NOT NULL,
    stored_at    timestamptz NOT NULL DEFAULT now(),
    page         text        NOT NULL,
    name         text        NOT NULL,
    value        float8      NOT NULL,
    device       text        NOT NULL,
    data         jsonb       NOT NULL,  -- what the producer sent
    PRIMARY KEY (project, id)
);
CREATE INDEX metrics_by_time ON metrics (occurred_at);

CREATE TABLE vitals_minute (
    project           text        NOT NULL,
    page              text        NOT NULL,
    metric            text        NOT NULL,
    device            text        NOT NULL,
    minute            timestamptz NOT NULL,  -- the minute's start, by when samples occurred
    count             bigint      NOT NULL,
    sum               float8      NOT NULL,
    min               float8      NOT NULL,
    max               float8      NOT NULL,
    good              bigint      NOT NULL,  -- rated by exact values, not by buckets
    needs_improvement bigint      NOT NULL,
    poor              bigint      NOT NULL,
    buckets           jsonb       NOT NULL,  -- logarithmic histogram: {"bucket": samples}, see sketch.py
    PRIMARY KEY (project, metric, page, device, minute)
);
CREATE INDEX vitals_minute_by_time ON vitals_minute (minute);

CREATE FUNCTION buckets_merged(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_object_agg(key, samples)
    FROM (
        SELECT key, sum(value::bigint) AS samples
        FROM (SELECT * FROM jsonb_each_text(a) UNION ALL SELECT * FROM jsonb_each_text(b)) AS both_sides
        GROUP BY key
    ) AS merged
$$;

CREATE TABLE issues (
    id           uuid        PRIMARY KEY,
    project      text        NOT NULL,
    fingerprint  text        NOT NULL,  -- with the grouping's version in front, see issues.py
    title        text        NOT NULL,
    culprit      text        NOT NULL,
    level        text        NOT NULL,
    state        text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved', 'ignored', 'regressed')),
    event_count  bigint      NOT NULL,
    first_seen   timestamptz NOT NULL,
    last_seen    timestamptz NOT NULL,
    last_release text        NOT NULL DEFAULT '',
    resolved_at  timestamptz,
    UNIQUE (project, fingerprint)
);
CREATE INDEX issues_by_last_seen ON issues (project, last_seen DESC);

CREATE TABLE error_events (
    project     text        NOT NULL,
    id          text        NOT NULL,
    fingerprint text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    stored_at   timestamptz NOT NULL DEFAULT now(),
    data        jsonb       NOT NULL,
    PRIMARY KEY (project, id)
);
CREATE INDEX error_events_by_issue ON error_events (project, fingerprint, occurred_at DESC);
CREATE INDEX error_events_by_time ON error_events (occurred_at);

CREATE TABLE page_views (
    project     text        NOT NULL,
    id          text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    stored_at   timestamptz NOT NULL DEFAULT now(),
    page        text        NOT NULL,
    data        jsonb       NOT NULL,
    PRIMARY KEY (project, id)
);
CREATE INDEX page_views_by_time ON page_views (occurred_at);

CREATE TABLE page_views_minute (
    project text        NOT NULL,
    page    text        NOT NULL,
    minute  timestamptz NOT NULL,
    views   bigint      NOT NULL,
    PRIMARY KEY (project, page, minute)
);
CREATE INDEX page_views_minute_by_time ON page_views_minute (minute);

CREATE TABLE custom_events (
    project     text        NOT NULL,
    id          text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    stored_at   timestamptz NOT NULL DEFAULT now(),
    name        text        NOT NULL,
    data        jsonb       NOT NULL,
    PRIMARY KEY (project, id)
);
CREATE INDEX custom_events_by_time ON custom_events (occurred_at);

CREATE TABLE custom_events_minute (
    project text        NOT NULL,
    name    text        NOT NULL,
    minute  timestamptz NOT NULL,
    count   bigint      NOT NULL,
    PRIMARY KEY (project, name, minute)
);
CREATE INDEX custom_events_minute_by_time ON custom_events_minute (minute);

CREATE TABLE load_tests (
    id         uuid        PRIMARY KEY,
    started_at timestamptz NOT NULL,
    scenario   text        NOT NULL,
    result     jsonb       NOT NULL
);
CREATE INDEX load_tests_by_time ON load_tests (started_at DESC);
