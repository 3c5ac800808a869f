"""Two relays, killed and started again, and a provider that fails, hangs, forgets and dies.

OUTBOX_STORM_MESSAGES sets the number of messages.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from runtime.postgres.pool import Connection
from tests.integration.delivery.fake_provider import FakeProvider, Moods, fake_provider
from tests.integration.delivery.outbox_rows import add_messages, outbox, statuses, timeline
from tests.integration.rows import add_ticket
from tests.polling import eventually

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

MESSAGES = int(os.environ.get("OUTBOX_STORM_MESSAGES", "300"))
TICKETS = 5
UNREACHABLE = "SELECT count(*) FROM dispatch_outbox WHERE last_error LIKE 'no answer: Connect%'"
RELAY = "from relay.main import main; main()"


def environment(url: str, provider: FakeProvider) -> Mapping[str, str]:
    ours = {name: text for name, text in os.environ.items() if not name.startswith("DISPATCH_")}
    return ours | {
        "DISPATCH_DATABASE_URL": url,
        "DISPATCH_SMS_ENABLED": "true",
        "DISPATCH_SMS_DRY_RUN": "false",
        "DISPATCH_SMS_PROVIDER_URL": provider.url,
        "DISPATCH_OUTBOX_TIMEOUT_MS": "300",
        "DISPATCH_OUTBOX_POLL_MS": "200",
        "DISPATCH_OUTBOX_RETRY_BASE_MS": "50",
        "DISPATCH_OUTBOX_RETRY_MAX_MS": "400",
        "DISPATCH_OUTBOX_MAX_ATTEMPTS": "1000",
    }


@asynccontextmanager
async def a_relay(environ: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RELAY, env=environ, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.mark.timeout(60 + MESSAGES / 10)
async def test_no_message_is_lost_and_each_has_one_key(
    database_url: str, owner: Connection
) -> None:
    tickets = [await add_ticket(owner) for _ in range(TICKETS)]
    for ticket in tickets:
        await add_messages(owner, ticket, MESSAGES // TICKETS)
    keys = {row["idempotency_key"] for row in await outbox(owner)}

    async def sent(share: float) -> bool:
        return (await statuses(owner)).get("SENT", 0) >= share * len(keys)

    async def outage_is_felt() -> bool:
        return bool(await owner.fetchval(UNREACHABLE))

    moods = Moods(fail=0.1, hang=0.02, lose_answer=0.05)
    async with fake_provider(moods) as provider, AsyncExitStack() as stack:
        environ = environment(database_url, provider)
        victim = await stack.enter_async_context(a_relay(environ))
        survivor = await stack.enter_async_context(a_relay(environ))
        await eventually(lambda: sent(0.2), within=MESSAGES)
        victim.kill()
        await stack.enter_async_context(a_relay(environ))
        await eventually(lambda: sent(0.4), within=MESSAGES)
        await provider.die()
        await eventually(outage_is_felt)
        await provider.start()
        await eventually(lambda: sent(1), within=MESSAGES)
        survivor.terminate()
        assert await survivor.wait() == 0

    assert provider.accepted.keys() == keys, "each arrived, under its own key"
    assert provider.requests.keys() == keys
    events = [event for ticket in tickets for event in await timeline(owner, ticket)]
    outcomes = [event["payload"]["status"] for event in events]
    assert outcomes.count("SENT") == len(keys), "each success is recorded once"
    failures = sum(row["attempt_count"] for row in await outbox(owner))
    assert len(outcomes) - len(keys) == failures > 0, "and each failure"
