"""Tickets under contracts of their own in the queue: judged or not, standing or not, right."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, cast
from uuid import UUID

import pytest

from activities.ticket.deadlines.judging import judge
from api.cockpit.board import Board, BoardFilter
from bench.crowd import seed_crowd
from policy.clock.ticket_clock import read_clock
from policy.deadlines.sla import rules_mark, sla_of
from policy.model import Priority, State, Ticket
from policy.reads.cockpit import spans_of, timer_text
from policy.rules.bundle import OPEN_STATES, load_bundle
from policy.values import format_datetime
from runtime.postgres.pool import Connection, Pool
from tests.integration.reads.test_cockpit_queue import place, walk
from tests.integration.reads.test_query_plans import Explaining, rows_read, scans_of

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

BUNDLE = load_bundle()
TICKETS = 240
HOURS: tuple[dict[str, Any], ...] = (
    {},
    {"weekly": {day: [["08:00", "12:00"], ["13:00", "18:00"]] for day in ("mon", "tue", "fri")}},
    {"weekly": {"sat": [["00:00", "24:00"]], "wed": [["22:00", "24:00"]]}, "holidays": False},
    {"weekly": "unreadable"},
)
SITE = """
INSERT INTO sites (account_id, name, address1, city, region, timezone, hours_json)
VALUES ($1, 'S', '1 Street', 'City', $2, $3, $4::jsonb) RETURNING id
"""
TICKET = """
INSERT INTO tickets (account_id, site_id, state, priority, summary, created_at, scheduled_start)
VALUES ($1, $2, $3, $4, 'Door', $5, $6) RETURNING id
"""
AUDIT = """
INSERT INTO audit_events (ticket_id, actor_type, actor_id, tool_name, request_id,
                          policy_bundle_sha256, seq, prev_hash, hash, created_at)
VALUES ($1, 'AGENT', 'a', 't', gen_random_uuid(), '', 1, repeat('0', 64), repeat('0', 64), $2)
RETURNING id
"""
MOVE = """
INSERT INTO ticket_state_transitions (ticket_id, from_state, to_state, audit_event_id, created_at)
VALUES ($1, $2, $3, $4, $5)
"""
ADJUST = """
INSERT INTO sla_adjustments (ticket_id, starts_at, ends_at, reason, created_by)
VALUES ($1, $2, $3, 'forgotten hold', 'operator')
"""
EVERYTHING = """
SELECT t.*, sla_facts(t.id, t.account_id, t.site_id) AS clock FROM tickets t
"""
CROWD = 12_000
VERDICTS = """
UPDATE ticket_queue SET judged_by = $1, minutes_left = abs(hashtext(ticket_id::text)) % 5000,
       stands_at = CASE state WHEN 'ON_HOLD' THEN clock_at
                              WHEN 'NEEDS_INFO' THEN now() + interval '9 days' END
 WHERE contract IS NOT NULL
"""
# Histories as the transition table allows them, each ending in the ticket's state.
HISTORIES: tuple[tuple[State | None, ...], ...] = (
    (None, State.NEW),
    (None, State.NEW, State.NEEDS_INFO),
    (None, State.NEW, State.NEEDS_INFO, State.TRIAGED, State.DISPATCHED),
    (None, State.READY_TO_SCHEDULE, State.PENDING_CUSTOMER_CONFIRMATION),
    (None, State.TRIAGED, State.DISPATCHED, State.ON_HOLD, State.IN_PROGRESS),
    (None, State.TRIAGED, State.DISPATCHED, State.ON_HOLD),
    (None, State.TRIAGED, State.APPROVAL_REQUIRED, State.CANCELLED),
)


async def seed(owner: Connection) -> None:
    """Fill the queue with tickets of both kinds of contracts, many of which are paused."""
    chance = random.Random(11)  # noqa: S311  not a secret
    for contract in (None, "business_hours", "business_hours", "no such contract"):
        account = await owner.fetchval(
            "INSERT INTO accounts (name, sla_contract) VALUES ('A', $1) RETURNING id", contract
        )
        sites = [
            await owner.fetchval(SITE, account, region, zone, json.dumps(hours))
            for hours in HOURS
            for region, zone in (("CA", "America/Los_Angeles"), ("TX", "Europe/Berlin"))
        ]
        for _ in range(TICKETS // 4):
            await add_ticket(owner, chance, account, chance.choice(sites))


async def add_ticket(owner: Connection, chance: random.Random, account: UUID, site: UUID) -> UUID:
    now = datetime.now(UTC)
    created = now - timedelta(minutes=chance.randrange(5000), seconds=chance.randrange(60))
    scheduled = now + timedelta(minutes=chance.randrange(-2000, 2000))
    history = chance.choice(HISTORIES)
    priority = chance.choice(list(Priority)).value
    ticket: UUID = await owner.fetchval(
        *(TICKET, account, site, history[-1], priority, created),
        scheduled if chance.random() < 0.4 else None,
    )
    audit = await owner.fetchval(AUDIT, ticket, now - timedelta(seconds=chance.randrange(5)))
    instants = sorted(created + (now - created) * chance.random() for _ in history[2:])
    for pair, at in zip(pairwise(history), (created, *instants), strict=True):
        await owner.execute(MOVE, ticket, *pair, audit, at)
    if chance.random() < 0.3:
        begin = created + (now - created) * chance.random()
        await owner.execute(
            ADJUST, ticket, begin, begin + timedelta(minutes=chance.randrange(1, 900))
        )
    return ticket


async def judge_some(owner: Connection, pool: Pool, share: float) -> None:
    chance = random.Random(5)  # noqa: S311  not a secret
    rows = await owner.fetch("SELECT id FROM tickets ORDER BY id")
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('dispatch.tenant', 'default', true)")
        for row in rows:
            if chance.random() < share:
                await judge(conn, BUNDLE, row["id"])


async def expected(owner: Connection, at: datetime) -> dict[str, tuple[Any, ...]]:
    """Return what each row must say of its SLA, by the clock alone."""
    found = {}
    for row in await owner.fetch(EVERYTHING):
        ticket = Ticket(**{name: row[name] for name in Ticket.model_fields})
        clock = read_clock(None if row["clock"] is None else json.loads(row["clock"]))
        sla = sla_of(BUNDLE, ticket, at, clock)
        found[str(ticket.id)] = (
            sla.target_minutes,
            sla.remaining_minutes,
            timer_text(sla.remaining_minutes),
            sla.status.value,
            sla.escalation_level,
            format_datetime(sla.deadline_at),
        )
    return found


def said(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        row["sla_target_minutes"],
        row["sla_timer_remaining_minutes"],
        row["sla_timer_remaining"],
        row["sla_status"],
        row["escalation_level"],
        row["sla_deadline_at"],
    )


@pytest.mark.parametrize("judged", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("query", "limit"),
    [([], 7), ([], 1000), ([("sla_status", "warning,healthy")], 11), ([("priority", "URGENT")], 5)],
)
async def test_every_row_says_what_its_clock_says_and_is_in_its_place(
    owner: Connection, pool: Pool, query: Sequence[tuple[str, str]], limit: int, judged: float
) -> None:
    await seed(owner)
    await judge_some(owner, pool, judged)
    rows, at = await walk_at(pool, query, limit)
    wanted = await expected(owner, at)
    words = {name: value.split(",") for name, value in query}
    open_ids = {
        row["id"]
        for row in await owner.fetch("SELECT id::text FROM tickets WHERE state <> 'CANCELLED'")
    }
    assert {row["ticket_id"]: said(row) for row in rows} == {
        row["ticket_id"]: wanted[row["ticket_id"]] for row in rows
    }
    assert [place(row) for row in rows] == sorted(place(row) for row in rows)
    if "priority" not in words:
        statuses = words.get("sla_status", ["breach", "warning", "healthy"])
        ids = {each for each in open_ids if wanted[each][3] in statuses}
        assert sorted(row["ticket_id"] for row in rows) == sorted(ids)
    else:
        assert {row["priority"] for row in rows} == {"URGENT"}


async def walk_at(
    pool: Pool, query: Sequence[tuple[str, str]], limit: int
) -> tuple[list[dict[str, Any]], datetime]:
    """Return all rows and the instant at which the pages judge them."""
    instants: list[str] = []
    rows = await walk(pool, query, limit, instants)
    return rows, datetime.fromisoformat(instants[0])


EDITS = {
    "hours": 'UPDATE sites SET hours_json = \'{"weekly": {"sun": [["01:00", "02:00"]]}}\'',
    "zone": "UPDATE sites SET timezone = 'Asia/Tokyo'",
    "country": "UPDATE sites SET country = 'DE'",
    "adjustment": "INSERT INTO sla_adjustments (ticket_id, starts_at, ends_at, reason, created_by)"
    " SELECT id, now() - interval '9 hours', now() - interval '2 hours', 'late', 'o' FROM tickets",
    "longer adjustment": "UPDATE sla_adjustments SET ends_at = ends_at + interval '1 day'",
    "no adjustment": "DELETE FROM sla_adjustments",
    "contract": "UPDATE accounts SET sla_contract = 'business_hours'",
    "no contract": "UPDATE accounts SET sla_contract = NULL",
    "priority": "UPDATE tickets SET priority = 'URGENT'",
    "schedule": "UPDATE tickets SET scheduled_start = now() + interval '1 hour'",
    "place": "UPDATE tickets SET account_id = (SELECT id FROM accounts ORDER BY id LIMIT 1)",
    "move": "INSERT INTO ticket_state_transitions (ticket_id, from_state, to_state, audit_event_id,"
    " created_at) SELECT ticket_id, 'DISPATCHED', 'ON_HOLD', id, now() - interval '5 hours'"
    " FROM audit_events",
}


@pytest.mark.parametrize("edit", EDITS)
async def test_whatever_is_edited_by_hand_no_row_is_stale(
    owner: Connection, pool: Pool, edit: str
) -> None:
    await seed(owner)
    await judge_some(owner, pool, 1.0)
    await owner.execute(EDITS[edit])
    for _ in range(2):  # as edited, then as judged anew
        rows, at = await walk_at(pool, [("state", ",".join(State))], 1000)
        wanted = await expected(owner, at)
        assert len(rows) == TICKETS
        assert {row["ticket_id"]: said(row) for row in rows} == wanted
        await judge_some(owner, pool, 1.0)


async def test_a_verdict_older_than_a_change_is_not_kept(owner: Connection, pool: Pool) -> None:
    await seed(owner)
    row = await owner.fetchrow(
        "SELECT ticket_id, changes FROM ticket_queue WHERE contract IS NOT NULL"
    )
    assert row is not None
    await owner.execute(
        ADJUST, row["ticket_id"], datetime(2026, 1, 1, tzinfo=UTC), datetime.now(UTC)
    )
    keep = "SELECT judge_ticket_place($1, $2, now(), NULL, NULL, NULL, 1)"
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('dispatch.tenant', 'default', true)")
        assert await conn.fetchval(keep, row["ticket_id"], row["changes"]) is False
        assert await conn.fetchval(keep, row["ticket_id"], row["changes"] + 1) is True


async def test_a_stranger_can_neither_read_nor_judge_the_clocks_of_a_tenant(
    owner: Connection, pool: Pool
) -> None:
    await seed(owner)
    row = await owner.fetchrow(
        "SELECT ticket_id, changes FROM ticket_queue WHERE contract IS NOT NULL"
    )
    assert row is not None
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('dispatch.tenant', 'other', true)")
        assert await conn.fetchval("SELECT count(*) FROM sla_adjustments") == 0
        keep = "SELECT judge_ticket_place($1, $2, now(), NULL, NULL, NULL, 1)"
        assert await conn.fetchval(keep, row["ticket_id"], row["changes"]) is False


async def test_clocks_that_stand_keep_nothing_from_being_read_by_index(
    owner: Connection, pool: Pool
) -> None:
    await seed_crowd(owner, CROWD, 40)
    await owner.execute(
        "UPDATE accounts SET sla_contract = 'business_hours' WHERE name LIKE 'Account 1%'"
    )
    await owner.execute(VERDICTS, rules_mark(BUNDLE))
    await owner.execute("VACUUM ANALYZE ticket_queue")
    assert await owner.fetchval("SELECT count(*) FROM ticket_queue WHERE stands_at < now()") > 100
    wanted = BoardFilter(OPEN_STATES, (), None, None, (), ())
    at = await owner.fetchval("SELECT date_trunc('milliseconds', now())")
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('dispatch.tenant', 'default', true)")
        reader, after = Explaining(conn), None
        for _ in range(3):
            board = Board(cast("Connection", reader), BUNDLE, wanted, at)
            after = (await board.page(spans_of(BUNDLE, ()), after, 50))[-1].position
    scans = [scan for plan in reader.plans for scan in scans_of(plan)]
    seen = {(scan["Node Type"], scan["Relation Name"]) for scan in scans}
    assert "Seq Scan" not in {kind for kind, _ in seen}, seen
    assert max(map(rows_read, scans)) <= CROWD // 10
