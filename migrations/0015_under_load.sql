-- What many tickets at once ask for.

-- A filter of several values is judged within the index: where what is looked for is rare under one
-- priority, its rows must not be read to find that out.
DROP INDEX IF EXISTS idx_ticket_queue_clock;
CREATE INDEX idx_ticket_queue_clock
    ON ticket_queue (tenant_id, priority, clock_at, state, incident_type)
 WHERE is_open AND stands_at IS NULL;

-- How late steps were raised by timers, within a span until now; also by one that caught up for others.
CREATE OR REPLACE FUNCTION timer_lateness(p_span interval)
RETURNS TABLE (fired bigint, p50_ms bigint, p99_ms bigint, max_ms bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY ms),
           percentile_disc(0.99) WITHIN GROUP (ORDER BY ms), max(ms)
      FROM (SELECT (details->>'lateness_ms')::bigint AS ms FROM ticket_escalations
             WHERE raised_at > now() - p_span AND details->>'detector' IN ('timer', 'catch_up')) late
$$;

-- A stored answer is small, or as large as a list of thousands of technicians: then compressing it costs
-- more than the place that it saves.
ALTER TABLE idempotency_keys ALTER COLUMN response_body SET STORAGE EXTERNAL;
