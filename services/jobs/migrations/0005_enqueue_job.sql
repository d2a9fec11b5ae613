-- Asking for a job in the caller's own transaction: the row is the request, and it is there exactly when the
-- transaction is. No hint is sent; the sweeper finds the row a moment after the commit. A second call with the same
-- id changes nothing.

CREATE FUNCTION enqueue_job(
    job_type         text,
    job_payload      jsonb       DEFAULT '{}',
    job_priority     int         DEFAULT 5,
    job_scheduled_at timestamptz DEFAULT now(),
    job_max_attempts int         DEFAULT 3,
    job_project      text        DEFAULT '1',
    job_id           uuid        DEFAULT gen_random_uuid()
) RETURNS uuid LANGUAGE sql AS $$
    INSERT INTO background_jobs (id, project, type, payload, priority, scheduled_at, max_attempts)
    VALUES (job_id, job_project, job_type, job_payload, job_priority, job_scheduled_at, job_max_attempts)
    ON CONFLICT (id) DO NOTHING;
    SELECT job_id;
$$;
