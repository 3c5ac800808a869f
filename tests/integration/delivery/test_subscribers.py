"""Subscribers are told of what happened, signed, through the same outbox."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson
import pytest

from contracts.standard_webhooks import is_signed, new_secret
from policy.model import ActorType
from records.audit.appending import Author, append_event, lock_chain
from runtime.postgres.pool import Connection, Pool
from tests.integration.delivery.fake_provider import Moods, fake_provider
from tests.integration.delivery.outbox_rows import outbox, timeline
from tests.integration.delivery.test_relay import a_relay
from tests.integration.rows import add_ticket, count

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

OLD, NEW = new_secret(b"o" * 32), new_secret(b"n" * 32)
SUBSCRIBE = """
    INSERT INTO webhook_subscriptions (tenant_id, url, event_types, secrets, is_active)
    VALUES ($1, $2, $3, $4, $5) RETURNING id
"""


async def happened(
    pool: Pool, ticket: UUID | None, tool: str = "ticket.triage", tenant: str = "default"
) -> UUID:
    author = Author(
        actor_type=ActorType.HUMAN,
        actor_id="a",
        actor_role="dispatcher",
        tool_name=tool,
        policy_bundle_sha256="",
    )
    async with pool.acquire() as conn, conn.transaction():
        locked = await lock_chain(conn, tenant, ticket)
        return await append_event(conn, locked, author, {"customer_phone": "15550100"})


async def subscribe(
    conn: Connection,
    url: str = "http://127.0.0.1:9/",
    *types: str,
    tenant: str = "default",
    active: bool = True,
) -> UUID:
    values = (tenant, url, list(types) or ["*"], [NEW, OLD], active)
    subscription: UUID = await conn.fetchval(SUBSCRIBE, *values)
    return subscription


async def test_an_event_reaches_its_subscriber_signed_with_both_secrets(
    owner: Connection, pool: Pool, database_url: str
) -> None:
    ticket = await add_ticket(owner)
    async with (
        fake_provider(Moods(fail=1)) as subscriber,
        a_relay(database_url, DISPATCH_OUTBOX_RETRY_BASE_MS="0") as relay,
    ):
        await subscribe(owner, subscriber.url, "ticket.triage", "ticket.close")
        event_id = await happened(pool, ticket)
        assert (await relay.iteration()).failed == 1
        subscriber.moods.fail = 0
        assert (await relay.iteration()).sent == 1

    first, second = subscriber.headers
    assert first["webhook-id"] == second["webhook-id"] == str(event_id)
    body = subscriber.bodies[1]
    for secret in (OLD, NEW):
        assert is_signed([secret], second, datetime.now(UTC), body)
    event = orjson.loads(body)
    assert event["type"] == "ticket.triage"
    assert event["data"]["event_id"] == str(event_id)
    assert event["data"]["ticket_id"] == str(ticket)
    assert b"15550100" not in body
    told, *attempts = await timeline(owner, ticket)
    assert event["timestamp"] == told["created_at"]
    assert [each["payload"]["status"] for each in attempts] == ["PENDING", "SENT"]
    assert await count(owner, "dispatch_outbox") == 1, "the relay's own records are no event"
    assert await count(owner, "messages") == 0


async def test_only_active_subscribers_of_the_tenant_and_the_event_are_told(
    owner: Connection, pool: Pool
) -> None:
    ticket = await add_ticket(owner)
    told = await subscribe(owner)
    await subscribe(owner, "http://x/", "ticket.close")
    await subscribe(owner, active=False)
    await subscribe(owner, tenant="other")

    await happened(pool, ticket)

    (row,) = await outbox(owner)
    assert row["payload"]["subscription_id"] == str(told)
    assert (row["event_type"], row["aggregate_id"]) == ("ticket.triage.webhook", str(ticket))


async def test_an_event_without_a_ticket_belongs_to_the_tenant(
    owner: Connection, pool: Pool
) -> None:
    await subscribe(owner, tenant="acme")
    await happened(pool, None, "ops.autonomy.pause", "acme")
    (row,) = await outbox(owner)
    assert (row["aggregate_type"], row["aggregate_id"]) == ("tenant", "acme")
    assert row["tenant_id"] == "acme"


@pytest.mark.parametrize("mode", ["", "production"])
async def test_a_subscription_that_is_gone_or_not_safe_is_a_failure(
    owner: Connection, pool: Pool, database_url: str, mode: str
) -> None:
    ticket = await add_ticket(owner)
    await subscribe(owner)
    await happened(pool, ticket)
    if not mode:
        await owner.execute("UPDATE webhook_subscriptions SET is_active = false")
    async with a_relay(database_url, DISPATCH_ENV=mode) as relay:
        assert (await relay.iteration()).failed == 1
    (row,) = await outbox(owner)
    assert ("https" if mode else "gone") in row["last_error"]


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]", "[64:ff9b::a9fe:a9fe]"),
        *("[::127.0.0.1]", "2130706433", "[::ffff:10.0.0.1]", "0x7f.1"),
    ],
)
async def test_production_posts_to_no_address_of_its_own_network(
    owner: Connection, pool: Pool, database_url: str, host: str
) -> None:
    ticket = await add_ticket(owner)
    await subscribe(owner, f"https://{host}:9/")
    await happened(pool, ticket)
    async with a_relay(database_url, DISPATCH_ENV="production") as relay:
        assert (await relay.iteration()).failed == 1
    (row,) = await outbox(owner)
    assert "not public" in row["last_error"]


async def test_production_posts_to_a_trusted_host_in_its_own_network(
    owner: Connection, pool: Pool, database_url: str
) -> None:
    ticket = await add_ticket(owner)
    await subscribe(owner, "https://127.0.0.1:9/")
    await happened(pool, ticket)
    trusting = {"DISPATCH_ENV": "production", "DISPATCH_WEBHOOK_HOSTS": "127.0.0.1"}
    async with a_relay(database_url, **trusting) as relay:
        assert (await relay.iteration()).failed == 1
    (row,) = await outbox(owner)
    assert "ConnectError" in row["last_error"]


async def test_the_application_sees_the_subscribers_of_its_tenant_only(
    owner: Connection, pool: Pool
) -> None:
    await subscribe(owner, tenant="acme")
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('dispatch.tenant', $1, true)", str(uuid4()))
        assert await count(conn, "webhook_subscriptions") == 0
