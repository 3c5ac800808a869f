"""The application's Postgres pool and role, the migrations and the installation's keys."""

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import asyncpg
import orjson
from asyncpg.connection import LoggedQuery

from migrations import Script, scripts

if TYPE_CHECKING:  # generic in the stubs only
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
QueryObserver: TypeAlias = Callable[[LoggedQuery], None]
TransitionPair: TypeAlias = tuple[str | None, str]

APPLICATION_ROLE = "dispatch_app"
TRANSITION_CHECK = "chk_ticket_state_transition_valid"

CONNECT_TIMEOUT_SECONDS = 5
COMMAND_TIMEOUT_SECONDS = 30
SESSION_SETTINGS = {
    "role": APPLICATION_ROLE,
    "timezone": "UTC",
    # A stopped process must not keep a ticket locked.
    "idle_in_transaction_session_timeout": "30s",
}

DATABASE_FAULTS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection whose last query was given up is still busy
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
"""What is raised while the database is out of reach; anything else is a defect."""

PRIVILEGES = """
    SELECT current_user::text AS name, r.rolsuper, r.rolbypassrls,
           (SELECT min(c.oid::regclass::text) FROM pg_class c
             WHERE c.relkind IN ('r', 'p') AND pg_has_role(current_user, c.relowner, 'USAGE')
           ) AS owned
      FROM pg_roles r WHERE r.rolname = current_user
"""
KEY = "SELECT key FROM installation_keys WHERE name = $1"
MIGRATION_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('dispatch.migrate', 0))"
HAS_MIGRATIONS = "SELECT to_regclass('public.schema_migrations') IS NOT NULL"
APPLIED = "SELECT name, sha256 FROM public.schema_migrations"
RECORD_APPLIED = "INSERT INTO public.schema_migrations (name, sha256) VALUES ($1, $2)"
NEWEST = "SELECT 'migrations/' || max(name) FROM public.schema_migrations"
TRANSITION_CHECK_MARK = """
    SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint
     WHERE conrelid = 'public.ticket_state_transitions'::regclass AND conname = $1
"""
STATE_LABEL = re.compile(r"[A-Z][A-Z_]*")


class DatabaseError(Exception):
    """The database is not in the shape the product needs."""


class MigrationError(DatabaseError):
    """A migration cannot be applied; nothing of the run was kept."""


class ApplicationRoleError(DatabaseError):
    """The connection's role could get around row-level security or change the schema."""


class InstallationKeyError(DatabaseError):
    """The database holds no installation key of that name."""


async def create_pool(
    url: str,
    *,
    max_size: int,
    application_name: str = "dispatch",
    on_query: QueryObserver | None = None,
) -> Pool:
    """Return a pool of connections in the application role; it connects on first use.

    jsonb columns and parameters are Python objects. `url` is a postgres:// or postgresql:// one.
    `on_query` is told of every query that has ended.
    """

    async def prepare(conn: Connection) -> None:
        await _set_codecs(conn)
        if on_query is not None:
            conn.add_query_logger(on_query)

    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=max_size,
        init=prepare,
        reset=_keep_session,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=COMMAND_TIMEOUT_SECONDS,
        max_cached_statement_lifetime=0,
        max_inactive_connection_lifetime=0,  # else every release sets a timer
        server_settings={**SESSION_SETTINGS, "application_name": application_name},
    )


async def listening_connection(
    url: str, *, application_name: str = "dispatch-outcomes"
) -> Connection:
    """Return a connection of its own to LISTEN on, in the application role."""
    return await asyncpg.connect(
        url,
        timeout=CONNECT_TIMEOUT_SECONDS,
        server_settings={**SESSION_SETTINGS, "application_name": application_name},
    )


@asynccontextmanager
async def owner_transaction(url: str) -> AsyncIterator[Connection]:
    """Open one transaction as the login role of `url`, for what the application may not write."""
    conn = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        await _set_codecs(conn)
        async with conn.transaction():
            yield conn
    finally:
        await conn.close()


async def _set_codecs(conn: Connection) -> None:
    for name in ("json", "jsonb"):
        await conn.set_type_codec(
            name, schema="pg_catalog", encoder=_encode, decoder=orjson.loads, format="text"
        )


def _encode(value: object) -> str:
    return orjson.dumps(value, default=_plain).decode()


def _plain(value: object) -> str:
    if isinstance(value, UUID):  # asyncpg's own kind
        return str(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


async def _keep_session(_: Connection) -> None:
    """Skip the round trip of RESET ALL: asyncpg has rolled back, settings are transaction-local."""


async def assert_application_role(conn: Connection) -> None:
    """Raise `ApplicationRoleError` unless the role is subject to row-level security."""
    row = await conn.fetchrow(PRIVILEGES)
    if row is None:
        raise ApplicationRoleError("the current role does not exist any more")
    faults = {
        "is a superuser": row["rolsuper"],
        "has BYPASSRLS": row["rolbypassrls"],
        f"has the rights of the owner of {row['owned']}": row["owned"] is not None,
    }
    if found := [fault for fault, present in faults.items() if present]:
        raise ApplicationRoleError(
            f"role {row['name']} {' and '.join(found)}; the application must run as "
            f"{APPLICATION_ROLE} and nothing more"
        )


async def installation_key(conn: Connection, name: str = "command_mac") -> bytes:
    """Return 32 random bytes that every process on this database shares."""
    key: bytes | None = await conn.fetchval(KEY, name)
    if key is None:
        raise InstallationKeyError(f"no installation key {name}: run `dispatch migrate`")
    return key


async def migrate(url: str, pairs: Iterable[TransitionPair]) -> list[str]:
    """Apply what is new in one transaction, as the login role of `url`; see `apply_migrations`."""
    conn = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
    try:
        async with conn.transaction():
            return await apply_migrations(conn, pairs)
    finally:
        await conn.close()


async def apply_migrations(conn: Connection, pairs: Iterable[TransitionPair]) -> list[str]:
    """Apply what is new inside the caller's transaction and return its paths, oldest first.

    `pairs` are the legal transitions of the policy bundle. Concurrent callers take turns. Raises
    `MigrationError` if an applied file was changed or a statement fails.
    """
    await conn.execute("SET LOCAL search_path = public")
    await conn.execute(MIGRATION_LOCK)
    applied = await _applied(conn)
    fresh = [script for script in scripts() if _is_new(script, applied.get(script.name))]
    for script in fresh:
        await _apply(conn, script)
    await _install_transition_check(conn, transition_check_sql(pairs))
    return [script.path for script in fresh]


async def newest_migration(conn: Connection) -> str | None:
    """Return the path of the newest applied migration, or None before the first."""
    if not await conn.fetchval(HAS_MIGRATIONS):
        return None
    newest: str | None = await conn.fetchval(NEWEST)
    return newest


async def _applied(conn: Connection) -> dict[str, str]:
    if not await conn.fetchval(HAS_MIGRATIONS):
        return {}
    return {row["name"]: row["sha256"] for row in await conn.fetch(APPLIED)}


def _is_new(script: Script, applied_sha256: str | None) -> bool:
    if applied_sha256 is None:
        return True
    if not script.is_the_same_as(applied_sha256):
        raise MigrationError(
            f"{script.path} was changed after it had been applied "
            f"(sha256 {applied_sha256}, now {script.sha256}): put the change into a new file"
        )
    return False


async def _apply(conn: Connection, script: Script) -> None:
    try:
        await conn.execute(script.sql)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{script.path} failed: {error}") from error
    await conn.execute(RECORD_APPLIED, script.name, script.sha256)


def transition_check_sql(pairs: Iterable[TransitionPair]) -> str:
    """Return the SQL condition that holds for exactly these pairs; it is never null."""
    cases = [_pair_sql(before, after) for before, after in pairs]
    return f"COALESCE({' OR '.join(cases)}, false)"


def _pair_sql(before: str | None, after: str) -> str:
    for label in (before, after):
        if label is not None and not STATE_LABEL.fullmatch(label):
            raise ValueError(f"not a state: {label!r}")
    origin = "from_state IS NULL" if before is None else f"from_state = '{before}'"
    return f"({origin} AND to_state = '{after}')"


async def _install_transition_check(conn: Connection, condition: str) -> None:
    mark = f"sha256:{hashlib.sha256(condition.encode()).hexdigest()}"
    if await conn.fetchval(TRANSITION_CHECK_MARK, TRANSITION_CHECK) == mark:
        return
    try:
        await conn.execute(
            f"ALTER TABLE ticket_state_transitions DROP CONSTRAINT IF EXISTS {TRANSITION_CHECK},"
            f" ADD CONSTRAINT {TRANSITION_CHECK} CHECK ({condition})"
        )
    except asyncpg.CheckViolationError as error:
        raise MigrationError(
            "recorded transitions are not legal in this policy bundle; a pair that was used "
            "cannot be removed"
        ) from error
    await conn.execute(
        f"COMMENT ON CONSTRAINT {TRANSITION_CHECK} ON ticket_state_transitions IS '{mark}'"
    )
