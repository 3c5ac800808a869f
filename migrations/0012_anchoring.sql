-- The log of all audit rows, in the order in which they were anchored, and its signed checkpoints. It belongs to
-- the installation, not to a tenant: it holds hashes and ids, never what a row says.

CREATE SCHEMA IF NOT EXISTS proof;
REVOKE ALL ON SCHEMA proof FROM PUBLIC;
GRANT USAGE ON SCHEMA proof TO dispatch_app;

-- Rows to be anchored. A row enters in the transaction that writes it, so one that commits late is found late,
-- never skipped.
CREATE TABLE IF NOT EXISTS proof.queue (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    audit_event_id uuid NOT NULL REFERENCES audit_events ON DELETE RESTRICT,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE IF NOT EXISTS proof.entries (
    log_index bigint PRIMARY KEY CHECK (log_index >= 0),
    audit_event_id uuid NOT NULL UNIQUE REFERENCES audit_events ON DELETE RESTRICT,
    row_hash bytea NOT NULL CHECK (octet_length(row_hash) = 32)
);

-- Hashes of whole spans of 256, 65,536, ... entries: what keeps proofs cheap in a long log.
CREATE TABLE IF NOT EXISTS proof.nodes (
    span_start bigint,
    span_end bigint CHECK (span_end > span_start),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (span_start, span_end)
);

CREATE TABLE IF NOT EXISTS proof.checkpoints (
    number bigint PRIMARY KEY CHECK (number >= 1),
    tree_size bigint NOT NULL UNIQUE CHECK (tree_size > 0),
    root_hash text NOT NULL CHECK (root_hash ~ '^[0-9a-f]{64}$'),
    previous text NOT NULL CHECK (previous ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL,
    key_id text NOT NULL,
    signature text NOT NULL CHECK (signature ~ '^[0-9a-f]{128}$'),
    consistency text[] NOT NULL,
    peaks bytea[] NOT NULL
);

-- Where the object store has a checkpoint. A store that is down delays this row, not the checkpoint.
CREATE TABLE IF NOT EXISTS proof.stored_checkpoints (
    number bigint PRIMARY KEY REFERENCES proof.checkpoints ON DELETE RESTRICT,
    uri text NOT NULL,
    object_version_id text,
    retention_until timestamptz,
    stored_at timestamptz NOT NULL DEFAULT now()
);

DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['entries', 'nodes', 'checkpoints', 'stored_checkpoints'] LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER trg_%1$s_append_only
            BEFORE UPDATE OR DELETE OR TRUNCATE ON proof.%1$s FOR EACH STATEMENT
            EXECUTE FUNCTION refuse_change(''the log only grows'')', kept);
        EXECUTE format('GRANT SELECT, INSERT ON proof.%s TO dispatch_app', kept);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION proof.enqueue() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = proof, pg_temp AS $$
BEGIN
    INSERT INTO queue (audit_event_id) SELECT id FROM added;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER trg_audit_events_anchor
    AFTER INSERT ON audit_events REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION proof.enqueue();

INSERT INTO proof.queue (audit_event_id)
SELECT a.id FROM audit_events a
 WHERE NOT EXISTS (SELECT FROM proof.entries e WHERE e.audit_event_id = a.id)
   AND NOT EXISTS (SELECT FROM proof.queue q WHERE q.audit_event_id = a.id)
 ORDER BY a.created_at, a.id;

-- Takes the rows that are due: so many, or the oldest so old. One caller at a time: the others get nothing.
CREATE OR REPLACE FUNCTION proof.take(p_due_rows int, p_due_age interval, p_limit int)
RETURNS TABLE (audit_event_id uuid, hash text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = proof, pg_temp AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('dispatch.anchoring', 0)) THEN
        RETURN;
    END IF;
    IF NOT (SELECT count(*) >= p_due_rows OR coalesce(min(w.queued_at) <= now() - p_due_age, false)
              FROM (SELECT queued_at FROM queue ORDER BY position LIMIT p_due_rows) w) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH oldest AS (SELECT o.position FROM queue o ORDER BY o.position LIMIT p_limit),
    taken AS (
        DELETE FROM queue q USING oldest WHERE q.position = oldest.position
        RETURNING q.position, q.audit_event_id
    )
    SELECT t.audit_event_id, a.hash
      FROM taken t JOIN public.audit_events a ON a.id = t.audit_event_id
     ORDER BY t.position;
END $$;
REVOKE ALL ON FUNCTION proof.take, proof.enqueue FROM PUBLIC;
GRANT EXECUTE ON FUNCTION proof.take TO dispatch_app;
