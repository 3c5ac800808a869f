"""The relay on a real Postgres: who gets what, how often, and what is left to see of it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import orjson
import pytest

from relay.main import opened
from relay.relay import Relay
from runtime.postgres.pool import Connection
from runtime.settings import Settings, load_settings
from tests.integration.delivery.fake_provider import FakeProvider, Moods, fake_provider
from tests.integration.delivery.outbox_rows import add_messages, outbox, statuses, timeline
from tests.integration.rows import add_ticket, count
from tests.polling import eventually

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

LISTENING = """
    SELECT count(*) FROM pg_stat_activity
     WHERE application_name = 'dispatch-outbox' AND query LIKE 'LISTEN%'
"""
NEW_MESSAGE = """
    INSERT INTO dispatch_outbox (aggregate_type, aggregate_id, event_type, payload, idempotency_key)
    VALUES ('ticket', $1, 'x', '{"channel": "SMS", "to": "1", "body": "b"}', $2)
"""
DONE = {"processed": 0, "sent": 0, "failed": 0, "deadLettered": 0, "skipped": 0}


def settings(url: str, **environ: str) -> Settings:
    names = {"DISPATCH_DATABASE_URL": url, "DISPATCH_SMS_ENABLED": "true", **environ}
    found, warnings = load_settings(names)
    assert warnings == []
    return found


def through(provider: FakeProvider) -> dict[str, str]:
    return {"DISPATCH_SMS_DRY_RUN": "false", "DISPATCH_SMS_PROVIDER_URL": provider.url}


@asynccontextmanager
async def a_relay(url: str, **environ: str) -> AsyncIterator[Relay]:
    async with opened(settings(url, **environ)) as relay:
        yield relay


async def test_switched_off_nothing_is_sent_and_nothing_written(
    database_url: str, owner: Connection
) -> None:
    await add_messages(owner, await add_ticket(owner))
    before = await outbox(owner)

    async with a_relay(database_url, DISPATCH_SMS_ENABLED="false") as relay:
        result = await relay.run(3)

    assert result.answer() == {**DONE, "skipped": 1, "reason": "sms_disabled"}
    assert await outbox(owner) == before
    assert await count(owner, "audit_events") == 0


async def test_a_dry_run_marks_the_message_and_sends_nothing(
    database_url: str, owner: Connection
) -> None:
    ticket = await add_ticket(owner)
    await add_messages(owner, ticket)

    async with a_relay(database_url) as relay:
        result = await relay.run(1)

    assert result.answer() == {**DONE, "processed": 1, "sent": 1}
    (row,) = await outbox(owner)
    assert (row["status"], row["attempt_count"], row["last_error"]) == ("SENT", 0, None)
    gained = {"provider", "provider_message_id", "provider_status", "last_send_at", "dry_run"}
    assert gained <= set(row["payload"])
    assert (row["payload"]["provider"], row["payload"]["dry_run"]) == ("dry-run", True)
    assert await count(owner, "messages") == 0
    (event,) = await timeline(owner, ticket)
    assert (event["tool_name"], event["actor_type"]) == ("dispatch.outbox_worker", "SYSTEM")
    assert (event["actor_id"], event["actor_role"]) == ("dispatch-outbox-worker", "SYSTEM")
    assert event["payload"] == {
        "outbox_id": str(row["id"]),
        "aggregate_type": "ticket",
        "aggregate_id": str(ticket),
        "event_type": "schedule.confirm.sms",
        "attempt_count": 0,
        "status": "SENT",
        "worker": "dispatch-outbox-worker",
        "provider_result": event["payload"]["provider_result"],
    }


async def test_the_batch_limit_takes_the_oldest_first(database_url: str, owner: Connection) -> None:
    await add_messages(owner, await add_ticket(owner), 5)

    async with a_relay(database_url, DISPATCH_OUTBOX_BATCH_LIMIT="3") as relay:
        assert (await relay.iteration()).sent == 3

    assert [row["status"] for row in await outbox(owner)] == ["SENT"] * 3 + ["PENDING"] * 2


async def test_failures_back_off_and_end_in_the_dead_letters(
    database_url: str, owner: Connection
) -> None:
    ticket = await add_ticket(owner)
    await add_messages(owner, ticket)
    delays = []
    async with fake_provider(Moods(fail=1)) as provider:
        environ = {
            **through(provider),
            "DISPATCH_OUTBOX_MAX_ATTEMPTS": "4",
            "DISPATCH_OUTBOX_RETRY_BASE_MS": "60000",
            "DISPATCH_OUTBOX_RETRY_MAX_MS": "150000",
        }
        async with a_relay(database_url, **environ) as relay:
            for _ in range(4):
                result = await relay.iteration()
                assert (await relay.iteration()).processed == 0, "not due yet"
                (row,) = await outbox(owner)
                delays.append(row["next_attempt_at"] - row["updated_at"])
                await owner.execute("UPDATE dispatch_outbox SET next_attempt_at = now()")

    assert result.answer() == {**DONE, "processed": 1, "deadLettered": 1}
    assert delays[:3] == [timedelta(seconds=seconds) for seconds in (60, 120, 150)]
    assert (row["status"], row["attempt_count"]) == ("DEAD_LETTER", 4)
    assert row["last_error"] == "answered 500"
    events = await timeline(owner, ticket)
    assert [event["payload"]["attempt_count"] for event in events] == [0, 1, 2, 3]
    assert [event["payload"]["status"] for event in events] == ["PENDING"] * 3 + ["DEAD_LETTER"]
    assert {event["payload"]["error"] for event in events} == {"answered 500"}


async def test_a_replayed_dead_letter_is_delivered(database_url: str, owner: Connection) -> None:
    ticket = await add_ticket(owner)
    await add_messages(owner, ticket)
    async with fake_provider(Moods(fail=1)) as provider:
        environ = {**through(provider), "DISPATCH_OUTBOX_MAX_ATTEMPTS": "1"}
        async with a_relay(database_url, **environ) as relay:
            assert (await relay.iteration()).dead_lettered == 1
            provider.moods.fail = 0
            assert (await relay.iteration()).processed == 0
            await owner.execute(
                "UPDATE dispatch_outbox SET status = 'PENDING', attempt_count = 0, "
                "next_attempt_at = now(), last_error = NULL"
            )
            assert (await relay.iteration()).sent == 1

    (row,) = await outbox(owner)
    assert (row["status"], row["payload"]["provider_status"]) == ("SENT", "queued")
    assert [e["payload"]["status"] for e in await timeline(owner, ticket)] == [
        "DEAD_LETTER",
        "SENT",
    ]
    (message,) = await owner.fetch("SELECT * FROM messages")
    assert (message["direction"], message["ticket_id"]) == ("OUTBOUND", ticket)


async def test_an_aggregate_that_is_no_ticket_is_audited_on_the_tenants_chain(
    database_url: str, owner: Connection
) -> None:
    other = await add_ticket(owner, "other")
    await add_messages(owner, "not-a-ticket", tenant="acme")
    await add_messages(owner, other, tenant="acme")

    async with a_relay(database_url) as relay:
        assert (await relay.iteration()).sent == 2

    events = await timeline(owner, None)
    assert [(event["tenant_id"], event["seq"]) for event in events] == [("acme", 1), ("acme", 2)]
    assert await timeline(owner, other) == []


@pytest.mark.parametrize("payload", ['["no object"]', '{"channel": "FAX"}', '{"channel": "SMS"}'])
async def test_a_payload_that_is_no_message_fails_like_any_other(
    database_url: str, owner: Connection, payload: str
) -> None:
    await add_messages(owner, await add_ticket(owner))
    await owner.execute("UPDATE dispatch_outbox SET payload = $1", payload)

    async with a_relay(database_url) as relay:
        assert (await relay.iteration()).failed == 1


async def test_a_relay_that_died_gives_its_message_back_and_a_late_one_records_nothing(
    database_url: str, owner: Connection
) -> None:
    ticket = await add_ticket(owner)
    await add_messages(owner, ticket)
    async with (
        fake_provider(Moods(hang=1)) as provider,
        # One message a batch: no second lane of this relay may take what the first has lost.
        a_relay(database_url, **through(provider), DISPATCH_OUTBOX_BATCH_LIMIT="1") as late,
        a_relay(database_url) as other,
    ):
        hanging = asyncio.create_task(late.iteration())
        await eventually(provider.was_asked)
        assert (await other.iteration()).processed == 0, "the message is in a hand"
        await owner.execute("UPDATE dispatch_outbox SET leased_until = now()")
        assert (await other.iteration()).sent == 1
        await provider.die()
        assert (await hanging).answer() == {**DONE, "processed": 1, "skipped": 1}

    assert len(await timeline(owner, ticket)) == 1


async def test_an_insert_wakes_the_relay_at_once(database_url: str, owner: Connection) -> None:
    ticket = await add_ticket(owner)

    async def listening() -> bool:
        return bool(await owner.fetchval(LISTENING))

    async with a_relay(database_url, DISPATCH_OUTBOX_POLL_MS="60000") as relay:
        await eventually(listening)
        serving = asyncio.create_task(relay.serve())
        for wanted in (1, 2):
            await owner.execute(NEW_MESSAGE, str(ticket), f"key {wanted}")

            async def delivered(wanted: int = wanted) -> bool:
                return (await statuses(owner)).get("SENT") == wanted

            await eventually(delivered, within=10)
        relay.stop()
        assert (await serving).sent == 2


async def test_two_relays_share_the_work_and_every_message_arrives_once(
    database_url: str, owner: Connection
) -> None:
    tickets = [await add_ticket(owner) for _ in range(3)]
    for ticket in tickets:
        await add_messages(owner, ticket, 20)
    async with fake_provider() as provider:
        environ = {**through(provider), "DISPATCH_OUTBOX_BATCH_LIMIT": "100"}
        async with a_relay(database_url, **environ) as one, a_relay(database_url, **environ) as two:
            results = await asyncio.gather(one.iteration(), two.iteration())

    assert sum(result.sent for result in results) == 60
    assert all(result.sent for result in results)
    assert set(provider.requests.values()) == {1}
    assert not provider.overlaps
    await _chains_are_whole(owner, tickets, 20)


async def _chains_are_whole(owner: Connection, tickets: list[UUID], events: int) -> None:
    for ticket in tickets:
        assert len(await timeline(owner, ticket)) == events


async def test_the_command_line_delivers_lists_and_subscribes(
    database_url: str, owner: Connection
) -> None:
    await add_messages(owner, await add_ticket(owner), 2)

    async def dispatch(*words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from cli.main import main; main()", *words),
            env=os.environ | {"DISPATCH_DATABASE_URL": database_url, "DISPATCH_SMS_ENABLED": "1"},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return output.decode()

    assert "PENDING" in await dispatch("outbox", "list")
    result = orjson.loads(await dispatch("outbox", "run", "--once", "--json"))
    assert result == {**DONE, "processed": 2, "sent": 2}
    listed = orjson.loads(await dispatch("outbox", "list", "--status", "sent", "--json"))
    assert [row["status"] for row in listed] == ["SENT", "SENT"]
    added = orjson.loads(await dispatch("webhook", "add", "http://127.0.0.1:9/"))
    assert added["secret"].startswith("whsec_")
    assert added["secret"] not in await dispatch("webhook", "list", "--json")
    await dispatch("webhook", "remove", added["id"])
    assert await owner.fetchval("SELECT is_active FROM webhook_subscriptions") is False


async def test_the_process_makes_a_bounded_run_and_ends(
    database_url: str, owner: Connection
) -> None:
    await add_messages(owner, await add_ticket(owner))
    bounded = {"DISPATCH_OUTBOX_ITERATIONS": "2", "DISPATCH_OUTBOX_POLL_MS": "10"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from relay.main import main; main()"),
        env=os.environ
        | {"DISPATCH_DATABASE_URL": database_url, "DISPATCH_SMS_ENABLED": "1", **bounded},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    last = orjson.loads(output.splitlines()[-1])
    assert process.returncode == 0
    assert last.items() >= {"event": "outbox.stopped", **DONE, "processed": 1, "sent": 1}.items()
