"""A gateway and a worker inside the test's process, on the servers that an environment names."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import jwt

from api.app import create_app
from runtime.bundle import installed_bundle
from runtime.postgres.pool import create_pool
from runtime.settings import Settings, load_settings
from runtime.temporal.client import connect_temporal
from runtime.temporal.command_key import command_key
from tests.integration.servers.gateway import lifespan_of
from worker.parts import Parts
from worker.ticket import ticket_worker


def settings_of(env: Mapping[str, str]) -> Settings:
    """Return the settings; there must be nothing to warn of."""
    settings, warnings = load_settings(env)
    assert warnings == []
    return settings


@asynccontextmanager
async def serving(env: Mapping[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """Run a gateway and yield a client of it."""
    app = create_app(settings_of(env))
    async with lifespan_of(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


@asynccontextmanager
async def working(env: Mapping[str, str]) -> AsyncIterator[None]:
    """Run a worker."""
    settings = settings_of(env)
    url = settings.database_url.get_secret_value()
    pool = await create_pool(url, max_size=4)
    try:
        async with pool.acquire() as conn:
            key = await command_key(settings, conn)
        client = await connect_temporal(settings)
        async with ticket_worker(Parts(client, settings, pool, installed_bundle(settings), key)):
            yield
    finally:
        await pool.close()


def bearer(env: Mapping[str, str], role: str, **claims: object) -> dict[str, str]:
    """Return the header of a token that the installation accepts."""
    claims = {
        "sub": f"{role}-1",
        "role": role,
        "exp": datetime.now(UTC) + timedelta(hours=1),
        "scope": {"account_ids": "*", "site_ids": "*"},
        **claims,
    }
    token = jwt.encode(claims, env["DISPATCH_AUTH_JWT_SECRET"], "HS256")
    return {"Authorization": f"Bearer {token}"}


def command(env: Mapping[str, str], role: str = "dispatcher", **headers: str) -> dict[str, str]:
    """Return the headers of a command under a fresh key; further ones by keyword."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return {**bearer(env, role), "Idempotency-Key": str(uuid4()), **named}
