"""Two gateways on the same servers. A test module names this in `pytest_plugins`."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from tests.integration.command.keyed_calls import AT_ONCE
from tests.integration.servers.gateway import TestGateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateways(gateway: TestGateway) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two gateways on the same servers."""
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with (
        httpx.AsyncClient(base_url=gateway.url, timeout=30, limits=limits) as first,
        gateway.sibling() as second,
    ):
        yield [first, second]
