-- Which tickets an alert is about: those of a tenant (null: of all), the longest waiting first.
CREATE OR REPLACE FUNCTION resting_ticket_ids(
    p_tenant text, p_states text[], p_before timestamptz, p_most integer
) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT q.ticket_id FROM ticket_queue q
     WHERE q.state = ANY (p_states) AND (p_tenant IS NULL OR q.tenant_id = p_tenant)
       AND coalesce(q.moved_at, to_timestamp(-q.newest_first / 1000.0)) <= p_before
     ORDER BY coalesce(q.moved_at, to_timestamp(-q.newest_first / 1000.0)), q.ticket_id
     LIMIT p_most
$$;

CREATE OR REPLACE FUNCTION damaged_ticket_ids(p_tenant text, p_most integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.ticket_id FROM evidence_checks c
     WHERE c.failure IS NOT NULL AND (p_tenant IS NULL OR c.tenant_id = p_tenant)
     GROUP BY c.ticket_id ORDER BY min(c.failed_since), c.ticket_id
     LIMIT p_most
$$;

CREATE OR REPLACE FUNCTION waiting_ticket_ids(p_tenant text, p_most integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.ticket_id FROM command_promises p JOIN command_log c ON c.command_id = p.command_id
     WHERE c.decided_at IS NULL AND c.ticket_id IS NOT NULL
       AND (p_tenant IS NULL OR p.tenant_id = p_tenant)
     GROUP BY c.ticket_id ORDER BY min(p.promised_at), c.ticket_id
     LIMIT p_most
$$;

REVOKE ALL ON FUNCTION resting_ticket_ids, damaged_ticket_ids, waiting_ticket_ids FROM PUBLIC;
GRANT EXECUTE ON FUNCTION resting_ticket_ids, damaged_ticket_ids, waiting_ticket_ids
    TO dispatch_app, dispatch_gateway;
