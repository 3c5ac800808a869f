"""Rosters are kept in memory: whatever is changed about a technician, the next look knows of it."""

import pytest

from activities.ticket.rosters import TENANTS, Rosters
from contracts.statements import SET_TENANT
from policy.assignment.ranking import SortedOut
from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import Runner, build_runner

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

KIND = ("GLASS", "CA")
CHANGES = {
    "a technician is added": """
        WITH new AS (INSERT INTO technicians (id, name, home_region)
                     VALUES (gen_random_uuid(), 'New', 'CA') RETURNING id)
        INSERT INTO technician_skills SELECT id, 'GLASS' FROM new""",
    "a technician retires": "UPDATE technicians SET active = false",
    "a technician is gone": "DELETE FROM technicians",
    "a technician is renamed": "UPDATE technicians SET name = 'Renamed'",
    "a skill is added": "INSERT INTO technician_skills SELECT id, 'DOORS' FROM technicians",
    "a skill is lost": "DELETE FROM technician_skills",
    "a skill is another": "UPDATE technician_skills SET skill = 'DOORS'",
    "a region is added": "INSERT INTO technician_regions SELECT id, 'NV' FROM technicians",
    "one takes the place of another": """
        WITH old AS (DELETE FROM technicians RETURNING name, home_region)
        INSERT INTO technicians (id, name, home_region)
        SELECT gen_random_uuid(), name, home_region FROM old""",
}


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


async def look(rosters: Rosters, pool: Pool, tenant: str = "default") -> SortedOut:
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(SET_TENANT, tenant)
        return await rosters.sorted_out(conn, tenant, *KIND)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_seen_by_the_next_look(runner: Runner, change: str) -> None:
    await runner.owner.execute("DELETE FROM technicians")
    await runner.add_technician("Gwen", skill="GLASS")
    rosters = Rosters()
    before = await look(rosters, runner.pool)
    assert [who.name for who in before.fit] == ["Gwen"]

    await runner.owner.execute(CHANGES[change])

    after = await look(rosters, runner.pool)
    assert after == await look(Rosters(), runner.pool)
    assert after != before


async def test_what_nobody_changed_is_not_read_again(runner: Runner) -> None:
    rosters = Rosters()
    first = await look(rosters, runner.pool)
    assert (await look(rosters, runner.pool)) is first


async def test_each_tenant_has_a_roster_of_its_own(runner: Runner) -> None:
    await runner.add_technician("Gwen", skill="GLASS")
    rosters = Rosters()
    assert "Gwen" in {who.name for who in (await look(rosters, runner.pool)).fit}
    assert await look(rosters, runner.pool, "elsewhere") == ((), ())
    assert "Gwen" in {who.name for who in (await look(rosters, runner.pool)).fit}


async def test_no_more_tenants_are_kept_than_fit(runner: Runner) -> None:
    rosters = Rosters()
    first = await look(rosters, runner.pool)
    for number in range(TENANTS):
        await look(rosters, runner.pool, f"tenant-{number}")
    again = await look(rosters, runner.pool)
    assert again == first
    assert again is not first
