-- Jobs that come again by the clock. `next_at` is the next tick; a tick's job has an id that is derived from the
-- schedule's name and the tick, so that a tick is one job whoever makes it, and however often.

CREATE TABLE schedules (
    name       text        PRIMARY KEY,
    cron       text        NOT NULL,  -- five fields, as Debian's cron reads them
    timezone   text        NOT NULL DEFAULT 'UTC',  -- an IANA name
    type       text        NOT NULL,
    payload    jsonb       NOT NULL DEFAULT '{}',
    priority   int         NOT NULL DEFAULT 5 CHECK (priority BETWEEN 0 AND 9),
    missed     text        NOT NULL DEFAULT 'once' CHECK (missed IN ('once', 'all', 'skip')),
    enabled    boolean     NOT NULL DEFAULT true,
    next_at    timestamptz NOT NULL,
    last_at    timestamptz,  -- the last tick that became a job
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX schedules_due ON schedules (next_at) WHERE enabled;

ALTER TABLE background_jobs ADD COLUMN schedule text;  -- the schedule that made it
