"""What deploy/README.md tells an administrator to type is enough, and not more than enough."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from policy.rules.bundle import load_bundle
from records.audit.verification import BlindRoleError, Verification
from runtime.postgres.migrate import migrate
from runtime.postgres.pool import (
    APPLICATION_ROLE,
    GATEWAY_ROLE,
    assert_application_role,
    create_pool,
)
from tests.integration.servers.postgres_server import Cluster, start_cluster

README = Path(__file__).parents[3] / "deploy" / "README.md"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    running = start_cluster(tmp_path)
    yield running
    running.stop()


def statements(block: int) -> list[str]:
    sql = re.findall(r"```sql\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[block]
    return [text.strip() for text in re.sub(r"--.*", "", sql).split(";") if text.strip()]


async def verify(url: str) -> list[object]:
    check = Verification(url, frozenset(load_bundle().pairs))
    return [fault async for fault in check.faults()]


async def test_the_documented_logins_suffice(cluster: Cluster) -> None:
    await cluster.execute(*statements(0))
    owner = cluster.database_url("dispatch", "dispatch_owner")
    assert await migrate(owner, load_bundle().pairs)
    conn = await asyncpg.connect(owner)
    for statement in statements(1):
        await conn.execute(statement)
    await conn.close()

    administrator = await asyncpg.connect(cluster.database_url("dispatch"))
    for statement in statements(2):
        await administrator.execute(statement)
    await administrator.close()

    for name, mine, other in (
        ("dispatch_worker", APPLICATION_ROLE, GATEWAY_ROLE),
        ("dispatch_api", GATEWAY_ROLE, APPLICATION_ROLE),
    ):
        login = cluster.database_url("dispatch", name)
        pool = await create_pool(login, max_size=1, role=mine)
        async with pool.acquire() as application:
            await assert_application_role(application)
            for statement in (f"SET ROLE {other}", "SELECT lo_create(0)"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await application.execute(statement)
        await pool.close()
        with pytest.raises(BlindRoleError):
            await verify(login)
    assert await verify(cluster.database_url("dispatch", "dispatch_auditor")) == []
    assert await verify(owner) == []
    assert await migrate(owner, load_bundle().pairs) == []
