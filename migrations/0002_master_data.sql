-- Accounts, their sites, contacts and assets, and the technicians. The application only reads them.

CREATE TABLE IF NOT EXISTS accounts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    name text NOT NULL CHECK (name ~ '\S'),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS sites (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name text NOT NULL CHECK (name ~ '\S'),
    address1 text NOT NULL CHECK (address1 ~ '\S'),
    address2 text,
    city text NOT NULL CHECK (city ~ '\S'),
    region text,
    postal_code text,
    country text NOT NULL DEFAULT 'US',
    timezone text NOT NULL DEFAULT 'America/Los_Angeles',
    access_instructions text,
    hours_json jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS contacts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    site_id uuid REFERENCES sites ON DELETE CASCADE,
    account_id uuid REFERENCES accounts ON DELETE CASCADE,
    name text NOT NULL CHECK (name ~ '\S'),
    phone text,
    email text,
    role text,
    escalation_level int CHECK (escalation_level >= 0),
    is_authorized_requester boolean NOT NULL DEFAULT false,
    is_authorized_approver boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS assets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    site_id uuid NOT NULL REFERENCES sites ON DELETE CASCADE,
    asset_tag text,
    asset_type text,
    make text,
    model text,
    serial text,
    install_date date,
    warranty_end_date date,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS technicians (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    name text NOT NULL CHECK (name ~ '\S'),
    active boolean NOT NULL DEFAULT true,
    home_region text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS technician_skills (
    technician_id uuid REFERENCES technicians ON DELETE CASCADE,
    skill text CHECK (skill ~ '\S'),
    PRIMARY KEY (technician_id, skill)
);

CREATE TABLE IF NOT EXISTS technician_regions (
    technician_id uuid REFERENCES technicians ON DELETE CASCADE,
    region text CHECK (region ~ '\S'),
    PRIMARY KEY (technician_id, region)
);

CREATE TABLE IF NOT EXISTS technician_availability (
    technician_id uuid REFERENCES technicians ON DELETE CASCADE,
    weekday int CHECK (weekday BETWEEN 0 AND 6),
    start_time time NOT NULL,
    end_time time NOT NULL,
    PRIMARY KEY (technician_id, weekday, start_time)
);

CREATE OR REPLACE FUNCTION set_tenant_of_site() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.tenant_id := row_tenant(
        NEW.tenant_id, (SELECT tenant_id FROM accounts WHERE id = NEW.account_id)
    );
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION set_tenant_of_contact() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.tenant_id := row_tenant(
        NEW.tenant_id,
        (SELECT tenant_id FROM sites WHERE id = NEW.site_id),
        (SELECT tenant_id FROM accounts WHERE id = NEW.account_id)
    );
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION set_tenant_of_asset() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.tenant_id := row_tenant(
        NEW.tenant_id, (SELECT tenant_id FROM sites WHERE id = NEW.site_id)
    );
    RETURN NEW;
END $$;

SELECT protect_tenant_table('accounts', 'set_tenant_of_root');
SELECT protect_tenant_table('sites', 'set_tenant_of_site', 'account_id');
SELECT protect_tenant_table('contacts', 'set_tenant_of_contact', 'site_id', 'account_id');
SELECT protect_tenant_table('assets', 'set_tenant_of_asset', 'site_id');
SELECT protect_tenant_table('technicians', 'set_tenant_of_root');

-- These have no tenant of their own: the application sees those of the technicians it sees.
DO $$
DECLARE
    child text;
BEGIN
    FOREACH child IN ARRAY
        ARRAY['technician_skills', 'technician_regions', 'technician_availability']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', child);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', child);
        EXECUTE format('DROP POLICY IF EXISTS owner_rows ON %I', child);
        EXECUTE format('CREATE POLICY owner_rows ON %I TO CURRENT_USER
            USING (true) WITH CHECK (true)', child);
        EXECUTE format('DROP POLICY IF EXISTS tenant_rows ON %I', child);
        EXECUTE format('CREATE POLICY tenant_rows ON %I TO dispatch_app
            USING (EXISTS (SELECT FROM technicians t WHERE t.id = technician_id))', child);
    END LOOP;
END $$;

GRANT SELECT ON accounts, sites, contacts, assets, technicians, technician_skills,
    technician_regions, technician_availability TO dispatch_app;
