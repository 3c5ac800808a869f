"""Fixtures on an embedded Postgres: one server a session, one fresh migrated database a test."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from policy.rules.bundle import load_bundle
from runtime.postgres.migrate import migrate
from runtime.postgres.pool import Connection, Pool, create_pool
from tests.integration.servers.postgres_server import FASTER_THAN_SAFE, Cluster, start_cluster

TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run one server for the session, with a migrated template database."""
    cluster = start_cluster(tmp_path_factory.mktemp("postgres"))
    try:
        asyncio.run(cluster.execute(*FASTER_THAN_SAFE, f"CREATE DATABASE {TEMPLATE}"))
        asyncio.run(migrate(cluster.database_url(TEMPLATE), load_bundle().pairs))
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
async def database_url(postgres_cluster: Cluster) -> AsyncIterator[str]:
    """Create a migrated database for this test alone; its login role is a superuser."""
    async with postgres_cluster.database(TEMPLATE) as url:
        yield url


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[Connection]:
    """Connect as the login role, which row-level security does not bind."""
    conn = await asyncpg.connect(database_url)
    yield conn
    await conn.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Open a small pool in the application role."""
    application = await create_pool(database_url, max_size=4)
    yield application
    await application.close()
