-- SLA contracts of accounts, adjustments of clocks, and a queue that knows clocks which can stand.

-- The contract of the policy bundle that an account has; NULL is the standard one, whose clock always
-- runs. All that follows concerns accounts with another.
ALTER TABLE accounts ADD COLUMN IF NOT EXISTS sla_contract text CHECK (sla_contract ~ '\S');

-- Pauses recorded afterwards: a hold that nobody entered in time.
CREATE TABLE IF NOT EXISTS sla_adjustments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    reason text NOT NULL CHECK (reason ~ '\S'),
    created_by text NOT NULL CHECK (created_by ~ '\S'),
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (starts_at >= '1970-01-01Z' AND ends_at > starts_at AND ends_at < '9999-01-01Z')
);
CREATE INDEX IF NOT EXISTS idx_sla_adjustments_ticket ON sla_adjustments (ticket_id, created_at);
SELECT protect_tenant_table('sla_adjustments', 'set_tenant_of_ticket_row', 'ticket_id');
GRANT SELECT, INSERT ON sla_adjustments TO dispatch_app;

-- What a ticket's clock follows from; NULL under the standard contract, unless p_always. A ticket of
-- NULL is one that is about to be created. Volatile, so that it sees what is true now, not what was
-- when its statement began to wait for a lock.
CREATE OR REPLACE FUNCTION sla_facts(
    p_ticket uuid, p_account uuid, p_site uuid, p_always boolean DEFAULT false
) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    named text;
BEGIN
    SELECT sla_contract INTO named FROM accounts WHERE id = p_account;
    IF named IS NULL AND NOT p_always THEN
        RETURN NULL;
    END IF;
    RETURN (
        SELECT jsonb_build_object(
                   'contract', coalesce(named, 'standard'), 'hours', s.hours_json::text,
                   'timezone', s.timezone, 'country', s.country, 'region', s.region,
                   'moves', (SELECT coalesce(jsonb_agg(jsonb_build_array(t.to_state, t.created_at)
                                                       ORDER BY t.seq), '[]')
                               FROM ticket_state_transitions t WHERE t.ticket_id = p_ticket),
                   'adjustments',
                   (SELECT coalesce(jsonb_agg(jsonb_build_array(a.starts_at, a.ends_at, a.reason)
                                              ORDER BY a.starts_at), '[]')
                      FROM sla_adjustments a WHERE a.ticket_id = p_ticket))
          FROM sites s WHERE s.id = p_site
    );
END $$;
REVOKE ALL ON FUNCTION sla_facts FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sla_facts TO dispatch_app;

-- A row under a contract of its own has clock_at = its deadline - the standard target of its priority,
-- so that one order by clock_at serves all. The calendars are not known here: the row is judged by
-- the program, whose rules `judged_by` names; NULL means that something changed since, and a reader
-- judges it by itself. `changes` keeps a verdict from being stored that is older than a change.
-- From `stands_at` on the clock stands, with `minutes_left` left. `starts_at` is the clock's start.
ALTER TABLE ticket_queue ADD COLUMN IF NOT EXISTS contract text;
ALTER TABLE ticket_queue ADD COLUMN IF NOT EXISTS starts_at timestamptz;
ALTER TABLE ticket_queue ADD COLUMN IF NOT EXISTS stands_at timestamptz;
ALTER TABLE ticket_queue ADD COLUMN IF NOT EXISTS minutes_left int;
ALTER TABLE ticket_queue ADD COLUMN IF NOT EXISTS judged_by bigint;
ALTER TABLE ticket_queue ADD COLUMN IF NOT EXISTS changes bigint NOT NULL DEFAULT 0;

CREATE INDEX IF NOT EXISTS idx_ticket_queue_judged
    ON ticket_queue (tenant_id, judged_by) WHERE contract IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_ticket_queue_standing
    ON ticket_queue (tenant_id, minutes_left) WHERE stands_at IS NOT NULL AND is_open;
CREATE INDEX IF NOT EXISTS idx_ticket_queue_stands
    ON ticket_queue (tenant_id, stands_at) WHERE stands_at IS NOT NULL AND is_open;

-- Clocks that stand fall behind, so they would crowd the front of the order by clock_at.
DROP INDEX IF EXISTS idx_ticket_queue_clock, idx_ticket_queue_order, idx_ticket_queue_state,
    idx_ticket_queue_account, idx_ticket_queue_site, idx_ticket_queue_tech,
    idx_ticket_queue_incident;
CREATE INDEX idx_ticket_queue_clock
    ON ticket_queue (tenant_id, priority, clock_at) WHERE is_open AND stands_at IS NULL;
CREATE INDEX idx_ticket_queue_order
    ON ticket_queue (tenant_id, priority, region_weight, newest_first, ticket_id)
 WHERE is_open AND stands_at IS NULL;
CREATE INDEX idx_ticket_queue_state
    ON ticket_queue (tenant_id, state, priority, clock_at) WHERE stands_at IS NULL;
CREATE INDEX idx_ticket_queue_account
    ON ticket_queue (tenant_id, account_id, priority, clock_at)
 WHERE is_open AND stands_at IS NULL;
CREATE INDEX idx_ticket_queue_site
    ON ticket_queue (tenant_id, site_id, priority, clock_at) WHERE is_open AND stands_at IS NULL;
CREATE INDEX idx_ticket_queue_tech
    ON ticket_queue (tenant_id, assigned_tech_id, priority, clock_at)
 WHERE is_open AND stands_at IS NULL AND assigned_tech_id IS NOT NULL;
CREATE INDEX idx_ticket_queue_incident
    ON ticket_queue (tenant_id, incident_type, priority, clock_at)
 WHERE is_open AND stands_at IS NULL AND incident_type IS NOT NULL;

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
           stands_at = NULL, minutes_left = NULL, judged_by = NULL, changes = q.changes + 1,
           region_weight = v.region_weight,
           newest_first = CASE WHEN q.audited_at > v.audited_at THEN q.newest_first
                               ELSE v.newest_first END,
           audited_at = greatest(q.audited_at, v.audited_at),
           moved_at = greatest(q.moved_at, v.moved_at)
      FROM ticket_queue_source v
     WHERE q.ticket_id = p_ticket AND v.ticket_id = p_ticket;
    IF NOT FOUND THEN
        INSERT INTO ticket_queue
        SELECT v.*, contract_of(v.account_id), v.clock_at
          FROM ticket_queue_source v WHERE v.ticket_id = p_ticket;
    END IF;
END $$;
REVOKE ALL ON FUNCTION refresh_ticket_queue FROM PUBLIC;

-- The contract of an account, which does not change until the transaction has committed its row.
CREATE OR REPLACE FUNCTION contract_of(p_account uuid) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT sla_contract FROM accounts WHERE id = p_account FOR SHARE
$$;
REVOKE ALL ON FUNCTION contract_of FROM PUBLIC;

-- Under a contract of its own, any change of the ticket may concern its clock.
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
           AND (q.audited_at IS NOT NULL OR q.newest_first = negated_ms(NEW.updated_at))
    ) THEN
        PERFORM refresh_ticket_queue(NEW.id);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION queue_moved_ticket() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    queued ticket_queue;
BEGIN
    SELECT * INTO queued FROM ticket_queue WHERE ticket_id = NEW.ticket_id;
    IF queued.judged_by IS NOT NULL THEN
        UPDATE ticket_queue SET judged_by = NULL, changes = changes + 1
         WHERE ticket_id = NEW.ticket_id AND contract IS NOT NULL;
    END IF;
    IF queued.moved_at >= NEW.created_at THEN
        RETURN NULL;
    ELSIF holds_ticket(NEW.ticket_id) THEN
        PERFORM refresh_ticket_queue(NEW.ticket_id);
    ELSE
        UPDATE ticket_queue SET moved_at = NEW.created_at
         WHERE ticket_id = NEW.ticket_id AND (moved_at < NEW.created_at OR moved_at IS NULL);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION queue_adjusted_ticket() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE ticket_queue SET judged_by = NULL, changes = changes + 1
     WHERE ticket_id IN (OLD.ticket_id, NEW.ticket_id) AND contract IS NOT NULL;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION queue_moved_hours() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE ticket_queue SET judged_by = NULL, changes = changes + 1
     WHERE ticket_id IN (SELECT id FROM tickets WHERE site_id = NEW.id) AND contract IS NOT NULL;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION queue_moved_contract() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE ticket_queue
       SET contract = NEW.sla_contract, clock_at = coalesce(starts_at, clock_at),
           starts_at = coalesce(starts_at, clock_at), stands_at = NULL, minutes_left = NULL,
           judged_by = NULL, changes = changes + 1
     WHERE ticket_id IN (SELECT id FROM tickets WHERE account_id = NEW.id);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER trg_sla_adjustments_queue
    AFTER INSERT OR UPDATE OR DELETE ON sla_adjustments
    FOR EACH ROW EXECUTE FUNCTION queue_adjusted_ticket();
CREATE OR REPLACE TRIGGER trg_sites_queue_hours
    AFTER UPDATE OF hours_json, timezone, country, region ON sites FOR EACH ROW
    WHEN ((NEW.hours_json, NEW.timezone, NEW.country, NEW.region)
          IS DISTINCT FROM (OLD.hours_json, OLD.timezone, OLD.country, OLD.region))
    EXECUTE FUNCTION queue_moved_hours();
CREATE OR REPLACE TRIGGER trg_accounts_queue
    AFTER UPDATE OF sla_contract ON accounts FOR EACH ROW
    WHEN (NEW.sla_contract IS DISTINCT FROM OLD.sla_contract)
    EXECUTE FUNCTION queue_moved_contract();

-- Stores a verdict on the ticket's clock, unless something changed since it was reached.
CREATE OR REPLACE FUNCTION judge_ticket_queue(
    p_ticket uuid, p_changes bigint, p_clock_at timestamptz, p_stands_at timestamptz,
    p_minutes_left int, p_judged_by bigint
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE ticket_queue
       SET clock_at = p_clock_at, stands_at = p_stands_at, minutes_left = p_minutes_left,
           judged_by = p_judged_by
     WHERE ticket_id = p_ticket AND contract IS NOT NULL AND changes = p_changes
       AND tenant_id = current_setting('dispatch.tenant', true);
    RETURN FOUND;
END $$;

-- Open tickets of the whole installation whose clock these rules did not judge since it changed.
CREATE OR REPLACE FUNCTION unjudged_tickets(p_judged_by bigint, p_limit int)
RETURNS TABLE (tenant_id text, ticket_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT q.tenant_id, q.ticket_id FROM ticket_queue q
     WHERE q.contract IS NOT NULL
       AND (q.judged_by IS NULL OR q.is_open AND q.judged_by <> p_judged_by)
     LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION judge_ticket_queue, unjudged_tickets FROM PUBLIC;
GRANT EXECUTE ON FUNCTION judge_ticket_queue, unjudged_tickets TO dispatch_app;
