-- What one ticket or one reference can cost those who keep the records: attempts are counted, keys have one form.

-- Attempts at a dossier that came to no end, an outage of the object store excepted.
ALTER TABLE proof.dossier_queue ADD COLUMN IF NOT EXISTS attempts int NOT NULL DEFAULT 0;

-- Takes the place of claim_dossier, which workers of the last release still call.
CREATE OR REPLACE FUNCTION proof.lease_dossier(p_lease interval)
RETURNS TABLE (ticket_id uuid, tenant_id text, attempt int)
LANGUAGE sql SECURITY DEFINER ROWS 1 SET search_path = proof, pg_temp AS $$
    WITH due AS (
        SELECT q.ticket_id FROM dossier_queue q
         WHERE q.next_attempt_at <= now()
           AND NOT EXISTS (SELECT FROM queue w JOIN public.audit_events a ON a.id = w.audit_event_id
                            WHERE a.ticket_id = q.ticket_id)
         ORDER BY q.next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE dossier_queue q
       SET attempts = q.attempts + 1, next_attempt_at = now() + p_lease * least(q.attempts + 1, 12)
      FROM due WHERE q.ticket_id = due.ticket_id
    RETURNING q.ticket_id, q.tenant_id, q.attempts
$$;
CREATE OR REPLACE FUNCTION proof.excuse_dossier(p_ticket uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = proof, pg_temp AS $$
    UPDATE dossier_queue SET attempts = greatest(attempts - 1, 0) WHERE ticket_id = p_ticket
$$;
REVOKE ALL ON FUNCTION proof.lease_dossier, proof.excuse_dossier FROM PUBLIC;
GRANT EXECUTE ON FUNCTION proof.lease_dossier, proof.excuse_dossier TO dispatch_app;

-- Whether an upload's bytes are evidence: finalized, or named by a reference of whatever spelling. An object's key has
-- the upload's id and ends with the digest of its bytes, which is what the index finds.
CREATE INDEX IF NOT EXISTS idx_evidence_items_named_digest
    ON evidence_items (substring(lower(uri) FROM '[0-9a-f]{64}'));
CREATE OR REPLACE FUNCTION is_evidence(p_upload uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM evidence_uploads u
          JOIN evidence_items i ON substring(lower(i.uri) FROM '[0-9a-f]{64}') = u.sha256
                               AND position(u.id::text IN lower(i.uri)) > 0
         WHERE u.id = p_upload)
$$;
REVOKE ALL ON FUNCTION is_evidence FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_evidence TO dispatch_app;

-- The newest redaction that stands for each item of a ticket: its own, or that of an item with the same bytes.
CREATE OR REPLACE FUNCTION redactions_of(p_ticket uuid)
RETURNS TABLE (evidence_item_id uuid, uri text, object_version_id text, content_type text, size_bytes bigint,
               sha256 text)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (i.id) i.id, r.uri, r.object_version_id, r.content_type, r.size_bytes, r.sha256
      FROM evidence_redactions r
      JOIN evidence_items o ON o.id = r.evidence_item_id
      JOIN evidence_items i ON i.ticket_id = o.ticket_id
                           AND (i.id = o.id OR i.uri = o.uri
                                OR lower(btrim(i.checksum)) = lower(btrim(o.checksum)))
     WHERE r.ticket_id = p_ticket
     ORDER BY i.id, r.created_at DESC, r.id
$$;
REVOKE ALL ON FUNCTION redactions_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION redactions_of TO dispatch_app;

-- How many audit rows wait to be anchored, and checkpoints for their copies, for longer than that; once anything is.
CREATE OR REPLACE FUNCTION proof.late_records(p_age interval) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = proof, pg_temp AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM checkpoints) THEN
        (SELECT count(*) FROM queue WHERE queued_at < now() - p_age)
        + (SELECT count(*) FROM checkpoints c WHERE c.created_at < now() - p_age
              AND NOT EXISTS (SELECT FROM stored_checkpoints s WHERE s.number = c.number))
    ELSE 0 END
$$;
REVOKE ALL ON FUNCTION proof.late_records FROM PUBLIC;
GRANT EXECUTE ON FUNCTION proof.late_records TO dispatch_app;
