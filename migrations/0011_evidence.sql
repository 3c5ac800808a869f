-- Evidence after its announcement: uploads in parts, what was abandoned, what a re-hash found, holds and redactions.

-- `multipart_id` names the store's upload in parts. `abandoned_at`: it may not be finalized any more. `swept_at`: the
-- store holds nothing of it any more, or will not let go of it.
ALTER TABLE evidence_uploads
    ADD COLUMN IF NOT EXISTS multipart_id text,
    ADD COLUMN IF NOT EXISTS part_bytes bigint CHECK (part_bytes > 0),
    ADD COLUMN IF NOT EXISTS abandoned_at timestamptz,
    ADD COLUMN IF NOT EXISTS swept_at timestamptz;
DO $$
BEGIN
    ALTER TABLE evidence_uploads ADD CONSTRAINT chk_evidence_uploads_one_end
        CHECK (finalized_at IS NULL OR abandoned_at IS NULL);
EXCEPTION
    WHEN duplicate_object THEN NULL;
END $$;
CREATE INDEX IF NOT EXISTS idx_evidence_uploads_same_bytes
    ON evidence_uploads (ticket_id, sha256) WHERE finalized_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_evidence_uploads_item
    ON evidence_uploads (evidence_item_id) WHERE evidence_item_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_evidence_uploads_open
    ON evidence_uploads (created_at) WHERE swept_at IS NULL AND finalized_at IS NULL;

-- What the newest re-hash of an evidence object found; `failure` is null while all is well.
CREATE TABLE IF NOT EXISTS evidence_checks (
    evidence_item_id uuid PRIMARY KEY REFERENCES evidence_items ON DELETE CASCADE,
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE RESTRICT,
    checked_at timestamptz NOT NULL,
    failure text CHECK (failure ~ '\S'),
    actual_sha256 text,
    failed_since timestamptz CHECK ((failed_since IS NULL) = (failure IS NULL))
);
CREATE INDEX IF NOT EXISTS idx_evidence_checks_ticket ON evidence_checks (ticket_id, checked_at);
CREATE INDEX IF NOT EXISTS idx_evidence_checks_failed
    ON evidence_checks (failed_since) WHERE failure IS NOT NULL;

-- Legal holds: placed once, released once. Only the owner writes them.
CREATE TABLE IF NOT EXISTS evidence_holds (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE RESTRICT,
    evidence_item_id uuid NOT NULL REFERENCES evidence_items ON DELETE RESTRICT,
    reason text NOT NULL CHECK (reason ~ '\S'),
    placed_by text NOT NULL CHECK (placed_by ~ '\S'),
    placed_event_id uuid NOT NULL REFERENCES audit_events ON DELETE RESTRICT,
    released_by text CHECK (released_by ~ '\S'),
    released_event_id uuid REFERENCES audit_events ON DELETE RESTRICT,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((released_by IS NULL) = (released_event_id IS NULL))
);
CREATE UNIQUE INDEX IF NOT EXISTS uq_evidence_holds_in_force
    ON evidence_holds (evidence_item_id) WHERE released_event_id IS NULL;
CREATE INDEX IF NOT EXISTS idx_evidence_holds_ticket ON evidence_holds (ticket_id, created_at);

-- Redacted copies; the original stays. Only the owner adds them.
CREATE TABLE IF NOT EXISTS evidence_redactions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE RESTRICT,
    evidence_item_id uuid NOT NULL REFERENCES evidence_items ON DELETE RESTRICT,
    uri text NOT NULL CHECK (uri ~ '\S'),
    object_version_id text,
    content_type text NOT NULL CHECK (content_type ~ '\S'),
    size_bytes bigint NOT NULL CHECK (size_bytes > 0),
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    reason text NOT NULL CHECK (reason ~ '\S'),
    created_by text NOT NULL CHECK (created_by ~ '\S'),
    audit_event_id uuid NOT NULL REFERENCES audit_events ON DELETE RESTRICT,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS idx_evidence_redactions_item
    ON evidence_redactions (evidence_item_id, created_at);
CREATE INDEX IF NOT EXISTS idx_evidence_redactions_ticket
    ON evidence_redactions (ticket_id, created_at);

SELECT protect_tenant_table('evidence_checks', 'set_tenant_of_ticket_row', 'ticket_id');
SELECT protect_tenant_table('evidence_holds', 'set_tenant_of_ticket_row', 'ticket_id');
SELECT protect_tenant_table('evidence_redactions', 'set_tenant_of_ticket_row', 'ticket_id');
CREATE OR REPLACE TRIGGER trg_evidence_redactions_append_only
    BEFORE UPDATE OR DELETE ON evidence_redactions
    FOR EACH ROW EXECUTE FUNCTION refuse_change('redactions are kept');
CREATE OR REPLACE TRIGGER trg_evidence_holds_kept
    BEFORE DELETE ON evidence_holds
    FOR EACH ROW EXECUTE FUNCTION refuse_change('holds are kept');
GRANT SELECT, INSERT, UPDATE ON evidence_checks TO dispatch_app;
GRANT SELECT ON evidence_holds, evidence_redactions TO dispatch_app;

-- Uploads of all tenants whose time is over and whose bytes may still be in the store: never finalized, or finalized
-- as evidence that another upload had brought already.
CREATE OR REPLACE FUNCTION stale_uploads(p_before timestamptz, p_limit int)
RETURNS TABLE (id uuid, tenant_id text, ticket_id uuid, bucket text, object_key text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT u.id, u.tenant_id, u.ticket_id, u.bucket, u.object_key
      FROM evidence_uploads u LEFT JOIN evidence_items i ON i.id = u.evidence_item_id
     WHERE u.swept_at IS NULL AND u.created_at < p_before
       AND (u.finalized_at IS NULL OR i.uri <> 's3://' || u.bucket || '/' || u.object_key)
     ORDER BY u.created_at LIMIT p_limit
$$;

-- Uploaded evidence of all tenants that was not re-hashed since `p_before`, what waits longest first, until the sizes
-- add up to `p_bytes`; at least one.
CREATE OR REPLACE FUNCTION evidence_to_check(p_before timestamptz, p_bytes bigint, p_limit int)
RETURNS TABLE (id uuid, tenant_id text, ticket_id uuid, bucket text, object_key text,
               object_version_id text, size_bytes bigint, sha256 text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT d.id, d.tenant_id, d.ticket_id, d.bucket, d.object_key, d.object_version_id,
           d.size_bytes, d.sha256
      FROM (SELECT i.id, i.tenant_id, i.ticket_id, u.bucket, u.object_key, i.object_version_id,
                   u.size_bytes, u.sha256,
                   sum(u.size_bytes) OVER (ORDER BY coalesce(c.checked_at, '-infinity'), i.id)
                       - u.size_bytes AS bytes_before
              FROM evidence_items i
              JOIN evidence_uploads u ON u.evidence_item_id = i.id
                                     AND i.uri = 's3://' || u.bucket || '/' || u.object_key
              LEFT JOIN evidence_checks c ON c.evidence_item_id = i.id
             WHERE i.created_at < p_before AND coalesce(c.checked_at < p_before, true)
             ORDER BY coalesce(c.checked_at, '-infinity'), i.id LIMIT p_limit) d
     WHERE d.bytes_before < p_bytes
$$;

-- How much stored evidence, of all tenants, is not what was recorded.
CREATE OR REPLACE FUNCTION failed_evidence_checks() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*) FROM evidence_checks WHERE failure IS NOT NULL
$$;

REVOKE ALL ON FUNCTION stale_uploads, evidence_to_check, failed_evidence_checks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION stale_uploads, evidence_to_check, failed_evidence_checks TO dispatch_app;
