-- What every command needs: large payloads on their way, the gateway's look-up, the opening of the
-- activity's transaction and the answers.

-- Payloads too large for the engine's history, until their command is decided.
CREATE TABLE IF NOT EXISTS command_payloads (
    command_id uuid PRIMARY KEY,
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
SELECT protect_tenant_table('command_payloads', 'set_tenant_of_root');
GRANT SELECT, INSERT, DELETE ON command_payloads TO dispatch_app;

-- The stored answer of a key, whichever tenant it belongs to; a foreign body is not shown. The text
-- is exactly what was answered: jsonb would lose the order of the keys.
CREATE OR REPLACE FUNCTION idempotency_row(
    p_actor text, p_endpoint text, p_request uuid,
    OUT tenant_id text, OUT request_hash text, OUT response_code int, OUT response_text text,
    OUT command_id uuid
) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp AS $$
    SELECT k.tenant_id, k.request_hash, k.response_code,
           CASE WHEN k.tenant_id = current_setting('dispatch.tenant', true)
                THEN coalesce(c.response_text, k.response_body::text) END,
           k.command_id
      FROM idempotency_keys k
      LEFT JOIN command_log c ON c.command_id = k.command_id
     WHERE k.actor_id = p_actor AND k.endpoint = p_endpoint AND k.request_id = p_request
$$;
REVOKE ALL ON FUNCTION idempotency_row FROM PUBLIC;
GRANT EXECUTE ON FUNCTION idempotency_row TO dispatch_app;

-- One row for the gateway: the stored answer, the fate of earlier attempts with this key, and the
-- ticket's scope. Sets the tenant.
CREATE OR REPLACE FUNCTION look_up(
    p_tenant text, p_actor text, p_endpoint text, p_request uuid, p_hash text, p_ticket uuid,
    OUT idem_tenant text, OUT idem_hash text, OUT idem_code int, OUT idem_text text,
    OUT idem_command uuid, OUT rejections int, OUT open_hash text,
    OUT account_id uuid, OUT site_id uuid, OUT state text
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('dispatch.tenant', p_tenant, true);
    SELECT r.tenant_id, r.request_hash, r.response_code, r.response_text, r.command_id
      INTO idem_tenant, idem_hash, idem_code, idem_text, idem_command
      FROM idempotency_row(p_actor, p_endpoint, p_request) r;
    SELECT count(*) FILTER (WHERE c.decided_at IS NOT NULL AND c.decision = 'DENY'
                              AND c.request_hash = p_hash),
           (array_agg(c.request_hash ORDER BY c.submitted_at DESC)
               FILTER (WHERE c.decided_at IS NULL))[1]
      INTO rejections, open_hash
      FROM command_log c
     WHERE c.actor_id = p_actor AND c.endpoint = p_endpoint AND c.request_id = p_request;
    SELECT t.account_id, t.site_id, t.state INTO account_id, site_id, state
      FROM tickets t WHERE t.id = p_ticket;
END $$;

-- Opens a command's transaction: sets the tenant, waits for its turn on the ticket (without one, on
-- the tenant) and returns everything that was true before it, in one row. Each statement takes a
-- fresh snapshot, so what the previous holder of the lock committed is seen.
CREATE OR REPLACE FUNCTION begin_command(
    p_tenant text, p_command uuid, p_ticket uuid, p_actor text, p_endpoint text, p_request uuid,
    OUT idem_tenant text, OUT idem_hash text, OUT idem_code int, OUT idem_text text,
    OUT log_decision text, OUT log_code text,
    OUT ticket tickets, OUT chain_seq bigint, OUT chain_hash text, OUT chain_at timestamptz,
    OUT rests_since timestamptz, OUT started_at timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
    started_at := now();
    PERFORM set_config('dispatch.tenant', p_tenant, true);
    PERFORM pg_advisory_xact_lock(
        hashtextextended(coalesce(p_ticket::text, 'tenant ' || p_tenant), 0)
    );
    SELECT r.tenant_id, r.request_hash, r.response_code, r.response_text
      INTO idem_tenant, idem_hash, idem_code, idem_text
      FROM idempotency_row(p_actor, p_endpoint, p_request) r;
    SELECT c.decision, c.code INTO log_decision, log_code
      FROM command_log c WHERE c.command_id = p_command AND c.decided_at IS NOT NULL;
    IF p_ticket IS NULL THEN
        SELECT a.seq, a.hash, a.created_at INTO chain_seq, chain_hash, chain_at
          FROM audit_events a WHERE a.tenant_id = p_tenant AND a.ticket_id IS NULL
         ORDER BY a.seq DESC LIMIT 1;
        RETURN;
    END IF;
    -- Commands never change the key, so rows that refer to the ticket may be added meanwhile.
    SELECT t.* INTO ticket FROM tickets t WHERE t.id = p_ticket FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        ticket := NULL;
    END IF;
    SELECT a.seq, a.hash, a.created_at INTO chain_seq, chain_hash, chain_at
      FROM audit_events a WHERE a.ticket_id = p_ticket
     ORDER BY a.seq DESC LIMIT 1;
    SELECT max(s.created_at) INTO rests_since
      FROM ticket_state_transitions s WHERE s.ticket_id = p_ticket;
END $$;

-- The answers of commands that are decided, with what the counters know them by: the transitions made,
-- the code of a forced close and the recommendation that a dispatch followed. A gateway waits for
-- commands of many tenants at once, and asks only for ids that it has made itself.
CREATE OR REPLACE FUNCTION command_outcomes(p_commands uuid[])
RETURNS TABLE (command_id uuid, tool_name text, code text, response_code int, response_text text,
               transitions text[], override_code text, snapshot_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.command_id, c.tool_name, c.code, c.response_code, c.response_text,
           ARRAY(SELECT concat(s.from_state, '->', s.to_state)
                   FROM ticket_state_transitions s
                  WHERE s.audit_event_id = a.id AND s.ticket_id = a.ticket_id
                    AND s.created_at = a.created_at
                  ORDER BY s.seq),
           a.payload->>'override_code',
           a.payload->'dispatch_validation'->>'recommendation_snapshot_id'
      FROM command_log c
      LEFT JOIN LATERAL (SELECT e.id, e.ticket_id, e.created_at, e.payload FROM audit_events e
                          WHERE e.ticket_id = c.ticket_id AND e.command_id = c.command_id
                          ORDER BY e.seq DESC LIMIT 1) a ON c.decision = 'ALLOW'
     WHERE c.command_id = ANY (p_commands) AND c.decided_at IS NOT NULL
$$;

REVOKE ALL ON FUNCTION look_up, begin_command, command_outcomes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up, begin_command, command_outcomes TO dispatch_app;
