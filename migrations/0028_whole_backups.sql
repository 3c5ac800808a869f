-- Who may read every row may also read where the sequences stand: without that a dump of theirs breaks off. Auditors
-- are made by the administrator under any name, so they are found by what they were granted.

DO $$
DECLARE
    auditor name;
BEGIN
    FOR auditor IN
        SELECT r.rolname FROM pg_roles r
         WHERE r.rolbypassrls AND NOT r.rolsuper AND has_schema_privilege(r.rolname, 'proof', 'USAGE')
           AND has_table_privilege(r.rolname, 'public.audit_events', 'SELECT')
    LOOP
        EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA public, proof TO %I', auditor);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON SEQUENCES TO %I', auditor);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA proof GRANT SELECT ON SEQUENCES TO %I', auditor);
    END LOOP;
END $$;
