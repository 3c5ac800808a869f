-- Tickets and what is recorded about every command: audit, transitions, answers, the command log.
-- The runner adds chk_ticket_state_transition_valid from the policy bundle.

CREATE TABLE IF NOT EXISTS tickets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    account_id uuid NOT NULL REFERENCES accounts ON DELETE RESTRICT,
    site_id uuid NOT NULL REFERENCES sites ON DELETE RESTRICT,
    asset_id uuid REFERENCES assets ON DELETE SET NULL,
    state ticket_state NOT NULL DEFAULT 'NEW',
    priority priority_level NOT NULL DEFAULT 'ROUTINE',
    incident_type text,
    summary text NOT NULL CHECK (summary ~ '\S'),
    description text,
    nte_cents bigint NOT NULL DEFAULT 0 CHECK (nte_cents >= 0),
    customer_name text,
    customer_phone text,
    customer_email text,
    identity_signature text,
    identity_confidence int CHECK (identity_confidence BETWEEN 0 AND 100),
    classification_confidence int CHECK (classification_confidence BETWEEN 0 AND 100),
    sop_handoff_required boolean NOT NULL DEFAULT false,
    sop_handoff_acknowledged boolean NOT NULL DEFAULT false,
    sop_handoff_prompt text,
    currency text NOT NULL DEFAULT 'USD' CHECK (char_length(currency) = 3),
    scheduled_start timestamptz,
    scheduled_end timestamptz,
    assigned_provider_id uuid,
    assigned_tech_id uuid,
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (scheduled_end > scheduled_start)
);

CREATE TABLE IF NOT EXISTS audit_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid REFERENCES tickets ON DELETE RESTRICT,
    actor_type actor_type NOT NULL,
    actor_id text NOT NULL CHECK (actor_id ~ '\S'),
    actor_role text,
    tool_name text NOT NULL CHECK (tool_name ~ '\S'),
    request_id uuid NOT NULL,
    correlation_id text,
    trace_id text,
    command_id uuid,
    before_state ticket_state,
    after_state ticket_state,
    payload jsonb NOT NULL DEFAULT '{}',
    policy_bundle_sha256 text NOT NULL,
    seq bigint NOT NULL,
    prev_hash text NOT NULL CHECK (prev_hash ~ '^[0-9a-f]{64}$'),
    hash text NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (ticket_id, seq)
);

CREATE TABLE IF NOT EXISTS ticket_state_transitions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE RESTRICT,
    from_state ticket_state,
    to_state ticket_state NOT NULL,
    audit_event_id uuid NOT NULL REFERENCES audit_events ON DELETE RESTRICT,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS idempotency_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    actor_id text NOT NULL CHECK (actor_id ~ '\S'),
    endpoint text NOT NULL CHECK (endpoint ~ '\S'),
    request_id uuid NOT NULL,
    request_hash text NOT NULL CHECK (request_hash ~ '\S'),
    response_code int NOT NULL CHECK (response_code BETWEEN 100 AND 599),
    response_body jsonb NOT NULL,
    command_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (actor_id, endpoint, request_id)
);

CREATE TABLE IF NOT EXISTS command_log (
    command_id uuid PRIMARY KEY,
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid,
    tool_name text NOT NULL CHECK (tool_name ~ '\S'),
    endpoint text NOT NULL CHECK (endpoint ~ '\S'),
    actor_type actor_type,
    actor_id text,
    actor_role text,
    request_id uuid,
    request_hash text,
    correlation_id text,
    trace_id text,
    decision text CHECK (decision IN ('ALLOW', 'DENY')),
    code text,
    dimension text,
    response_code int,
    response_body jsonb,
    response_text text,
    policy_bundle_version text NOT NULL,
    policy_bundle_sha256 text NOT NULL,
    submitted_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz
);

CREATE INDEX IF NOT EXISTS idx_tickets_state_priority_created
    ON tickets (state, priority, created_at);
CREATE INDEX IF NOT EXISTS idx_tickets_state_schedule ON tickets (state, scheduled_start);
CREATE INDEX IF NOT EXISTS idx_tickets_blind_intake_signature_created
    ON tickets (account_id, site_id, identity_signature, created_at);
CREATE INDEX IF NOT EXISTS idx_tickets_tenant_state ON tickets (tenant_id, state);
CREATE INDEX IF NOT EXISTS idx_tickets_site ON tickets (site_id);
CREATE INDEX IF NOT EXISTS idx_tickets_account ON tickets (account_id);
CREATE INDEX IF NOT EXISTS idx_tickets_assigned_tech_state ON tickets (assigned_tech_id, state);

CREATE UNIQUE INDEX IF NOT EXISTS uq_audit_events_tenant_chain
    ON audit_events (tenant_id, seq) WHERE ticket_id IS NULL;
CREATE INDEX IF NOT EXISTS idx_audit_events_ticket_created
    ON audit_events (ticket_id, created_at);
CREATE INDEX IF NOT EXISTS idx_audit_events_request ON audit_events (request_id);
CREATE INDEX IF NOT EXISTS idx_audit_events_correlation ON audit_events (correlation_id);
CREATE INDEX IF NOT EXISTS idx_audit_events_tool_created ON audit_events (tool_name, created_at);
CREATE INDEX IF NOT EXISTS idx_ticket_state_transitions_ticket_created
    ON ticket_state_transitions (ticket_id, created_at);
CREATE INDEX IF NOT EXISTS idx_ticket_state_transitions_states
    ON ticket_state_transitions (from_state, to_state);
CREATE INDEX IF NOT EXISTS idx_command_log_ticket_submitted
    ON command_log (ticket_id, submitted_at);
CREATE INDEX IF NOT EXISTS idx_command_log_request
    ON command_log (actor_id, endpoint, request_id);

CREATE OR REPLACE FUNCTION set_tenant_of_ticket() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.tenant_id := row_tenant(
        NEW.tenant_id,
        (SELECT tenant_id FROM accounts WHERE id = NEW.account_id),
        (SELECT tenant_id FROM sites WHERE id = NEW.site_id),
        (SELECT tenant_id FROM assets WHERE id = NEW.asset_id)
    );
    RETURN NEW;
END $$;

-- For every table whose only parent is ticket_id, which may be null.
CREATE OR REPLACE FUNCTION set_tenant_of_ticket_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.tenant_id := row_tenant(
        NEW.tenant_id, (SELECT tenant_id FROM tickets WHERE id = NEW.ticket_id)
    );
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION set_tenant_of_audited_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.tenant_id := row_tenant(
        NEW.tenant_id,
        (SELECT tenant_id FROM tickets WHERE id = NEW.ticket_id),
        (SELECT tenant_id FROM audit_events WHERE id = NEW.audit_event_id)
    );
    RETURN NEW;
END $$;

SELECT protect_tenant_table(
    'tickets', 'set_tenant_of_ticket', 'account_id', 'site_id', 'asset_id'
);
SELECT protect_tenant_table('audit_events', 'set_tenant_of_ticket_row', 'ticket_id');
SELECT protect_tenant_table(
    'ticket_state_transitions', 'set_tenant_of_audited_row', 'ticket_id', 'audit_event_id'
);
SELECT protect_tenant_table('idempotency_keys', 'set_tenant_of_root');
SELECT protect_tenant_table('command_log', 'set_tenant_of_root');

CREATE OR REPLACE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER trg_tickets_set_updated_at
    BEFORE UPDATE ON tickets FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE OR REPLACE TRIGGER trg_audit_events_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('rows are only ever added');
CREATE OR REPLACE TRIGGER trg_ticket_state_transitions_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ticket_state_transitions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('rows are only ever added');

CREATE OR REPLACE FUNCTION keep_decided_command() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.decided_at IS NULL THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% of command % refused: a command is decided once and kept', TG_OP,
        OLD.command_id USING ERRCODE = 'restrict_violation';
END $$;

CREATE OR REPLACE TRIGGER trg_command_log_decided_once
    BEFORE UPDATE OR DELETE ON command_log
    FOR EACH ROW EXECUTE FUNCTION keep_decided_command();
CREATE OR REPLACE TRIGGER trg_command_log_decided_once_truncate
    BEFORE TRUNCATE ON command_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a command is decided once and kept');

GRANT SELECT, INSERT, UPDATE ON tickets, command_log TO dispatch_app;
GRANT SELECT, INSERT ON audit_events, ticket_state_transitions, idempotency_keys TO dispatch_app;
