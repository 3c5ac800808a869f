-- Escalation ladders: who let them wait, when each ticket must be looked at next, and how late timers fire.

-- Until when a ticket's escalations of a kind wait; '*' is every kind.
CREATE TABLE IF NOT EXISTS ticket_snoozes (
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind ~ '\S'),
    snoozed_until timestamptz NOT NULL,
    snoozed_by text NOT NULL CHECK (snoozed_by ~ '\S'),
    reason text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (ticket_id, kind)
);
SELECT protect_tenant_table('ticket_snoozes', 'set_tenant_of_ticket_row', 'ticket_id');
GRANT SELECT, INSERT, UPDATE ON ticket_snoozes TO dispatch_app;

-- When a ticket must be looked at next; never later than its nearest deadline, NULL when none is ahead.
-- Commands move it only forward in time towards now, a look at the ticket says it exactly. `known_at` is
-- when that instant became known: nothing can be raised before it.
CREATE TABLE IF NOT EXISTS ticket_deadlines (
    ticket_id uuid PRIMARY KEY REFERENCES tickets ON DELETE CASCADE,
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    due_at timestamptz,
    known_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_ticket_deadlines_due
    ON ticket_deadlines (due_at) WHERE due_at IS NOT NULL;
SELECT protect_tenant_table('ticket_deadlines', 'set_tenant_of_ticket_row', 'ticket_id');
GRANT SELECT, INSERT, UPDATE ON ticket_deadlines TO dispatch_app;

-- Tickets from before are looked at once.
INSERT INTO ticket_deadlines (ticket_id, tenant_id, due_at, known_at)
SELECT id, tenant_id, now(), now() FROM tickets WHERE state NOT IN ('CLOSED', 'CANCELLED')
ON CONFLICT (ticket_id) DO NOTHING;

-- What happened to a ticket's ladders so far, the zone of its site, and since when its next deadline is known.
CREATE OR REPLACE FUNCTION ticket_ladders(p_ticket uuid)
RETURNS TABLE (timezone text, known_at timestamptz, raised jsonb, snoozes jsonb)
LANGUAGE sql STABLE AS $$
    SELECT s.timezone, d.known_at,
           (SELECT coalesce(jsonb_agg(jsonb_build_object(
                       'id', e.id, 'kind', e.kind, 'level', e.level, 'due_at', e.due_at,
                       'raised_at', e.raised_at, 'acknowledged_by', e.acknowledged_by,
                       'acknowledged_at', e.acknowledged_at,
                       'lateness_ms', coalesce(
                           (e.details->>'lateness_ms')::bigint,
                           trunc(extract(epoch FROM greatest(e.raised_at - e.due_at, '0')) * 1000)))
                       ORDER BY e.raised_at, e.due_at, e.id), '[]')
              FROM ticket_escalations e WHERE e.ticket_id = t.id),
           (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', z.kind,
                                                         'until', z.snoozed_until)), '[]')
              FROM ticket_snoozes z WHERE z.ticket_id = t.id)
      FROM tickets t
      JOIN sites s ON s.id = t.site_id
      LEFT JOIN ticket_deadlines d ON d.ticket_id = t.id
     WHERE t.id = p_ticket
$$;

-- Tickets of the whole installation that should have been looked at, the longest overdue first.
CREATE OR REPLACE FUNCTION overdue_tickets(p_grace interval, p_limit int)
RETURNS TABLE (tenant_id text, ticket_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT d.tenant_id, d.ticket_id FROM ticket_deadlines d
     WHERE d.due_at <= now() - p_grace AND d.known_at <= now() - p_grace
     ORDER BY d.due_at LIMIT p_limit
$$;

-- How late steps were raised by timers, within a span until now.
CREATE INDEX IF NOT EXISTS idx_ticket_escalations_raised ON ticket_escalations (raised_at);
CREATE OR REPLACE FUNCTION timer_lateness(p_span interval)
RETURNS TABLE (fired bigint, p50_ms bigint, p99_ms bigint, max_ms bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY ms),
           percentile_disc(0.99) WITHIN GROUP (ORDER BY ms), max(ms)
      FROM (SELECT (details->>'lateness_ms')::bigint AS ms FROM ticket_escalations
             WHERE raised_at > now() - p_span AND details->>'detector' = 'timer') late
$$;
REVOKE ALL ON FUNCTION ticket_ladders, overdue_tickets, timer_lateness FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ticket_ladders, overdue_tickets, timer_lateness TO dispatch_app;
