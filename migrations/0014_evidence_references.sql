-- The rolling audit reads references, too: evidence added by uri whose object lies in our bucket.

-- Items without a SHA-256 cannot be compared with anything; they are counted each time the audit runs.
CREATE INDEX IF NOT EXISTS idx_evidence_items_unhashed ON evidence_items (id)
    WHERE checksum IS NULL OR lower(btrim(checksum)) !~ '^[0-9a-f]{64}$';

CREATE OR REPLACE FUNCTION lies_in_bucket(p_uri text, p_bucket text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT lower(split_part(p_uri, '://', 1)) IN ('s3', 'minio')
       AND split_part(split_part(p_uri, '://', 2), '/', 1) = p_bucket
$$;

-- Evidence of all tenants that was not re-hashed since `p_before`, what waits longest first: uploads, and references to
-- objects in the bucket that name a SHA-256. It takes the place of evidence_to_check, which workers of the last release
-- may still call; how much is read is up to who reads, for only then the size of a reference is known.
CREATE OR REPLACE FUNCTION evidence_to_read(p_bucket text, p_before timestamptz, p_limit int)
RETURNS TABLE (id uuid, tenant_id text, ticket_id uuid, uri text, object_version_id text, sha256 text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.id, i.tenant_id, i.ticket_id, i.uri, i.object_version_id,
           coalesce(u.sha256, lower(btrim(i.checksum)))
      FROM evidence_items i
      LEFT JOIN evidence_uploads u ON u.evidence_item_id = i.id
                                  AND i.uri = 's3://' || u.bucket || '/' || u.object_key
      LEFT JOIN evidence_checks c ON c.evidence_item_id = i.id
     WHERE i.created_at < p_before AND coalesce(c.checked_at < p_before, true)
       AND (u.id IS NOT NULL
            OR lower(btrim(i.checksum)) ~ '^[0-9a-f]{64}$' AND lies_in_bucket(i.uri, p_bucket))
     ORDER BY coalesce(c.checked_at, '-infinity'), i.id LIMIT p_limit
$$;

-- How many objects in the bucket are evidence, of all tenants, that nobody can check: without a SHA-256.
CREATE OR REPLACE FUNCTION unhashed_evidence(p_bucket text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*) FROM evidence_items
     WHERE (checksum IS NULL OR lower(btrim(checksum)) !~ '^[0-9a-f]{64}$')
       AND lies_in_bucket(uri, p_bucket)
$$;

REVOKE ALL ON FUNCTION lies_in_bucket, evidence_to_read, unhashed_evidence FROM PUBLIC;
GRANT EXECUTE ON FUNCTION evidence_to_read, unhashed_evidence TO dispatch_app;
