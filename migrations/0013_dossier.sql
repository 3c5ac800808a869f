-- Closeout dossiers: what was built when a ticket closed, what is waiting to be built, and the bundles that judged.

CREATE TABLE IF NOT EXISTS closeout_dossiers (
    ticket_id uuid PRIMARY KEY REFERENCES tickets ON DELETE RESTRICT,
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    uri text NOT NULL,
    object_version_id text,
    retention_until timestamptz,
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    size_bytes bigint NOT NULL CHECK (size_bytes > 0),
    key_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
SELECT protect_tenant_table('closeout_dossiers', 'set_tenant_of_ticket_row', 'ticket_id');
GRANT SELECT, INSERT ON closeout_dossiers TO dispatch_app;

-- A policy bundle in canonical form: its SHA-256 is what audit rows name.
CREATE TABLE IF NOT EXISTS proof.bundles (
    sha256 text PRIMARY KEY CHECK (sha256 = encode(sha256(convert_to(document, 'UTF8')), 'hex')),
    document text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE OR REPLACE TRIGGER trg_bundles_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON proof.bundles
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a bundle that judged is kept');
GRANT SELECT, INSERT ON proof.bundles TO dispatch_app;

CREATE TABLE IF NOT EXISTS proof.dossier_queue (
    ticket_id uuid PRIMARY KEY REFERENCES tickets ON DELETE RESTRICT,
    tenant_id text NOT NULL,
    next_attempt_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS idx_dossier_queue_next ON proof.dossier_queue (next_attempt_at);

CREATE OR REPLACE FUNCTION proof.enqueue_dossier() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = proof, pg_temp AS $$
BEGIN
    INSERT INTO dossier_queue (ticket_id, tenant_id) VALUES (NEW.id, NEW.tenant_id)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER trg_tickets_closed_dossier
    AFTER UPDATE OF state ON tickets
    FOR EACH ROW WHEN (NEW.state = 'CLOSED' AND OLD.state <> 'CLOSED')
    EXECUTE FUNCTION proof.enqueue_dossier();

-- Leases a closed ticket whose audit rows are all anchored; a builder that dies gives it back in time.
CREATE OR REPLACE FUNCTION proof.claim_dossier(p_lease interval)
RETURNS TABLE (ticket_id uuid, tenant_id text)
LANGUAGE sql SECURITY DEFINER ROWS 1 SET search_path = proof, pg_temp AS $$
    WITH due AS (
        SELECT q.ticket_id FROM dossier_queue q
         WHERE q.next_attempt_at <= now()
           AND NOT EXISTS (SELECT FROM queue w JOIN public.audit_events a ON a.id = w.audit_event_id
                            WHERE a.ticket_id = q.ticket_id)
         ORDER BY q.next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE dossier_queue q SET next_attempt_at = now() + p_lease
      FROM due WHERE q.ticket_id = due.ticket_id
    RETURNING q.ticket_id, q.tenant_id
$$;
CREATE OR REPLACE FUNCTION proof.finish_dossier(p_ticket uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = proof, pg_temp AS $$
    DELETE FROM dossier_queue WHERE ticket_id = p_ticket
$$;
REVOKE ALL ON FUNCTION proof.enqueue_dossier, proof.claim_dossier, proof.finish_dossier FROM PUBLIC;
GRANT EXECUTE ON FUNCTION proof.claim_dossier, proof.finish_dossier TO dispatch_app;
