"""The migrations: applied once, safe to apply again, and true to the policy bundle."""

import asyncio
from itertools import product
from pathlib import Path

import asyncpg
import pytest

import migrations
from policy.model import State
from policy.rules.bundle import load_bundle
from runtime.postgres.migrate import (
    TRANSITION_CHECK,
    MigrationError,
    migrate,
    newest_migration,
    transition_check_sql,
)
from runtime.postgres.pool import (
    ApplicationRoleError,
    Connection,
    assert_application_role,
    create_pool,
    installation_key,
)
from tests.integration.rows import TRANSITION, add_audit, add_ticket
from tests.integration.servers.postgres_server import Cluster, start_cluster

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

PAIRS = load_bundle().pairs
CATALOG = """
    SELECT 'column' AS kind, table_name || '.' || column_name AS name,
           concat(data_type, ' ', is_nullable, ' ', column_default) AS detail
      FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'constraint', conrelid::regclass || '.' || conname,
           concat(oid, ' ', pg_get_constraintdef(oid)) FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
      FROM pg_index JOIN pg_class c ON c.oid = indexrelid
     WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid)
      FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'policy', tablename || '.' || policyname, concat(roles, qual, with_check)
      FROM pg_policies
    UNION ALL SELECT 'function', oid::regprocedure::text, concat(prosrc, prosecdef, proacl)
      FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'table', relname, concat(relacl, relrowsecurity, relforcerowsecurity)
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    ORDER BY 1, 2
"""
CHECK = "SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conname = $1"


async def test_a_second_run_changes_nothing(database_url: str, owner: Connection) -> None:
    before = await owner.fetch(CATALOG)
    key = await installation_key(owner)

    assert await migrate(database_url, PAIRS) == []
    assert await owner.fetch(CATALOG) == before
    assert await installation_key(owner) == key


async def test_every_file_may_be_applied_again(database_url: str, owner: Connection) -> None:
    before = await owner.fetch(CATALOG)
    await add_ticket(owner)
    await owner.execute("DELETE FROM schema_migrations")

    assert await migrate(database_url, PAIRS) == [script.path for script in migrations.scripts()]
    assert await owner.fetch(CATALOG) == before
    assert await owner.fetchval("SELECT count(*) FROM tickets") == 1


async def test_the_newest_migration_is_named_by_its_path(owner: Connection) -> None:
    assert await newest_migration(owner) == migrations.scripts()[-1].path
    await owner.execute("DROP TABLE schema_migrations")
    assert await newest_migration(owner) is None


async def test_a_changed_file_is_refused(database_url: str, owner: Connection) -> None:
    await owner.execute(
        "UPDATE schema_migrations SET sha256 = repeat('0', 64) WHERE name ~ '^0003'"
    )
    with pytest.raises(MigrationError, match=r"migrations/0003_tickets\.sql was changed"):
        await migrate(database_url, PAIRS)


async def test_a_database_of_the_release_that_edited_two_files_is_taken_further(
    database_url: str, owner: Connection
) -> None:
    before = await owner.fetch(CATALOG)
    await owner.execute("DROP FUNCTION decided_commands")
    await owner.execute("DELETE FROM schema_migrations WHERE name ~ '^(0016|0019|00[2-9])'")
    for edited in migrations.EDITED.items():
        await owner.execute("UPDATE schema_migrations SET sha256 = $2 WHERE name = $1", *edited)

    assert "migrations/0016_outcomes.sql" in await migrate(database_url, PAIRS)
    assert await owner.fetch(CATALOG) == before


async def test_a_failing_file_leaves_nothing_behind(postgres_cluster: Cluster) -> None:
    async with postgres_cluster.database() as url:
        conn = await asyncpg.connect(url)
        await conn.execute("CREATE VIEW tickets AS SELECT 1")
        with pytest.raises(MigrationError, match=r"migrations/0003_tickets\.sql failed"):
            await migrate(url, PAIRS)
        assert await newest_migration(conn) is None
        await conn.close()


async def test_two_databases_of_a_new_cluster_may_be_migrated_at_once_by_several(
    tmp_path: Path,
) -> None:
    cluster = start_cluster(tmp_path / "postgres")
    try:
        await cluster.execute("CREATE DATABASE a", "CREATE DATABASE b")
        urls = [cluster.database_url(name) for name in ("a", "b", "a", "b", "a")]
        runs = await asyncio.gather(*(migrate(url, PAIRS) for url in urls))
        assert sorted(len(run) for run in runs) == [0, 0, 0, *[len(migrations.scripts())] * 2]
    finally:
        await asyncio.to_thread(cluster.stop)


async def test_an_owner_without_superuser_rights_is_enough(postgres_cluster: Cluster) -> None:
    await postgres_cluster.execute("CREATE ROLE plain_owner LOGIN")
    await postgres_cluster.execute(
        "GRANT dispatch_app TO plain_owner WITH ADMIN TRUE", "CREATE DATABASE plain_owned"
    )
    await postgres_cluster.execute("ALTER DATABASE plain_owned OWNER TO plain_owner")
    url = postgres_cluster.database_url("plain_owned", "plain_owner")
    await migrate(url, PAIRS)

    conn = await asyncpg.connect(url)
    with pytest.raises(ApplicationRoleError, match="plain_owner has the rights of the owner of"):
        await assert_application_role(conn)
    ticket = await add_ticket(conn, "acme")
    application = await create_pool(url, max_size=1)
    async with application.acquire() as app, app.transaction():
        await app.execute("SELECT set_config('dispatch.tenant', 'acme', true)")
        await add_audit(app, ticket)
        assert await app.fetchval("SELECT tenant_id FROM audit_events") == "acme"
    await application.close()
    await conn.close()
    await postgres_cluster.execute(
        "DROP DATABASE plain_owned",
        "REVOKE dispatch_app FROM plain_owner",
        "DROP ROLE plain_owner",
    )


async def test_exactly_the_pairs_of_the_bundle_may_be_recorded(owner: Connection) -> None:
    ticket = await add_ticket(owner)
    event = await add_audit(owner, ticket)
    accepted = set()
    for before, after in product([None, *State], State):
        try:
            await owner.execute(TRANSITION, ticket, before, after, event)
            accepted.add((before, after))
        except asyncpg.CheckViolationError as error:
            assert error.constraint_name == TRANSITION_CHECK  # noqa: PT017  counted, not expected
    assert accepted == set(PAIRS)
    assert len(PAIRS) == 58


async def test_the_transition_check_is_never_null(owner: Connection) -> None:
    condition = await owner.fetchval(CHECK, TRANSITION_CHECK)
    states = "(SELECT unnest(enum_range(NULL::ticket_state)) UNION ALL SELECT NULL)"
    verdicts = await owner.fetch(  # the condition is the database's own
        f"SELECT {condition} AS verdict FROM {states} f (from_state), {states} t (to_state)"  # noqa: S608
    )
    assert [row["verdict"] for row in verdicts].count(None) == 0
    assert len(verdicts) == 18 * 18


async def test_the_transition_check_follows_the_bundle(
    database_url: str, owner: Connection
) -> None:
    fewer = [pair for pair in PAIRS if pair[1] is not State.CANCELLED]
    await migrate(database_url, fewer)
    ticket = await add_ticket(owner)
    event = await add_audit(owner, ticket)
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(TRANSITION, ticket, State.NEW, State.CANCELLED, event)

    await migrate(database_url, PAIRS)
    await owner.execute(TRANSITION, ticket, State.NEW, State.CANCELLED, event)
    with pytest.raises(MigrationError, match="recorded transitions are not legal"):
        await migrate(database_url, fewer)


async def test_the_enum_holds_the_states_in_the_order_of_the_contract(owner: Connection) -> None:
    labels = await owner.fetchval("SELECT enum_range(NULL::ticket_state)::text[]")
    assert labels == list(State)


def test_a_label_that_is_no_state_never_reaches_sql() -> None:
    with pytest.raises(ValueError, match="not a state"):
        transition_check_sql([("NEW", "X' OR true --")])
