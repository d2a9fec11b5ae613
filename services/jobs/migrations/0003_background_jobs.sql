-- The truth about every job. Kafka carries requests and hints; a worker holds a job by its lease, and `lease_no`,
-- which only grows, is the fence: whoever completes or fails a job must name the number that it claimed with.

CREATE TABLE background_jobs (
    id               uuid        PRIMARY KEY,
    project          text        NOT NULL DEFAULT '1',
    type             text        NOT NULL,
    payload          jsonb       NOT NULL DEFAULT '{}',
    priority         int         NOT NULL DEFAULT 5 CHECK (priority BETWEEN 0 AND 9),  -- higher runs first
    status           text        NOT NULL DEFAULT 'pending'
                     CHECK (status IN ('pending', 'running', 'retrying', 'completed', 'failed', 'cancelled')),
    attempts         int         NOT NULL DEFAULT 0,  -- attempts started
    max_attempts     int         NOT NULL DEFAULT 3,
    scheduled_at     timestamptz NOT NULL DEFAULT now(),  -- not before this time
    created_at       timestamptz NOT NULL DEFAULT now(),
    last_attempt_at  timestamptz,
    completed_at     timestamptz,  -- when it entered a final state
    error            text,         -- why the last attempt failed
    errors           jsonb       NOT NULL DEFAULT '[]',  -- every failed attempt: [{"attempt", "at", "error"}]
    result           jsonb,
    hinted_at        timestamptz,  -- when a hint was, or will be, sent; the sweeper sends another some time after
    lease_no         bigint      NOT NULL DEFAULT 0,
    lease_owner      text,
    lease_expires_at timestamptz
);
CREATE INDEX background_jobs_due ON background_jobs (scheduled_at) WHERE status IN ('pending', 'retrying');
CREATE INDEX background_jobs_leases ON background_jobs (lease_expires_at) WHERE status = 'running';
CREATE INDEX background_jobs_by_creation ON background_jobs (created_at DESC);
CREATE INDEX background_jobs_by_status ON background_jobs (status, created_at DESC);

-- Every change of state is told, whoever makes it and by whatever statement.
CREATE FUNCTION tell_job_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (kind, key, payload)
    SELECT 'job_status', id::text, jsonb_build_object(
        'id', id, 'type', type, 'status', status, 'attempts', attempts, 'at', now(), 'error', error)
    FROM inserted;
    RETURN NULL;
END $$;

CREATE FUNCTION tell_job_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (kind, key, payload)
    SELECT 'job_status', new_row.id::text, jsonb_build_object(
        'id', new_row.id, 'type', new_row.type, 'status', new_row.status, 'attempts', new_row.attempts,
        'at', now(), 'error', new_row.error)
    FROM new_rows AS new_row JOIN old_rows AS old_row USING (id)
    WHERE new_row.status <> old_row.status;
    RETURN NULL;
END $$;

CREATE TRIGGER background_jobs_inserted AFTER INSERT ON background_jobs
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION tell_job_inserted();
CREATE TRIGGER background_jobs_changed AFTER UPDATE ON background_jobs
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tell_job_changed();

-- What the job types make.
CREATE TABLE notifications (
    job_id     uuid        PRIMARY KEY,  -- a job that runs twice notifies once
    recipient  text        NOT NULL,
    title      text        NOT NULL,
    body       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    read_at    timestamptz
);

CREATE TABLE reports (
    job_id     uuid        PRIMARY KEY,
    project    text        NOT NULL,
    kind       text        NOT NULL,
    from_time  timestamptz NOT NULL,
    to_time    timestamptz NOT NULL,
    content    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE statistics_daily (
    project        text        NOT NULL,
    day            date        NOT NULL,
    errors         bigint      NOT NULL,
    metrics        bigint      NOT NULL,
    page_views     bigint      NOT NULL,
    custom_events  bigint      NOT NULL,
    jobs_completed bigint      NOT NULL,
    jobs_failed    bigint      NOT NULL,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, day)
);

CREATE TABLE emails_sent (
    job_id     uuid        NOT NULL,
    recipient  text        NOT NULL,
    message_id text        NOT NULL,
    sent_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, recipient)  -- a batch that is tried again leaves out who already has the mail
);
