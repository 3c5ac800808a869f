"""The application's Postgres pool and role, the migrations and the installation's keys."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import asyncpg
import orjson
from asyncpg.connection import LoggedQuery

from contracts.statements import SET_TENANT

if TYPE_CHECKING:  # generic in the stubs only
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
QueryObserver: TypeAlias = Callable[[LoggedQuery], None]

APPLICATION_ROLE = "dispatch_app"
"""The role of worker and relay."""
GATEWAY_ROLE = "dispatch_gateway"
"""The role of the gateway, which may less."""

CONNECT_TIMEOUT_SECONDS = 5
COMMAND_TIMEOUT_SECONDS = 30
SESSION_SETTINGS = {
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


class DatabaseError(Exception):
    """The database is not in the shape the product needs."""


class ApplicationRoleError(DatabaseError):
    """The connection's role could get around row-level security or change the schema."""


class InstallationKeyError(DatabaseError):
    """The database holds no installation key of that name."""


async def create_pool(
    url: str,
    *,
    max_size: int,
    role: str = APPLICATION_ROLE,
    application_name: str = "dispatch",
    on_query: QueryObserver | None = None,
) -> Pool:
    """Return a pool of connections in a role of the application; it connects on first use.

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
        server_settings={**SESSION_SETTINGS, "role": role, "application_name": application_name},
    )


async def listening_connection(
    url: str, *, role: str = APPLICATION_ROLE, application_name: str = "dispatch-outcomes"
) -> Connection:
    """Return a connection of its own to LISTEN on, in a role of the application."""
    return await asyncpg.connect(
        url,
        timeout=CONNECT_TIMEOUT_SECONDS,
        server_settings={
            **SESSION_SETTINGS,
            "role": role,
            "application_name": application_name,
        },
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
            f"{APPLICATION_ROLE} or {GATEWAY_ROLE} and nothing more"
        )


async def installation_key(conn: Connection, name: str = "command_mac") -> bytes:
    """Return 32 random bytes that every process on this database shares."""
    key: bytes | None = await conn.fetchval(KEY, name)
    if key is None:
        raise InstallationKeyError(f"no installation key {name}: run `dispatch migrate`")
    return key


@asynccontextmanager
async def reading(pool: Pool, tenant_id: str) -> AsyncIterator[Connection]:
    """Open a short read-only transaction of a tenant."""
    async with pool.acquire() as conn, conn.transaction(readonly=True):
        await conn.execute(SET_TENANT, tenant_id)
        yield conn
