-- The queue knows which tickets have a window that begins after what their priority promised: by `promise_at`, the
-- clock as it would be without the window (as `clock_at` is with it). Where a window cannot have put it off, it is NULL.

ALTER TABLE ticket_queue ADD COLUMN IF NOT EXISTS promise_at timestamptz;
CREATE INDEX IF NOT EXISTS idx_ticket_queue_promise
    ON ticket_queue (tenant_id, priority, promise_at, state, incident_type)
 WHERE promise_at IS NOT NULL AND stands_at IS NULL AND is_open;

-- The clock that a ticket under the standard contract would have without its window. How long the promise lasts, and
-- whose it is, the rules of the program know.
CREATE OR REPLACE FUNCTION promise_of(p_state text, p_created timestamptz, p_scheduled timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_scheduled > p_created AND p_state IN ('SCHEDULE_PROPOSED', 'SCHEDULED',
                                                             'PENDING_CUSTOMER_CONFIRMATION', 'DISPATCHED')
                THEN p_created END
$$;

CREATE OR REPLACE FUNCTION refresh_ticket_queue(p_ticket uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE ticket_queue q
       SET state = v.state, is_open = v.is_open, priority = v.priority,
           contract = CASE WHEN q.account_id = v.account_id THEN q.contract
                           ELSE contract_of(v.account_id) END,
           account_id = v.account_id, site_id = v.site_id,
           assigned_tech_id = v.assigned_tech_id, incident_type = v.incident_type,
           clock_at = v.clock_at, starts_at = v.clock_at,
           promise_at = CASE WHEN q.account_id = v.account_id AND q.contract IS NULL
                             THEN promise_of(v.state, t.created_at, t.scheduled_start) END,
           stands_at = NULL, minutes_left = NULL, judged_by = NULL, changes = q.changes + 1,
           region_weight = v.region_weight,
           newest_first = CASE WHEN q.audited_at > v.audited_at THEN q.newest_first
                               ELSE v.newest_first END,
           audited_at = greatest(q.audited_at, v.audited_at),
           moved_at = greatest(q.moved_at, v.moved_at)
      FROM ticket_queue_source v JOIN tickets t ON t.id = v.ticket_id
     WHERE q.ticket_id = p_ticket AND v.ticket_id = p_ticket;
    IF NOT FOUND THEN
        INSERT INTO ticket_queue (
            ticket_id, tenant_id, state, is_open, priority, account_id, site_id, assigned_tech_id,
            incident_type, clock_at, region_weight, newest_first, audited_at, moved_at, contract,
            starts_at, promise_at)
        SELECT v.*, c.contract, v.clock_at,
               CASE WHEN c.contract IS NULL
                    THEN promise_of(v.state, t.created_at, t.scheduled_start) END
          FROM ticket_queue_source v JOIN tickets t ON t.id = v.ticket_id,
               LATERAL (SELECT contract_of(v.account_id) AS contract) c
         WHERE v.ticket_id = p_ticket;
    END IF;
END $$;
REVOKE ALL ON FUNCTION refresh_ticket_queue FROM PUBLIC;

CREATE OR REPLACE FUNCTION queue_ticket() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM ticket_queue q
         WHERE q.ticket_id = NEW.id AND q.contract IS NULL AND q.state = NEW.state::text
           AND q.priority = NEW.priority::text
           AND q.account_id = NEW.account_id AND q.site_id = NEW.site_id
           AND q.assigned_tech_id IS NOT DISTINCT FROM NEW.assigned_tech_id
           AND q.incident_type IS NOT DISTINCT FROM upper(NEW.incident_type)
           AND coalesce(q.starts_at, q.clock_at) = coalesce(NEW.scheduled_start, NEW.created_at)
           AND q.promise_at IS NOT DISTINCT FROM
               promise_of(NEW.state::text, NEW.created_at, NEW.scheduled_start)
           AND (q.audited_at IS NOT NULL OR q.newest_first = negated_ms(NEW.updated_at))
    ) THEN
        PERFORM refresh_ticket_queue(NEW.id);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION queue_moved_contract() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE ticket_queue q
       SET contract = NEW.sla_contract, clock_at = coalesce(q.starts_at, q.clock_at),
           starts_at = coalesce(q.starts_at, q.clock_at), stands_at = NULL, minutes_left = NULL,
           promise_at = CASE WHEN NEW.sla_contract IS NULL
                             THEN promise_of(t.state::text, t.created_at, t.scheduled_start) END,
           judged_by = NULL, changes = changes + 1
      FROM tickets t
     WHERE t.id = q.ticket_id AND t.account_id = NEW.id;
    RETURN NULL;
END $$;

-- As judge_ticket_queue, which an older worker calls, with the promise.
CREATE OR REPLACE FUNCTION judge_ticket_place(
    p_ticket uuid, p_changes bigint, p_clock_at timestamptz, p_stands_at timestamptz,
    p_minutes_left int, p_promise_at timestamptz, p_judged_by bigint
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE ticket_queue
       SET clock_at = p_clock_at, stands_at = p_stands_at, minutes_left = p_minutes_left,
           promise_at = p_promise_at, judged_by = p_judged_by
     WHERE ticket_id = p_ticket AND contract IS NOT NULL AND changes = p_changes
       AND tenant_id = current_setting('dispatch.tenant', true);
    RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION judge_ticket_place FROM PUBLIC;
GRANT EXECUTE ON FUNCTION judge_ticket_place TO dispatch_app;

UPDATE ticket_queue q SET promise_at = promise_of(t.state::text, t.created_at, t.scheduled_start)
  FROM tickets t
 WHERE t.id = q.ticket_id AND q.contract IS NULL
   AND promise_of(t.state::text, t.created_at, t.scheduled_start) IS NOT NULL;
