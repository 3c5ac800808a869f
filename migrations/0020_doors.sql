-- A key is one tenant's own: the same key of another tenant is another key, and tells nothing.
ALTER TABLE idempotency_keys
    DROP CONSTRAINT IF EXISTS idempotency_keys_actor_id_endpoint_request_id_key;
CREATE UNIQUE INDEX IF NOT EXISTS idempotency_keys_once
    ON idempotency_keys (tenant_id, actor_id, endpoint, request_id);

-- The stored answer of a key of the transaction's tenant. The text is exactly what was answered.
CREATE OR REPLACE FUNCTION idempotency_row(
    p_actor text, p_endpoint text, p_request uuid,
    OUT tenant_id text, OUT request_hash text, OUT response_code int, OUT response_text text,
    OUT command_id uuid
) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp AS $$
    SELECT k.tenant_id, k.request_hash, k.response_code,
           coalesce(c.response_text, k.response_body::text), k.command_id
      FROM idempotency_keys k
      LEFT JOIN command_log c ON c.command_id = k.command_id
     WHERE k.tenant_id = current_setting('dispatch.tenant', true)
       AND k.actor_id = p_actor AND k.endpoint = p_endpoint AND k.request_id = p_request
$$;

-- What personal data is redacted under in audit payloads: who holds a dossier cannot try all phone numbers.
INSERT INTO installation_keys (name, key)
VALUES ('redaction', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
ON CONFLICT (name) DO NOTHING;

CREATE OR REPLACE FUNCTION redaction_key() RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT key FROM installation_keys WHERE name = 'redaction'
$$;
REVOKE ALL ON FUNCTION redaction_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION redaction_key TO dispatch_app, dispatch_gateway;
