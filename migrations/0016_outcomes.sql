-- What a command counts as in the metrics is kept with its outcome: gateways that wait read one row.
-- Gateways of the release before ask command_outcomes, which stays until none is left.
ALTER TABLE command_log ADD COLUMN IF NOT EXISTS counted jsonb;

CREATE OR REPLACE FUNCTION decided_commands(p_commands uuid[])
RETURNS TABLE (command_id uuid, tool_name text, code text, response_code int, response_text text,
               counted jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.command_id, c.tool_name, c.code, c.response_code, c.response_text, c.counted
      FROM command_log c
     WHERE c.command_id = ANY (p_commands) AND c.decided_at IS NOT NULL
$$;
REVOKE ALL ON FUNCTION decided_commands FROM PUBLIC;
GRANT EXECUTE ON FUNCTION decided_commands TO dispatch_app;
