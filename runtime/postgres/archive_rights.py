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
SELECT r.nspname::text AS schema, r.relname::text AS name
  FROM relations r, me
 WHERE NOT r.enters
    OR NOT CASE r.relkind WHEN 'S' THEN has_sequence_privilege(r.oid, 'SELECT')
                          ELSE has_table_privilege(r.oid, 'SELECT') END
    OR r.relrowsecurity AND NOT me.unbound AND NOT EXISTS (
         SELECT FROM pg_policy p
          WHERE p.polrelid = r.oid AND p.polpermissive AND p.polcmd IN ('r', '*')
            AND me.oid = ANY (p.polroles) AND pg_get_expr(p.polqual, p.polrelid) = 'true')
 ORDER BY 1, 2
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
    unbound = await conn.fetchval(UNBOUND)
    if unread:
        me = await conn.fetchval("SELECT quote_ident(current_user)")
        names = ", ".join(f"{row['schema']}.{row['name']}" for row in unread[:_NAMED])
        more = f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else ""
        schemas = sorted({row["schema"] for row in unread})
        raise UnreadableError(
            f"the login {me} does not read all of {names}{more}: use the owner of the schema, or a"
            " role with BYPASSRLS that may read everything"
            + (
                f". As the owner: {' '.join(_grants(me, each) for each in schemas)}"
                if unbound
                else ""
            )
        )
    return () if unbound else ("--enable-row-security",)


def _grants(login: str, schema: str) -> str:
    """Return what lets a role with BYPASSRLS read a schema; for others it would not be enough."""
    return (
        f"GRANT USAGE ON SCHEMA {schema} TO {login};"
        f" GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {login};"
        f" GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {login};"
    )
