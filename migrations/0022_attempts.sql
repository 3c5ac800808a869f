-- Commands that failed by a defect or by time: counted across retries and dead workers, and given up.

-- A command has no row until an attempt at it failed, or until it is late. One that was given up
-- keeps it: `reference` is what its caller was told.
CREATE TABLE IF NOT EXISTS command_attempts (
    command_id uuid PRIMARY KEY,
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    tool_name text NOT NULL,
    workflow_id text NOT NULL,
    failed int NOT NULL CHECK (failed >= 0),
    first_at timestamptz NOT NULL DEFAULT now(),
    reference uuid,
    given_up_at timestamptz,
    CHECK ((reference IS NULL) = (given_up_at IS NULL))
);
CREATE INDEX IF NOT EXISTS idx_command_attempts_given_up ON command_attempts (given_up_at);
SELECT protect_tenant_table('command_attempts', 'set_tenant_of_root');

-- Counts an attempt as failed until it is forgiven, and returns how many had failed before it.
CREATE OR REPLACE FUNCTION count_attempt(
    p_command uuid, p_tenant text, p_tool text, p_workflow text
) RETURNS int
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO command_attempts AS a (command_id, tenant_id, tool_name, workflow_id, failed)
    VALUES (p_command, p_tenant, p_tool, p_workflow, 1)
    ON CONFLICT (command_id) DO UPDATE SET failed = a.failed + 1
    RETURNING failed - 1
$$;

CREATE OR REPLACE FUNCTION forgive_attempt(p_command uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE command_attempts SET failed = greatest(failed - 1, 0) WHERE command_id = p_command
$$;

CREATE OR REPLACE FUNCTION give_up_command(p_command uuid, p_reference uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE command_attempts SET reference = p_reference, given_up_at = now()
     WHERE command_id = p_command AND given_up_at IS NULL
$$;

-- Forgets the attempts at commands that were decided after all.
CREATE OR REPLACE FUNCTION forget_attempts() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM command_attempts a USING command_log c
     WHERE c.command_id = a.command_id AND c.decided_at IS NOT NULL AND a.given_up_at IS NULL
$$;

-- The commands of a tenant (null: of all) that were given up within a span, newest first.
CREATE OR REPLACE FUNCTION given_up_commands(p_span interval, p_tenant text)
RETURNS TABLE (command_id uuid, tool_name text, workflow_id text, reference uuid,
               given_up_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.command_id, a.tool_name, a.workflow_id, a.reference, a.given_up_at
      FROM command_attempts a
     WHERE a.given_up_at > now() - p_span AND (p_tenant IS NULL OR a.tenant_id = p_tenant)
     ORDER BY a.given_up_at DESC
$$;
REVOKE ALL ON FUNCTION count_attempt, forgive_attempt, give_up_command, forget_attempts,
    given_up_commands FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_attempt, forgive_attempt, give_up_command, forget_attempts,
    given_up_commands TO dispatch_app;
GRANT EXECUTE ON FUNCTION given_up_commands TO dispatch_gateway;
