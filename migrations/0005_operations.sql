-- What runs beside the lifecycle: approvals, recommendations, holds, escalations, messages, outbox, autonomy.

CREATE TABLE IF NOT EXISTS approvals (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    status approval_status NOT NULL DEFAULT 'PENDING',
    requested_by text NOT NULL CHECK (requested_by ~ '\S'),
    requested_at timestamptz NOT NULL DEFAULT now(),
    decided_by text,
    decided_at timestamptz,
    approval_type text NOT NULL CHECK (approval_type ~ '\S'),
    amount_delta_cents bigint CHECK (amount_delta_cents >= 0),
    reason text,
    evidence jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (
        (status = 'PENDING') = (decided_by IS NULL)
        AND (status = 'PENDING') = (decided_at IS NULL)
    )
);

CREATE TABLE IF NOT EXISTS assignment_recommendation_snapshots (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    recommendation_snapshot_id uuid NOT NULL DEFAULT gen_random_uuid(),
    ticket_state text,
    requested_by text NOT NULL CHECK (requested_by ~ '\S'),
    request_id uuid NOT NULL,
    correlation_id text,
    trace_id text,
    recommendation_limit int NOT NULL CHECK (recommendation_limit > 0),
    incident_type text,
    site_region text,
    candidates jsonb NOT NULL DEFAULT '[]',
    recommended_tech_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (ticket_id, requested_by, request_id)
);

CREATE TABLE IF NOT EXISTS schedule_hold_snapshots (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    hold_sequence_id uuid NOT NULL DEFAULT gen_random_uuid(),
    requested_by text NOT NULL CHECK (requested_by ~ '\S'),
    request_id uuid NOT NULL,
    correlation_id text,
    hold_reason_code text NOT NULL CHECK (hold_reason_code ~ '\S'),
    hold_state text NOT NULL
        CHECK (hold_state IN ('READY_TO_SCHEDULE', 'SCHEDULE_PROPOSED', 'SCHEDULED')),
    scheduled_start timestamptz,
    scheduled_end timestamptz,
    hold_reason_notes text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (ticket_id, requested_by, request_id)
);

CREATE TABLE IF NOT EXISTS ticket_escalations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE RESTRICT,
    kind text NOT NULL CHECK (kind ~ '\S'),
    level int NOT NULL CHECK (level >= 1),
    due_at timestamptz NOT NULL,
    raised_at timestamptz NOT NULL,
    acknowledged_by text,
    acknowledged_at timestamptz,
    details jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (ticket_id, kind, level, due_at)
);

CREATE TABLE IF NOT EXISTS messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid REFERENCES tickets ON DELETE CASCADE,
    direction text NOT NULL CHECK (direction IN ('INBOUND', 'OUTBOUND')),
    channel text NOT NULL CHECK (channel ~ '\S'),
    to_addr text,
    from_addr text,
    body text,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS dispatch_outbox (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    event_type text NOT NULL,
    payload jsonb NOT NULL,
    idempotency_key text NOT NULL UNIQUE,
    status text NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'SENT', 'DEAD_LETTER')),
    attempt_count int NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS autonomy_control_state (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    scope_type text NOT NULL CHECK (scope_type IN ('GLOBAL', 'INCIDENT', 'TICKET')),
    incident_type text,
    ticket_id uuid REFERENCES tickets ON DELETE CASCADE,
    is_paused boolean NOT NULL DEFAULT false,
    reason text,
    actor_type actor_type NOT NULL,
    actor_id text NOT NULL CHECK (actor_id ~ '\S'),
    actor_role text,
    request_id uuid NOT NULL,
    correlation_id text,
    trace_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (
        (scope_type = 'INCIDENT') = (incident_type IS NOT NULL)
        AND (scope_type = 'TICKET') = (ticket_id IS NOT NULL)
    )
);

CREATE TABLE IF NOT EXISTS autonomy_control_history (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    control_state_id uuid REFERENCES autonomy_control_state ON DELETE SET NULL,
    scope_type text NOT NULL CHECK (scope_type IN ('GLOBAL', 'INCIDENT', 'TICKET')),
    incident_type text,
    ticket_id uuid,
    action text NOT NULL CHECK (action IN ('pause', 'rollback')),
    previous_is_paused boolean NOT NULL,
    next_is_paused boolean NOT NULL,
    actor_type actor_type NOT NULL,
    actor_id text NOT NULL CHECK (actor_id ~ '\S'),
    actor_role text,
    request_id uuid NOT NULL,
    correlation_id text,
    trace_id text,
    reason text,
    payload jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (
        (scope_type = 'INCIDENT') = (incident_type IS NOT NULL)
        AND (scope_type = 'TICKET') = (ticket_id IS NOT NULL)
    )
);

CREATE INDEX IF NOT EXISTS idx_approvals_ticket_created ON approvals (ticket_id, created_at);
CREATE INDEX IF NOT EXISTS idx_approvals_status ON approvals (status);
CREATE INDEX IF NOT EXISTS idx_assignment_recommendation_snapshots_ticket_created
    ON assignment_recommendation_snapshots (ticket_id, created_at);
CREATE INDEX IF NOT EXISTS idx_schedule_hold_snapshots_ticket_created
    ON schedule_hold_snapshots (ticket_id, created_at);
CREATE INDEX IF NOT EXISTS idx_ticket_escalations_ticket_created
    ON ticket_escalations (ticket_id, created_at);
CREATE INDEX IF NOT EXISTS idx_messages_ticket_created ON messages (ticket_id, created_at);
CREATE INDEX IF NOT EXISTS idx_dispatch_outbox_status_next
    ON dispatch_outbox (status, next_attempt_at);
CREATE INDEX IF NOT EXISTS idx_autonomy_control_state_ticket_created
    ON autonomy_control_state (ticket_id, created_at);
CREATE UNIQUE INDEX IF NOT EXISTS uq_autonomy_control_state_global
    ON autonomy_control_state (tenant_id) WHERE scope_type = 'GLOBAL';
CREATE UNIQUE INDEX IF NOT EXISTS uq_autonomy_control_state_incident
    ON autonomy_control_state (tenant_id, upper(incident_type)) WHERE scope_type = 'INCIDENT';
CREATE UNIQUE INDEX IF NOT EXISTS uq_autonomy_control_state_ticket
    ON autonomy_control_state (tenant_id, ticket_id) WHERE scope_type = 'TICKET';

CREATE OR REPLACE FUNCTION set_tenant_of_autonomy_control_history() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.tenant_id := row_tenant(
        NEW.tenant_id,
        (SELECT tenant_id FROM autonomy_control_state WHERE id = NEW.control_state_id)
    );
    RETURN NEW;
END $$;

SELECT protect_tenant_table('approvals', 'set_tenant_of_ticket_row', 'ticket_id');
SELECT protect_tenant_table(
    'assignment_recommendation_snapshots', 'set_tenant_of_ticket_row', 'ticket_id'
);
SELECT protect_tenant_table('schedule_hold_snapshots', 'set_tenant_of_ticket_row', 'ticket_id');
SELECT protect_tenant_table('ticket_escalations', 'set_tenant_of_ticket_row', 'ticket_id');
SELECT protect_tenant_table('messages', 'set_tenant_of_ticket_row', 'ticket_id');
SELECT protect_tenant_table('dispatch_outbox', 'set_tenant_of_root');
SELECT protect_tenant_table('autonomy_control_state', 'set_tenant_of_ticket_row', 'ticket_id');
SELECT protect_tenant_table(
    'autonomy_control_history', 'set_tenant_of_autonomy_control_history', 'control_state_id'
);

GRANT SELECT, INSERT, UPDATE ON approvals, ticket_escalations, dispatch_outbox,
    autonomy_control_state TO dispatch_app;
GRANT SELECT, INSERT ON assignment_recommendation_snapshots, schedule_hold_snapshots, messages,
    autonomy_control_history TO dispatch_app;
