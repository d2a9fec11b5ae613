-- Raw rows are kept by when they were stored: they tell a redelivered event from a new one, and Kafka keeps records
-- by when it got them, however long ago an event occurred.

DROP INDEX metrics_by_time, error_events_by_time, page_views_by_time, custom_events_by_time;
CREATE INDEX metrics_by_storing ON metrics (stored_at);
CREATE INDEX error_events_by_storing ON error_events (stored_at);
CREATE INDEX page_views_by_storing ON page_views (stored_at);
CREATE INDEX custom_events_by_storing ON custom_events (stored_at);
CREATE INDEX metrics_by_occurrence ON metrics (project, occurred_at);
CREATE INDEX error_events_by_occurrence ON error_events (project, occurred_at);
CREATE INDEX page_views_by_occurrence ON page_views (project, occurred_at);
CREATE INDEX custom_events_by_occurrence ON custom_events (project, occurred_at);
