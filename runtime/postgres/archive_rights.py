"""Whether a login reads all of the database: half a backup looks like a whole one."""

from runtime.postgres.pool import Connection, DatabaseError

# Superusers and roles with BYPASSRLS are not asked; for others a policy must show every row.
UNREAD = """
WITH me AS (SELECT oid, rolsuper OR rolbypassrls AS unbound
              FROM pg_roles WHERE rolname = current_user),
     relations AS (
    SELECT c.oid, c.relkind, c.relrowsecurity, c.relnamespace, n.nspname, c.relname,
           has_schema_privilege(n.oid, 'USAGE') AS enters
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'S', 'm')
       AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%')
SELECT r.nspname::text AS schema, r.relname::text AS name,
       NOT r.enters OR NOT CASE r.relkind WHEN 'S' THEN has_sequence_privilege(r.oid, 'SELECT')
                                          ELSE has_table_privilege(r.oid, 'SELECT') END AS refused
  FROM relations r, me
 WHERE NOT r.enters
    OR NOT CASE r.relkind WHEN 'S' THEN has_sequence_privilege(r.oid, 'SELECT')
                          ELSE has_table_privilege(r.oid, 'SELECT') END
    OR r.relrowsecurity AND NOT me.unbound AND NOT EXISTS (
         SELECT FROM pg_policy p
          WHERE p.polrelid = r.oid AND p.polpermissive AND p.polcmd IN ('r', '*')
            AND me.oid = ANY (p.polroles) AND pg_get_expr(p.polqual, p.polrelid) = 'true')
 ORDER BY 3 DESC, 1, 2
"""
UNBOUND = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
_NAMED = 3


class UnreadableError(DatabaseError):
    """The login would leave rows out of a backup."""


async def assert_reads_everything(conn: Connection) -> tuple[str, ...]:
    """Return the options with which this login's dump is whole. Raises `UnreadableError` if none.

    The owner is bound by row-level security, as everybody is, and a policy shows them every row;
    so the dump must keep to it, where it would else refuse.
    """
    unread = await conn.fetch(UNREAD)
    if unread:
        names = ", ".join(f"{row['schema']}.{row['name']}" for row in unread[:_NAMED])
        more = f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else ""
        grants = "; ".join(
            f"GRANT USAGE ON SCHEMA {schema} TO {{me}};"
            f" GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {{me}};"
            f" GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {{me}}"
            for schema in sorted({row["schema"] for row in unread if row["refused"]})
        )
        me = await conn.fetchval("SELECT quote_ident(current_user)")
        raise UnreadableError(
            f"the login {me} does not read all of {names}{more}: use the owner of the schema, or a"
            f" role with BYPASSRLS that may read everything. {grants.format(me=me)}".rstrip()
        )
    return () if await conn.fetchval(UNBOUND) else ("--enable-row-security",)
