-- Evidence, its uploads and exceptions, and the sealed artifacts of a closeout.

CREATE TABLE IF NOT EXISTS evidence_items (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE RESTRICT,
    kind text NOT NULL CHECK (kind ~ '\S'),
    uri text NOT NULL CHECK (uri ~ '\S'),
    checksum text,
    metadata jsonb NOT NULL DEFAULT '{}',
    content_type text,
    size_bytes bigint,
    object_version_id text,
    retention_until timestamptz,
    is_immutable boolean NOT NULL DEFAULT false,
    immutable_reason text,
    immutable_by text,
    immutable_request_id uuid,
    immutable_at timestamptz,
    created_by text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS evidence_uploads (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE RESTRICT,
    bucket text NOT NULL CHECK (bucket ~ '\S'),
    object_key text NOT NULL UNIQUE CHECK (object_key ~ '\S'),
    kind text NOT NULL CHECK (kind ~ '\S'),
    evidence_key text,
    content_type text NOT NULL CHECK (content_type ~ '\S'),
    size_bytes bigint NOT NULL CHECK (size_bytes > 0),
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    created_by text NOT NULL CHECK (created_by ~ '\S'),
    request_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    finalized_at timestamptz,
    evidence_item_id uuid REFERENCES evidence_items ON DELETE RESTRICT,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS evidence_exceptions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE RESTRICT,
    evidence_keys text[] NOT NULL,
    exception_reason text NOT NULL CHECK (exception_reason ~ '\S'),
    expires_at timestamptz,
    granted_by text NOT NULL CHECK (granted_by ~ '\S'),
    granted_role text NOT NULL CHECK (granted_role ~ '\S'),
    audit_event_id uuid NOT NULL REFERENCES audit_events ON DELETE RESTRICT,
    request_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS closeout_artifacts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE RESTRICT,
    artifact_type text NOT NULL CHECK (artifact_type ~ '\S'),
    artifact_name text,
    artifact_hash text CHECK (artifact_hash ~ '\S'),
    artifact_payload jsonb NOT NULL DEFAULT '{}',
    created_by text,
    request_id uuid NOT NULL,
    correlation_id text,
    trace_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (ticket_id, artifact_type)
);

CREATE INDEX IF NOT EXISTS idx_evidence_items_ticket_created
    ON evidence_items (ticket_id, created_at);
CREATE INDEX IF NOT EXISTS idx_evidence_uploads_ticket_created
    ON evidence_uploads (ticket_id, created_at);
CREATE INDEX IF NOT EXISTS idx_evidence_exceptions_ticket_created
    ON evidence_exceptions (ticket_id, created_at);
CREATE INDEX IF NOT EXISTS idx_closeout_artifacts_ticket_created
    ON closeout_artifacts (ticket_id, created_at);

CREATE OR REPLACE FUNCTION set_tenant_of_evidence_upload() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.tenant_id := row_tenant(
        NEW.tenant_id,
        (SELECT tenant_id FROM tickets WHERE id = NEW.ticket_id),
        (SELECT tenant_id FROM evidence_items WHERE id = NEW.evidence_item_id)
    );
    RETURN NEW;
END $$;

SELECT protect_tenant_table('evidence_items', 'set_tenant_of_ticket_row', 'ticket_id');
SELECT protect_tenant_table(
    'evidence_uploads', 'set_tenant_of_evidence_upload', 'ticket_id', 'evidence_item_id'
);
SELECT protect_tenant_table(
    'evidence_exceptions', 'set_tenant_of_audited_row', 'ticket_id', 'audit_event_id'
);
SELECT protect_tenant_table('closeout_artifacts', 'set_tenant_of_ticket_row', 'ticket_id');

CREATE OR REPLACE TRIGGER trg_evidence_items_immutable
    BEFORE UPDATE OR DELETE ON evidence_items
    FOR EACH ROW WHEN (OLD.is_immutable) EXECUTE FUNCTION refuse_change('the evidence is sealed');
CREATE OR REPLACE TRIGGER trg_evidence_items_immutable_truncate
    BEFORE TRUNCATE ON evidence_items
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('sealed evidence is kept');

GRANT SELECT, INSERT, UPDATE ON evidence_items, evidence_uploads, closeout_artifacts
    TO dispatch_app;
GRANT SELECT, INSERT ON evidence_exceptions TO dispatch_app;
