-- The gateway's own role: it reads what its callers may see, and writes what no workflow does: the opening of a command,
-- a large payload on its way, what the SMS provider reports. It decides nothing, anchors nothing and deletes nothing.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dispatch_gateway') THEN
        CREATE ROLE dispatch_gateway NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOINHERIT;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

-- Whoever could run a gateway until now still can, until its login is a member of this role alone.
DO $$
DECLARE
    login name;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
                    WHERE m.roleid = 'dispatch_gateway'::regrole AND r.rolcanlogin
                      AND m.member <> current_user::regrole) THEN
        FOR login IN SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
                      WHERE m.roleid = 'dispatch_app'::regrole AND m.set_option LOOP
            EXECUTE format('GRANT dispatch_gateway TO %I WITH INHERIT FALSE, SET TRUE', login);
        END LOOP;
    END IF;
    IF NOT pg_has_role(current_user, 'dispatch_gateway', 'SET') THEN
        GRANT dispatch_gateway TO CURRENT_USER WITH INHERIT FALSE, SET TRUE;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'an administrator must grant dispatch_gateway to the login of the gateway';
END $$;

-- As in 0001, for both roles.
CREATE OR REPLACE FUNCTION protect_tenant_table(
    p_table regclass, p_derive regproc, VARIADIC p_parents text[] DEFAULT '{}'
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    columns text := array_to_string('tenant_id'::text || p_parents, ', ');
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER trg_%1$s_tenant
        BEFORE INSERT OR UPDATE OF %2$s ON %1$s FOR EACH ROW EXECUTE FUNCTION %3$s()',
        p_table, columns, p_derive);
    EXECUTE format('CREATE OR REPLACE TRIGGER trg_%1$s_tenant_fixed BEFORE UPDATE ON %1$s
        FOR EACH ROW WHEN (NEW.tenant_id IS DISTINCT FROM OLD.tenant_id)
        EXECUTE FUNCTION refuse_change(%2$L)', p_table, 'a row never changes its tenant');
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
    EXECUTE format('DROP POLICY IF EXISTS owner_rows ON %s', p_table);
    EXECUTE format('CREATE POLICY owner_rows ON %s TO CURRENT_USER
        USING (true) WITH CHECK (true)', p_table);
    EXECUTE format('DROP POLICY IF EXISTS tenant_rows ON %s', p_table);
    EXECUTE format('CREATE POLICY tenant_rows ON %s TO dispatch_app, dispatch_gateway
        USING (tenant_id = current_setting(''dispatch.tenant'', true))
        WITH CHECK (tenant_id = current_setting(''dispatch.tenant'', true))', p_table);
END $$;
REVOKE ALL ON FUNCTION protect_tenant_table FROM PUBLIC;
DO $$
DECLARE
    protected regclass;
BEGIN
    FOR protected IN SELECT polrelid FROM pg_policy WHERE polname = 'tenant_rows' LOOP
        EXECUTE format('ALTER POLICY tenant_rows ON %s TO dispatch_app, dispatch_gateway', protected);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA public, proof TO dispatch_gateway;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO dispatch_gateway;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO dispatch_gateway;
REVOKE ALL ON webhook_subscriptions, ticket_queue_source FROM dispatch_gateway;
GRANT SELECT ON proof.entries, proof.nodes, proof.checkpoints, proof.bundles TO dispatch_gateway;

-- A gateway opens commands, and logs those that it denies itself. It allows none, and changes no row.
GRANT INSERT ON command_log, command_payloads, messages TO dispatch_gateway;
GRANT UPDATE (payload, updated_at) ON dispatch_outbox TO dispatch_gateway;
DROP POLICY IF EXISTS gateway_allows_nothing ON command_log;
CREATE POLICY gateway_allows_nothing ON command_log AS RESTRICTIVE FOR INSERT TO dispatch_gateway
    WITH CHECK (decision IS DISTINCT FROM 'ALLOW');

-- Appends an audit row that belongs to no command, if it continues its chain. A gateway appends what an SMS provider
-- reports, and nothing else. Whether the hash is that of the row, `dispatch verify` tells.
CREATE OR REPLACE FUNCTION append_event(p_row jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    added audit_events := jsonb_populate_record(NULL::audit_events, p_row);
    head audit_events;
BEGIN
    IF num_nonnulls(added.command_id, added.before_state, added.after_state) > 0
       OR added.tenant_id IS DISTINCT FROM current_setting('dispatch.tenant', true)
       OR current_setting('role') = 'dispatch_gateway'
          AND (added.tool_name NOT IN ('sms.inbound', 'sms.status') OR added.actor_type <> 'SERVICE') THEN
        RAISE EXCEPTION 'this event may not be appended here' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF added.ticket_id IS NULL THEN
        SELECT * INTO head FROM audit_events a
         WHERE a.tenant_id = added.tenant_id AND a.ticket_id IS NULL ORDER BY a.seq DESC LIMIT 1;
    ELSE
        SELECT * INTO head FROM audit_events a
         WHERE a.ticket_id = added.ticket_id ORDER BY a.seq DESC LIMIT 1;
    END IF;
    IF added.seq <> coalesce(head.seq, 0) + 1 OR added.prev_hash <> coalesce(head.hash, repeat('0', 64))
       OR added.created_at <= head.created_at THEN
        RAISE EXCEPTION 'this event does not continue its chain' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO audit_events SELECT added.*;
END $$;
REVOKE ALL ON FUNCTION append_event FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_event TO dispatch_app, dispatch_gateway;

GRANT EXECUTE ON FUNCTION look_up, idempotency_row, command_outcomes, decided_commands, lock_chain,
    sla_facts, ticket_ladders, redactions_of, resting_tickets, timer_lateness, failed_evidence_checks,
    proof.late_records TO dispatch_gateway;

-- What a command may change of what is there; the rest of a row is as it was first written. A new column that commands
-- change is granted where it is added.
REVOKE UPDATE ON tickets, command_log, evidence_items, evidence_uploads FROM dispatch_app;
GRANT UPDATE (state, priority, incident_type, nte_cents, sop_handoff_required, sop_handoff_acknowledged,
    scheduled_start, scheduled_end, assigned_provider_id, assigned_tech_id, version) ON tickets TO dispatch_app;
GRANT UPDATE (ticket_id, decision, code, dimension, response_code, response_body, response_text, counted,
    correlation_id, trace_id, policy_bundle_version, policy_bundle_sha256, decided_at) ON command_log TO dispatch_app;
GRANT UPDATE (is_immutable, immutable_reason, immutable_by, immutable_request_id, immutable_at)
    ON evidence_items TO dispatch_app;
GRANT UPDATE (finalized_at, evidence_item_id, abandoned_at, swept_at) ON evidence_uploads TO dispatch_app;
