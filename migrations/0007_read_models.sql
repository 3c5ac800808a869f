-- What the dispatcher's queue is read from: one narrow row a ticket, kept true by triggers, whichever
-- way the ticket, its audit, its transitions or its site change.

-- The weight of a region in the queue's order; a blank region has 500.
CREATE OR REPLACE FUNCTION region_weight(p_region text) RETURNS int
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    word text := upper(btrim(coalesce(p_region, ''), E' \t\n\r\f\v'));
    total int := 0;
BEGIN
    IF word = '' THEN
        RETURN 500;
    END IF;
    FOR position IN 1 .. length(word) LOOP
        total := (31 * total + ascii(substr(word, position, 1))) % 100000;
    END LOOP;
    RETURN 10 + total % 981;
END $$;

CREATE OR REPLACE FUNCTION negated_ms(p_at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT -floor(extract(epoch FROM p_at) * 1000)::bigint
$$;

-- States are text here: comparisons of enums are not leakproof, so that under row-level security no
-- index would serve them. `newest_first` is the negated time of the last update in milliseconds,
-- so that the whole order of the queue ascends.
CREATE TABLE IF NOT EXISTS ticket_queue (
    ticket_id uuid PRIMARY KEY REFERENCES tickets ON DELETE CASCADE,
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    state text NOT NULL,
    is_open boolean NOT NULL,
    priority text NOT NULL,
    account_id uuid NOT NULL,
    site_id uuid NOT NULL,
    assigned_tech_id uuid,
    incident_type text,
    clock_at timestamptz NOT NULL,
    region_weight int NOT NULL,
    newest_first bigint NOT NULL,
    audited_at timestamptz,
    moved_at timestamptz
);

CREATE INDEX IF NOT EXISTS idx_ticket_queue_clock
    ON ticket_queue (tenant_id, priority, clock_at) WHERE is_open;
CREATE INDEX IF NOT EXISTS idx_ticket_queue_order
    ON ticket_queue (tenant_id, priority, region_weight, newest_first, ticket_id) WHERE is_open;
CREATE INDEX IF NOT EXISTS idx_ticket_queue_state
    ON ticket_queue (tenant_id, state, priority, clock_at);
CREATE INDEX IF NOT EXISTS idx_ticket_queue_account
    ON ticket_queue (tenant_id, account_id, priority, clock_at) WHERE is_open;
CREATE INDEX IF NOT EXISTS idx_ticket_queue_site
    ON ticket_queue (tenant_id, site_id, priority, clock_at) WHERE is_open;
CREATE INDEX IF NOT EXISTS idx_ticket_queue_tech
    ON ticket_queue (tenant_id, assigned_tech_id, priority, clock_at)
    WHERE is_open AND assigned_tech_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_ticket_queue_incident
    ON ticket_queue (tenant_id, incident_type, priority, clock_at)
    WHERE is_open AND incident_type IS NOT NULL;

-- The queue row of a ticket as its tables say now.
CREATE OR REPLACE VIEW ticket_queue_source AS
SELECT t.id AS ticket_id, t.tenant_id, t.state::text AS state,
       t.state NOT IN ('CLOSED', 'CANCELLED') AS is_open, t.priority::text AS priority,
       t.account_id, t.site_id, t.assigned_tech_id, upper(t.incident_type) AS incident_type,
       coalesce(t.scheduled_start, t.created_at) AS clock_at,
       region_weight(s.region) AS region_weight,
       negated_ms(coalesce(a.created_at, t.updated_at)) AS newest_first,
       a.created_at AS audited_at, m.created_at AS moved_at
  FROM tickets t
  JOIN sites s ON s.id = t.site_id
  LEFT JOIN LATERAL (SELECT created_at FROM audit_events WHERE ticket_id = t.id
                      ORDER BY created_at DESC LIMIT 1) a ON true
  LEFT JOIN LATERAL (SELECT created_at FROM ticket_state_transitions WHERE ticket_id = t.id
                      ORDER BY created_at DESC LIMIT 1) m ON true;
REVOKE ALL ON ticket_queue_source FROM PUBLIC;

-- Makes a ticket's queue row true. Only for a transaction that holds the ticket's row: then nobody else
-- changes the ticket, and of a newer audit row added meanwhile the time is kept.
CREATE OR REPLACE FUNCTION refresh_ticket_queue(p_ticket uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE ticket_queue q
       SET state = v.state, is_open = v.is_open, priority = v.priority,
           account_id = v.account_id, site_id = v.site_id,
           assigned_tech_id = v.assigned_tech_id, incident_type = v.incident_type,
           clock_at = v.clock_at, region_weight = v.region_weight,
           newest_first = CASE WHEN q.audited_at > v.audited_at THEN q.newest_first
                               ELSE v.newest_first END,
           audited_at = greatest(q.audited_at, v.audited_at),
           moved_at = greatest(q.moved_at, v.moved_at)
      FROM ticket_queue_source v
     WHERE q.ticket_id = p_ticket AND v.ticket_id = p_ticket;
    IF NOT FOUND THEN
        INSERT INTO ticket_queue SELECT v.* FROM ticket_queue_source v WHERE v.ticket_id = p_ticket;
    END IF;
END $$;
REVOKE ALL ON FUNCTION refresh_ticket_queue FROM PUBLIC;

-- A command writes ticket, audit and transitions in one statement, so the first of these triggers sees
-- all of it and makes the queue row true; the others find that it is.
CREATE OR REPLACE FUNCTION queue_ticket() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM ticket_queue q
         WHERE q.ticket_id = NEW.id AND q.state = NEW.state::text
           AND q.priority = NEW.priority::text
           AND q.account_id = NEW.account_id AND q.site_id = NEW.site_id
           AND q.assigned_tech_id IS NOT DISTINCT FROM NEW.assigned_tech_id
           AND q.incident_type IS NOT DISTINCT FROM upper(NEW.incident_type)
           AND q.clock_at = coalesce(NEW.scheduled_start, NEW.created_at)
           AND (q.audited_at IS NOT NULL OR q.newest_first = negated_ms(NEW.updated_at))
    ) THEN
        PERFORM refresh_ticket_queue(NEW.id);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION holds_ticket(p_ticket uuid) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM tickets WHERE id = p_ticket AND xmin = pg_current_xact_id()::xid)
$$;
REVOKE ALL ON FUNCTION holds_ticket FROM PUBLIC;

CREATE OR REPLACE FUNCTION queue_audited_ticket() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM ticket_queue
                WHERE ticket_id = NEW.ticket_id AND audited_at >= NEW.created_at) THEN
        RETURN NULL;
    ELSIF holds_ticket(NEW.ticket_id) THEN
        PERFORM refresh_ticket_queue(NEW.ticket_id);
    ELSE
        UPDATE ticket_queue
           SET audited_at = NEW.created_at, newest_first = negated_ms(NEW.created_at)
         WHERE ticket_id = NEW.ticket_id AND (audited_at < NEW.created_at OR audited_at IS NULL);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION queue_moved_ticket() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM ticket_queue
                WHERE ticket_id = NEW.ticket_id AND moved_at >= NEW.created_at) THEN
        RETURN NULL;
    ELSIF holds_ticket(NEW.ticket_id) THEN
        PERFORM refresh_ticket_queue(NEW.ticket_id);
    ELSE
        UPDATE ticket_queue SET moved_at = NEW.created_at
         WHERE ticket_id = NEW.ticket_id AND (moved_at < NEW.created_at OR moved_at IS NULL);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION queue_moved_region() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE ticket_queue SET region_weight = region_weight(NEW.region)
     WHERE tenant_id = NEW.tenant_id AND site_id = NEW.id AND is_open;
    UPDATE ticket_queue SET region_weight = region_weight(NEW.region)
     WHERE ticket_id IN (SELECT id FROM tickets WHERE site_id = NEW.id) AND NOT is_open;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER trg_tickets_queue
    AFTER INSERT OR UPDATE ON tickets FOR EACH ROW EXECUTE FUNCTION queue_ticket();
CREATE OR REPLACE TRIGGER trg_audit_events_queue
    AFTER INSERT ON audit_events FOR EACH ROW
    WHEN (NEW.ticket_id IS NOT NULL) EXECUTE FUNCTION queue_audited_ticket();
CREATE OR REPLACE TRIGGER trg_ticket_state_transitions_queue
    AFTER INSERT ON ticket_state_transitions FOR EACH ROW EXECUTE FUNCTION queue_moved_ticket();
CREATE OR REPLACE TRIGGER trg_sites_queue
    AFTER UPDATE OF region ON sites FOR EACH ROW
    WHEN (NEW.region IS DISTINCT FROM OLD.region) EXECUTE FUNCTION queue_moved_region();

INSERT INTO ticket_queue SELECT v.* FROM ticket_queue_source v
ON CONFLICT (ticket_id) DO NOTHING;

SELECT protect_tenant_table('ticket_queue', 'set_tenant_of_ticket_row', 'ticket_id');
GRANT SELECT ON ticket_queue TO dispatch_app;

-- The load of technicians and their other visits, for assignment.recommend: read without the tickets.
CREATE INDEX IF NOT EXISTS idx_tickets_load
    ON tickets (tenant_id, assigned_tech_id) INCLUDE (id, scheduled_start, scheduled_end, state)
 WHERE assigned_tech_id IS NOT NULL
   AND state NOT IN ('COMPLETED_PENDING_VERIFICATION', 'VERIFIED', 'INVOICED', 'CLOSED', 'CANCELLED');

-- How many tickets of the whole installation rest in one of the states since before an instant.
CREATE OR REPLACE FUNCTION resting_tickets(p_states text[], p_before timestamptz) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*) FROM ticket_queue q
     WHERE q.state = ANY (p_states)
       AND coalesce(q.moved_at, to_timestamp(-q.newest_first / 1000.0)) <= p_before
$$;

REVOKE ALL ON FUNCTION resting_tickets FROM PUBLIC;
GRANT EXECUTE ON FUNCTION resting_tickets TO dispatch_app;
