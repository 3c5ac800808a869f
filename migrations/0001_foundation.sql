-- The application role, the enums, what makes a table a tenant table, and the installation's own records.

-- Roles belong to the cluster: another database may create the same one at this moment.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dispatch_app') THEN
        CREATE ROLE dispatch_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOINHERIT;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'dispatch_app', 'SET') THEN
        GRANT dispatch_app TO CURRENT_USER WITH INHERIT FALSE, SET TRUE;
    END IF;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO dispatch_app;

DO $$
BEGIN
    CREATE TYPE ticket_state AS ENUM (
        'NEW', 'NEEDS_INFO', 'TRIAGED', 'APPROVAL_REQUIRED', 'READY_TO_SCHEDULE',
        'SCHEDULE_PROPOSED', 'SCHEDULED', 'PENDING_CUSTOMER_CONFIRMATION', 'DISPATCHED',
        'ON_SITE', 'IN_PROGRESS', 'ON_HOLD', 'COMPLETED_PENDING_VERIFICATION', 'VERIFIED',
        'INVOICED', 'CLOSED', 'CANCELLED'
    );
EXCEPTION
    WHEN duplicate_object THEN NULL;
END $$;

DO $$
BEGIN
    CREATE TYPE priority_level AS ENUM ('EMERGENCY', 'URGENT', 'ROUTINE');
EXCEPTION
    WHEN duplicate_object THEN NULL;
END $$;

DO $$
BEGIN
    CREATE TYPE actor_type AS ENUM ('HUMAN', 'AGENT', 'SERVICE', 'SYSTEM');
EXCEPTION
    WHEN duplicate_object THEN NULL;
END $$;

DO $$
BEGIN
    CREATE TYPE approval_status AS ENUM ('PENDING', 'APPROVED', 'DENIED', 'CANCELLED');
EXCEPTION
    WHEN duplicate_object THEN NULL;
END $$;

CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- Used where the environment gives no key; 244 of the 256 bits fed to the hash are random.
CREATE TABLE IF NOT EXISTS installation_keys (
    name text PRIMARY KEY,
    key bytea NOT NULL CHECK (octet_length(key) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO installation_keys (name, key)
VALUES ('command_mac', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
ON CONFLICT (name) DO NOTHING;

GRANT SELECT ON schema_migrations, installation_keys TO dispatch_app;

-- The tenant of a row: its parents', which must agree; without a parent the transaction's.
-- A given 'default' is indistinguishable from none.
CREATE OR REPLACE FUNCTION row_tenant(p_given text, VARIADIC p_parents text[] DEFAULT '{}')
RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    parent text;
    tenant text;
BEGIN
    FOREACH parent IN ARRAY p_parents LOOP
        IF tenant <> parent THEN
            RAISE EXCEPTION 'parent rows belong to the tenants % and %', tenant, parent
                USING ERRCODE = 'check_violation';
        END IF;
        tenant := coalesce(tenant, parent);
    END LOOP;
    IF p_given = 'default' THEN
        RETURN coalesce(tenant, nullif(current_setting('dispatch.tenant', true), ''), p_given);
    END IF;
    IF p_given <> tenant THEN
        RAISE EXCEPTION 'tenant % contradicts tenant % of the parent row', p_given, tenant
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN p_given;
END $$;

CREATE OR REPLACE FUNCTION set_tenant_of_root() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.tenant_id := row_tenant(NEW.tenant_id);
    RETURN NEW;
END $$;

-- Reports a change that a trigger forbids; its argument says why.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'restrict_violation';
END $$;

-- Makes a table with tenant_id a tenant table: the tenant is derived by p_derive from the parent
-- columns, never changes, and is all that the application sees. The owner sees every row, because
-- the SECURITY DEFINER functions look up parents of any tenant.
CREATE OR REPLACE FUNCTION protect_tenant_table(
    p_table regclass, p_derive regproc, VARIADIC p_parents text[] DEFAULT '{}'
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    columns text := array_to_string('tenant_id'::text || p_parents, ', ');
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER trg_%1$s_tenant
        BEFORE INSERT OR UPDATE OF %2$s ON %1$s FOR EACH ROW EXECUTE FUNCTION %3$s()',
        p_table, columns, p_derive);
    EXECUTE format('CREATE OR REPLACE TRIGGER trg_%1$s_tenant_fixed BEFORE UPDATE ON %1$s
        FOR EACH ROW WHEN (NEW.tenant_id IS DISTINCT FROM OLD.tenant_id)
        EXECUTE FUNCTION refuse_change(%2$L)', p_table, 'a row never changes its tenant');
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
    EXECUTE format('DROP POLICY IF EXISTS owner_rows ON %s', p_table);
    EXECUTE format('CREATE POLICY owner_rows ON %s TO CURRENT_USER
        USING (true) WITH CHECK (true)', p_table);
    EXECUTE format('DROP POLICY IF EXISTS tenant_rows ON %s', p_table);
    EXECUTE format('CREATE POLICY tenant_rows ON %s TO dispatch_app
        USING (tenant_id = current_setting(''dispatch.tenant'', true))
        WITH CHECK (tenant_id = current_setting(''dispatch.tenant'', true))', p_table);
END $$;
REVOKE ALL ON FUNCTION protect_tenant_table FROM PUBLIC;
