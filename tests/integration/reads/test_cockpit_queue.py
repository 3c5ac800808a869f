"""The queue in SQL against the order computed row by row, whatever the filter and the page."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.datastructures import QueryParams

from api.cockpit.page import Cockpit
from api.reads.query import Query
from api.reads.tools import ReadRequest
from policy.model import Actor, ActorType, Priority, Role, State
from policy.rules.bundle import load_bundle
from runtime.postgres.pool import Connection, Pool

pytest_plugins = ["tests.integration.servers.postgres_fixture"]

BUNDLE = load_bundle()
TICKETS = 400
REGIONS = ("CA", "TX", " ca ", None, "  ", "Baden-Württemberg")
SEED_PLACES = """
INSERT INTO sites (account_id, name, address1, city, region)
SELECT $1, 'S', '1 Street', 'City', unnest($2::text[]) RETURNING id
"""
SEED = """
INSERT INTO tickets (account_id, site_id, state, priority, incident_type, summary,
                     assigned_tech_id, created_at, scheduled_start)
VALUES ($1, $2, $3, $4, $5, 'Door', $6, $7, $8) RETURNING id
"""
AUDIT = """
INSERT INTO audit_events (ticket_id, actor_type, actor_id, tool_name, request_id,
                          policy_bundle_sha256, seq, prev_hash, hash, created_at)
VALUES ($1, 'AGENT', 'a', 't', gen_random_uuid(), '', 1, repeat('0', 64), repeat('0', 64), $2)
"""
TECHS = [uuid4() for _ in range(3)]


async def seed(owner: Connection) -> None:
    """Fill the queue with ties in every member of the order, many within one minute."""
    chance = random.Random(7)  # noqa: S311  not a secret
    now = datetime.now(UTC)
    for _ in range(2):
        account = await owner.fetchval("INSERT INTO accounts (name) VALUES ('A') RETURNING id")
        sites = [row["id"] for row in await owner.fetch(SEED_PLACES, account, list(REGIONS))]
        for _ in range(TICKETS // 2):
            priority = chance.choice(list(Priority))
            target = BUNDLE.sla.target_minutes[priority]
            left = chance.choice([-500, -1, 0, 0, 0, 20, 45, 46, 900])
            clock = now + timedelta(minutes=left - target, seconds=chance.uniform(5, 55))
            scheduled = chance.random() < 0.5
            ticket = await owner.fetchval(
                SEED,
                account,
                chance.choice(sites),
                chance.choice(list(State)).value,
                priority.value,
                chance.choice(["door", "LOCK", None]),
                chance.choice([*TECHS, None]),
                now if scheduled else clock,
                clock if scheduled else None,
            )
            if chance.random() < 0.7:
                await owner.execute(AUDIT, ticket, now - timedelta(seconds=chance.randrange(4)))


def dispatcher(**scope: frozenset[UUID] | None) -> Actor:
    return Actor(actor_id="d", actor_role=Role.DISPATCHER, actor_type=ActorType.HUMAN, **scope)


async def page(pool: Pool, query: Sequence[tuple[str, str]], actor: Actor) -> dict[str, Any]:
    wanted = Query(QueryParams(list(query)))
    cockpit = Cockpit(pool, BUNDLE)
    return await cockpit.read(ReadRequest("dispatcher.cockpit", actor, None, wanted))


async def walk(
    pool: Pool, query: Sequence[tuple[str, str]], limit: int, instants: list[str] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of all pages; `instants` is told when the pages judged them."""
    rows: list[dict[str, Any]] = []
    cursor: list[tuple[str, str]] = []
    instants = [] if instants is None else instants
    while True:
        answer = await page(pool, [*query, ("limit", str(limit)), *cursor], dispatcher())
        rows += answer["queue"]
        instants.append(answer["generated_at"])
        if answer["next_cursor"] is None:
            assert len(set(instants)) == 1
            return rows
        cursor = [("cursor", answer["next_cursor"])]


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return a row's place by the words of the contract, where no window breaks a promise."""
    updated = datetime.fromisoformat(row["last_update_at"])
    status, minutes = row["sla_status"], row["sla_timer_remaining_minutes"]
    if "sla_promise" in row:
        status, minutes = row["sla_promise"]["status"], row["sla_promise"]["remaining_minutes"]
    return (
        ["breach", "warning", "healthy"].index(status),
        minutes,
        list(Priority).index(Priority(row["priority"])),
        row["region_weight"],
        -round(updated.timestamp() * 1000),
        UUID(row["ticket_id"]),
    )


@pytest.mark.parametrize("limit", [7, 150, 1000])
@pytest.mark.parametrize(
    "query",
    [
        [],
        [("sla_status", "breach,healthy")],
        [("sla_status", "warning")],
        [("state", "new,SCHEDULED"), ("state", "CLOSED")],
        [("priority", "ROUTINE"), ("incident_type", "Door")],
        [("assigned_tech_id", str(TECHS[0]))],
        [("state", "CANCELLED")],
    ],
)
async def test_every_page_is_in_order_and_nothing_is_missing_or_twice(
    owner: Connection, pool: Pool, query: list[tuple[str, str]], limit: int
) -> None:
    await seed(owner)
    rows = await walk(pool, query, limit)
    everything = await walk(pool, [("state", ",".join(State))], 1000)
    wanted = {name: {word.upper() for word in value.split(",")} for name, value in query}
    wanted.setdefault("state", {*map(str, State)} - {"CLOSED", "CANCELLED"})
    if query and query[-1] == ("state", "CLOSED"):
        wanted["state"] = {"NEW", "SCHEDULED", "CLOSED"}
    names = {"assigned_tech_id": "assigned_tech"}
    expected = [
        row
        for row in everything
        if all(
            str(row[names.get(name, name)] or "").upper() in words for name, words in wanted.items()
        )
    ]

    assert len(everything) == TICKETS
    assert [place(row) for row in rows] == sorted(place(row) for row in rows)
    assert {row["ticket_id"] for row in rows} == {row["ticket_id"] for row in expected}
    assert len(rows) == len(expected)


@pytest.mark.parametrize("contract", [None, "business_hours"])
async def test_a_visit_at_either_end_of_the_calendar_has_its_place(
    owner: Connection, pool: Pool, contract: str | None
) -> None:
    account = await owner.fetchval(
        "INSERT INTO accounts (name, sla_contract) VALUES ('A', $1) RETURNING id", contract
    )
    (site,) = await owner.fetch(SEED_PLACES, account, ["CA"])
    first, last = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    tickets = [
        await owner.fetchval(
            *(SEED, account, site["id"], State.SCHEDULED, Priority.ROUTINE, "DOOR", None),
            *(first, scheduled),
        )
        for scheduled in (first, last, last)
    ]
    rows = await walk(pool, [], 1)

    assert {UUID(row["ticket_id"]) for row in rows} == set(tickets)
    assert [row["ticket_id"] for row in rows] == [
        row["ticket_id"] for row in await walk(pool, [], 1000)
    ]
    assert [place(row) for row in rows] == sorted(place(row) for row in rows)
    assert rows[-1]["sla_deadline_at"] == "9999-12-31T23:59:59.999Z"


async def scheduled(
    owner: Connection,
    priority: Priority,
    window_in: timedelta | None,
    contract: str | None = None,
    state: State = State.SCHEDULED,
) -> str:
    """Return a ticket that was created ten minutes ago, with or without a window."""
    account = await owner.fetchval(
        "INSERT INTO accounts (name, sla_contract) VALUES ('A', $1) RETURNING id", contract
    )
    (site,) = await owner.fetch(SEED_PLACES, account, ["CA"])
    now = datetime.now(UTC)
    start = None if window_in is None else now + window_in
    created = now - timedelta(minutes=10)
    columns = (account, site["id"], state, priority, "DOOR", None, created, start)
    return str(await owner.fetchval(SEED, *columns))


@pytest.mark.parametrize("contract", [None, "business_hours"])
async def test_an_emergency_of_tomorrow_stands_above_what_is_less_urgent_and_says_why(
    owner: Connection, pool: Pool, contract: str | None
) -> None:
    tomorrow, soon = timedelta(days=1), timedelta(minutes=20)
    emergency = await scheduled(owner, Priority.EMERGENCY, tomorrow, contract)
    urgent = await scheduled(owner, Priority.URGENT, tomorrow, contract)
    waiting = await scheduled(owner, Priority.URGENT, None, contract, State.TRIAGED)
    in_time = await scheduled(owner, Priority.EMERGENCY, soon, contract)
    routine = await scheduled(owner, Priority.ROUTINE, 3 * tomorrow, contract)
    there = await scheduled(owner, Priority.EMERGENCY, 4 * tomorrow, contract, State.IN_PROGRESS)

    rows = {row["ticket_id"]: row for row in await walk(pool, [], 2)}

    order = list(rows)
    assert order[:2] == [emergency, in_time]
    assert set(order[2:4]) == {urgent, waiting}
    assert order[4:] == [routine, there]
    put_off = rows[emergency]
    target = put_off["sla_target_minutes"]
    assert (put_off["sla_status"], put_off["sla_timer_remaining_minutes"] > 1440) == (
        "healthy",
        True,
    )
    assert put_off["sla_promise"]["remaining_minutes"] in {target - 10, target - 11}
    assert [each for each in rows if "sla_promise" in rows[each]] == [
        each for each in order if each in {emergency, urgent}
    ]
    healthy = await walk(pool, [("sla_status", "healthy")], 1)
    assert [row["ticket_id"] for row in healthy] == [
        each for each in order if rows[each]["sla_status"] == "healthy"
    ]


async def test_a_visit_that_has_begun_or_was_moved_forward_breaks_no_promise_any_more(
    owner: Connection, pool: Pool
) -> None:
    ticket = await scheduled(owner, Priority.EMERGENCY, timedelta(days=1))
    for change, expected in (
        ("state = 'DISPATCHED'", True),
        ("state = 'IN_PROGRESS'", False),
        ("state = 'SCHEDULED'", True),
        ("priority = 'ROUTINE'", False),
        ("priority = 'URGENT'", True),
        ("scheduled_start = created_at + interval '2 hours'", False),
    ):
        await owner.execute(f"UPDATE tickets SET {change} WHERE id = $1::text::uuid", ticket)  # noqa: S608  our own text
        (row,) = await walk(pool, [], 1)
        assert ("sla_promise" in row) is expected, change


@pytest.mark.parametrize("incident_type", ["Straße", "ﬁre door", "İz"])
async def test_an_incident_type_is_found_by_its_own_spelling_in_any_language(
    owner: Connection, pool: Pool, incident_type: str
) -> None:
    await seed(owner)
    ticket = await owner.fetchval(
        "UPDATE tickets SET incident_type = $1"
        " WHERE id = (SELECT id FROM tickets WHERE state = 'NEW' LIMIT 1) RETURNING id",
        incident_type,
    )
    found = await page(pool, [("incident_type", incident_type)], dispatcher())

    assert found["filters_applied"]["incident_type"] == [incident_type.upper()]
    assert [row["ticket_id"] for row in found["queue"]] == [str(ticket)]


async def test_the_scope_is_a_filter_and_an_empty_one_is_refused(
    owner: Connection, pool: Pool
) -> None:
    await seed(owner)
    accounts = [row["id"] for row in await owner.fetch("SELECT id FROM accounts")]
    inside = await page(pool, [], dispatcher(account_ids=frozenset(accounts[:1])))
    outside = await page(
        pool, [("account_id", str(accounts[1]))], dispatcher(account_ids=frozenset(accounts[:1]))
    )

    assert inside["filters_applied"]["account_id"] == [str(accounts[0])]
    assert 0 < len(inside["queue"]) < TICKETS
    assert outside["queue"] == []


async def test_the_queue_follows_every_way_a_ticket_changes(owner: Connection) -> None:
    await seed(owner)
    ticket = await owner.fetchval("SELECT id FROM tickets WHERE state = 'NEW' LIMIT 1")
    columns = "state, priority, region_weight, newest_first, audited_at, moved_at"
    stored = f"SELECT {columns} FROM ticket_queue WHERE ticket_id = $1"  # noqa: S608  our own names
    source = stored.replace("ticket_queue", "ticket_queue_source")
    event = "SELECT id FROM audit_events WHERE ticket_id = $1"
    later = datetime.now(UTC) + timedelta(minutes=5)
    for statement in (
        "UPDATE tickets SET state = 'TRIAGED', priority = 'EMERGENCY' WHERE id = $1",
        "UPDATE sites SET region = 'TX' WHERE id = (SELECT site_id FROM tickets WHERE id = $1)",
        "UPDATE tickets SET state = 'CLOSED' WHERE id = $1",
        "UPDATE sites SET region = NULL WHERE id = (SELECT site_id FROM tickets WHERE id = $1)",
    ):
        await owner.execute(statement, ticket)
        assert await owner.fetchrow(stored, ticket) == await owner.fetchrow(source, ticket)
    if await owner.fetchval(event, ticket) is None:
        await owner.execute(AUDIT, ticket, later)
    await owner.execute(
        "INSERT INTO ticket_state_transitions (ticket_id, from_state, to_state, audit_event_id,"
        f" created_at) SELECT $1, NULL, 'NEW', ({event}), $2",
        ticket,
        later,
    )
    now = await owner.fetchrow(stored, ticket)
    assert now is not None
    assert now == await owner.fetchrow(source, ticket)
    assert now["moved_at"] == later


@pytest.mark.parametrize(
    ("region", "weight"), [("CA", 190), (" tx ", 740), ("", 500), (None, 500), (" \t", 500)]
)
async def test_a_region_has_its_weight(owner: Connection, region: str | None, weight: int) -> None:
    assert await owner.fetchval("SELECT region_weight($1)", region) == weight
