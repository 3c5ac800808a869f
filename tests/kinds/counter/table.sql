CREATE TABLE counters (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    value bigint NOT NULL,
    closed boolean NOT NULL,
    version int NOT NULL,
    due_at timestamptz,
    looks int NOT NULL
);
ALTER TABLE counters ENABLE ROW LEVEL SECURITY;
ALTER TABLE counters FORCE ROW LEVEL SECURITY;
CREATE POLICY counters_of_tenant ON counters
    USING (tenant_id = current_setting('dispatch.tenant', true));
GRANT SELECT, INSERT, UPDATE ON counters TO dispatch_app;

CREATE FUNCTION begin_counter_command(
    p_tenant text, p_command uuid, p_counter uuid, p_actor text, p_endpoint text, p_request uuid,
    OUT idem_tenant text, OUT idem_hash text, OUT idem_code int, OUT idem_text text,
    OUT log_decision text, OUT log_code text, OUT counter counters, OUT started_at timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
    started_at := now();
    PERFORM set_config('dispatch.tenant', p_tenant, true);
    PERFORM pg_advisory_xact_lock(hashtextextended('counter ' || p_counter, 0));
    SELECT r.tenant_id, r.request_hash, r.response_code, r.response_text
      INTO idem_tenant, idem_hash, idem_code, idem_text
      FROM idempotency_row(p_actor, p_endpoint, p_request) r;
    SELECT c.decision, c.code INTO log_decision, log_code
      FROM command_log c WHERE c.command_id = p_command AND c.decided_at IS NOT NULL;
    SELECT c.* INTO counter FROM counters c WHERE c.id = p_counter;
END $$;
GRANT EXECUTE ON FUNCTION begin_counter_command TO dispatch_app;
