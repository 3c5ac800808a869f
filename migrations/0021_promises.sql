-- What was answered 202 is kept whole until it is decided: the engine may lose a workflow, never a
-- promise.

-- The signed command as JSON, exactly as it was sent; a large payload stands in command_payloads.
-- `sends` counts how often it was sent, `send_at` is when it is sent again.
CREATE TABLE IF NOT EXISTS command_promises (
    command_id uuid PRIMARY KEY,
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    signed text NOT NULL,
    sends int NOT NULL DEFAULT 1 CHECK (sends >= 1),
    send_at timestamptz NOT NULL DEFAULT now() + interval '5 seconds',
    promised_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS idx_command_promises_send_at ON command_promises (send_at);
SELECT protect_tenant_table('command_promises', 'set_tenant_of_root');
GRANT SELECT, INSERT ON command_promises TO dispatch_app;
GRANT INSERT ON command_promises TO dispatch_gateway;

-- Takes a batch of what is to be sent again, of all tenants, in the order in which it came. Whoever
-- takes one has it for a while, longer each time: a backlog must not grow by what waits in it. What
-- was decided is forgotten, so that deciding costs no command anything.
CREATE OR REPLACE FUNCTION take_promises(p_limit int)
RETURNS TABLE (command_id uuid, signed text, payload jsonb, sends int)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    DELETE FROM command_promises p USING command_log c
     WHERE c.command_id = p.command_id AND c.decided_at IS NOT NULL;
    RETURN QUERY
    WITH due AS (
        SELECT p.command_id FROM command_promises p
         WHERE p.send_at <= now() ORDER BY p.send_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE command_promises p
           SET sends = p.sends + 1,
               send_at = now() + least(interval '60 s', interval '5 s' * 2 ^ least(p.sends, 4))
          FROM due WHERE p.command_id = due.command_id
        RETURNING p.command_id, p.signed, p.sends
    )
    SELECT t.command_id, t.signed, l.payload, t.sends
      FROM taken t
      LEFT JOIN command_payloads l ON l.command_id = t.command_id
      LEFT JOIN command_log c ON c.command_id = t.command_id
     ORDER BY c.submitted_at, t.command_id;
END $$;

-- How many promises of a tenant (null: of all) are not kept yet, and since when the oldest waits.
CREATE OR REPLACE FUNCTION open_promises(
    p_tenant text, OUT waiting bigint, OUT oldest_seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*), coalesce(extract(epoch FROM now() - min(p.promised_at)), 0)
      FROM command_promises p
     WHERE (p_tenant IS NULL OR p.tenant_id = p_tenant)
       AND NOT EXISTS (SELECT FROM command_log c
                        WHERE c.command_id = p.command_id AND c.decided_at IS NOT NULL)
$$;
REVOKE ALL ON FUNCTION take_promises, open_promises FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_promises, open_promises TO dispatch_app;
GRANT EXECUTE ON FUNCTION open_promises TO dispatch_gateway;
