"""Followers of ticket commits: what they write is there exactly if the command is."""

from dataclasses import dataclass, field

import pytest

from policy.command.message import Command
from policy.model import State, Ticket
from runtime.postgres.pool import Connection, Pool
from tests.integration.command.command_runner import Runner, build_runner
from tests.integration.rows import count

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

REMEMBER = """
INSERT INTO dispatch_outbox (tenant_id, aggregate_type, aggregate_id, event_type, payload,
                             idempotency_key)
VALUES ($1, 'ticket', $2, 'followed', '{}', $3)
"""
FOLLOWED = "SELECT count(*) FROM dispatch_outbox WHERE event_type = 'followed'"
CANCEL = {"reason": "not needed any more"}


@dataclass
class Companion:
    """Writes a message for every commit, and says when it must fail."""

    heard: list[tuple[State | None, State | None]] = field(default_factory=list)
    fails: bool = False

    async def follow(
        self, conn: Connection, before: Ticket | None, after: Ticket | None, command: Command
    ) -> None:
        """Remember the commit, in its transaction."""
        states = (before.state if before else None, after.state if after else None)
        self.heard.append(states)
        tenant, key = command.actor.tenant_id, str(command.command_id)
        await conn.execute(REMEMBER, tenant, str(after and after.id), key)
        if self.fails:
            raise LookupError("the follower has a defect")


@pytest.fixture
async def runner(pool: Pool, owner: Connection) -> Runner:
    return await build_runner(pool, owner)


async def test_a_follower_hears_of_commits_alone_and_commits_with_them(runner: Runner) -> None:
    companion = Companion()
    runner.followers = (companion,)
    ticket = await runner.create()
    await runner.done("ticket.cancel", CANCEL, ticket)
    denied = await runner.run("ticket.cancel", CANCEL, ticket)
    assert denied.code == "INVALID_STATE_TRANSITION"
    assert companion.heard == [(None, State.NEW), (State.NEW, State.CANCELLED)]
    assert await runner.owner.fetchval(FOLLOWED) == len(companion.heard)


async def test_a_follower_that_fails_leaves_nothing_of_the_command(runner: Runner) -> None:
    ticket = await runner.create()
    before = await count(runner.owner, "audit_events")
    runner.followers = (Companion(fails=True),)
    with pytest.raises(LookupError, match="defect"):
        await runner.run("ticket.cancel", CANCEL, ticket)
    assert await runner.owner.fetchval(FOLLOWED) == 0
    assert await count(runner.owner, "audit_events") == before
    runner.followers = ()
    assert (await runner.done("ticket.cancel", CANCEL, ticket))["state"] == State.CANCELLED
