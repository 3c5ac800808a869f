"""The intruder as a fixture: `pytest_plugins = ["tests.integration.hostile.intruder_fixture"]`."""

from collections.abc import AsyncIterator

import pytest

from runtime.postgres.pool import installation_key
from runtime.settings import load_settings
from runtime.temporal.client import connect_temporal
from tests.integration.hostile.intruder import Intruder
from tests.integration.servers.gateway import TestGateway


@pytest.fixture
async def intruder(gateway: TestGateway) -> AsyncIterator[Intruder]:
    settings, _ = load_settings(gateway.env)
    async with gateway.owner() as owner:
        yield Intruder(
            await connect_temporal(settings),
            owner,
            await installation_key(owner),
            settings.temporal_task_queue,
        )
