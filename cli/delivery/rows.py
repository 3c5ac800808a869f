"""Rows that operators see and change directly: no tool of the gateway is about them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.statements import SET_TENANT
from runtime.postgres.pool import Connection, create_pool
from runtime.settings import Settings


@asynccontextmanager
async def tenant_transaction(settings: Settings, tenant: str) -> AsyncIterator[Connection]:
    """Open one transaction that sees the rows of a tenant."""
    pool = await create_pool(settings.database_url.get_secret_value(), max_size=1)
    try:
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute(SET_TENANT, tenant)
            yield conn
    finally:
        await pool.close()
