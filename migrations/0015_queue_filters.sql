-- A filter of several values is judged within the index: where what is looked for is rare under one
-- priority, its rows must not be read to find that out.

DROP INDEX IF EXISTS idx_ticket_queue_clock;
CREATE INDEX idx_ticket_queue_clock
    ON ticket_queue (tenant_id, priority, clock_at, state, incident_type)
 WHERE is_open AND stands_at IS NULL;
