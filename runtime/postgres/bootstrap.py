"""The bootstrap of an installation: migrations and demo fixtures at once, with evidence."""

import asyncio
from collections.abc import Iterable
from uuid import UUID, uuid5

import asyncpg
import httpx
import orjson
from pydantic import JsonValue, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from runtime.postgres.migrate import TransitionPair, apply_migrations, newest_migration
from runtime.postgres.pool import CONNECT_TIMEOUT_SECONDS, Connection

_REQUEST_TIMEOUT_SECONDS = 5.0

# Parameters of every fixture statement: account, site, technician and contact id.
_ARGUMENTS = """
    WITH given AS (SELECT $1::uuid AS account_id, $2::uuid AS site_id,
                          $3::uuid AS technician_id, $4::uuid AS contact_id)
"""
_FIXTURES = (
    """INSERT INTO accounts (id, name)
       SELECT account_id, 'Demo Home Services' FROM given""",
    """INSERT INTO sites (id, account_id, name, address1, address2, city, region, postal_code,
                          country, timezone, access_instructions)
       SELECT site_id, account_id, 'Demo Site North', '100 Demo Drive', NULL, 'Oakland', 'CA',
              '94607', 'US', 'America/Los_Angeles',
              'The door code is given by the front desk; it changes every week.' FROM given""",
    """INSERT INTO contacts (id, site_id, account_id, name, phone, email, role,
                             is_authorized_requester, is_authorized_approver)
       SELECT contact_id, site_id, account_id, 'Demo Contact', '+1-555-0100',
              'dispatcher-demo@example.com', 'customer', true, true FROM given""",
    """INSERT INTO technicians (id, name, active, home_region)
       SELECT technician_id, 'Demo Technician', true, 'CA' FROM given""",
    """INSERT INTO technician_skills (technician_id, skill)
       SELECT technician_id, 'DEFAULT' FROM given""",
    """INSERT INTO technician_regions (technician_id, region)
       SELECT technician_id, 'CA' FROM given""",
)
_WIRE_TIME = """to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
_EVIDENCE = f"""
    {_ARGUMENTS}
    SELECT json_build_object(
        'timestamp', {_WIRE_TIME % "clock_timestamp()"},
        'migration', json_build_object('path', $5::text),
        'fixtures', json_build_object(
            'account_id', account_id, 'site_id', site_id, 'technician_id', technician_id,
            'account', (SELECT json_build_object('id', id, 'name', name,
                                                 'created_at', {_WIRE_TIME % "created_at"})
                          FROM accounts WHERE id = account_id),
            'site', (SELECT json_build_object('id', id, 'account_id', s.account_id, 'name', name,
                                              'city', city, 'region', region)
                       FROM sites s WHERE id = given.site_id),
            'contact', (SELECT json_build_object('id', id, 'phone', phone, 'email', email)
                          FROM contacts WHERE id = contact_id),
            'technician', (SELECT json_build_object(
                    'id', id, 'name', name,
                    'skills', ARRAY(SELECT skill FROM technician_skills k
                                     WHERE k.technician_id = t.id ORDER BY skill),
                    'regions', ARRAY(SELECT region FROM technician_regions r
                                      WHERE r.technician_id = t.id ORDER BY region))
                FROM technicians t WHERE id = given.technician_id)),
        'counts', json_build_object(
            'accounts', (SELECT count(*) FROM accounts),
            'sites', (SELECT count(*) FROM sites),
            'contacts', (SELECT count(*) FROM contacts),
            'technicians', (SELECT count(*) FROM technicians),
            'tickets', (SELECT count(*) FROM tickets),
            'audit_events', (SELECT count(*) FROM audit_events)))::text
      FROM given
"""  # noqa: S608  put together from the constants above

Evidence = dict[str, JsonValue]


class BootstrapError(Exception):
    """The installation could not be brought up; nothing of the run was kept in the database."""


class _Health(TypedDict):
    status: str
    service: str


_HEALTH = TypeAdapter(_Health)


async def apply(
    url: str, pairs: Iterable[TransitionPair], *, account_id: UUID, site_id: UUID, tech_id: UUID
) -> Evidence:
    """Migrate and insert the absent fixtures in one transaction, as the login role of `url`.

    Returns the evidence without its ready check. Running it again changes nothing.
    """
    conn = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
    ids = (account_id, site_id, tech_id, uuid5(site_id, "demo contact"))
    try:
        async with conn.transaction():
            await apply_migrations(conn, pairs)
            await _insert_fixtures(conn, ids)
            text = await conn.fetchval(_EVIDENCE, *ids, await newest_migration(conn))
    finally:
        await conn.close()
    evidence: Evidence = orjson.loads(text)
    return evidence


async def _insert_fixtures(conn: Connection, ids: tuple[UUID, ...]) -> None:
    for fixture in _FIXTURES:
        await conn.execute(f"{_ARGUMENTS} {fixture} ON CONFLICT DO NOTHING", *ids)


async def check_ready(api_url: str, *, retries: int, delay_seconds: float) -> Evidence:
    """Return the ready check of the evidence. Raises `BootstrapError` if /health is never ok."""
    endpoint = f"{api_url.rstrip('/')}/health"
    answer = b""
    async with httpx.AsyncClient(timeout=_REQUEST_TIMEOUT_SECONDS) as client:
        for attempt in range(1, retries + 1):
            answer = await read_health(client, endpoint)
            if is_healthy(answer):
                return {
                    "endpoint": endpoint,
                    "performed": True,
                    "status": "ok",
                    "attempts": attempt,
                    "body": orjson.loads(answer),
                }
            if attempt < retries:
                await asyncio.sleep(delay_seconds)
    reason = answer.decode(errors="replace")
    raise BootstrapError(f"{endpoint} was not ok after {retries} attempts: {reason}")


def skipped_ready_check(api_url: str) -> Evidence:
    """Return the ready check of the evidence when it was not wanted."""
    endpoint = f"{api_url.rstrip('/')}/health"
    return {"endpoint": endpoint, "performed": False, "status": "skipped", "attempts": 0}


def is_healthy(body: bytes) -> bool:
    """Return whether this is the health answer of a working gateway."""
    try:
        health = _HEALTH.validate_json(body)
    except ValidationError:
        return False
    return health["status"] == "ok" and health["service"] == "dispatch-api"


async def read_health(client: httpx.AsyncClient, endpoint: str) -> bytes:
    """Return the body of the answer, or why there is none."""
    try:
        return (await client.get(endpoint)).content
    except httpx.HTTPError as failure:
        return repr(failure).encode()
