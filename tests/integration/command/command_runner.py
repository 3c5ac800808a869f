"""Commands run straight through the activity on a real Postgres, without an engine."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import orjson

from activities.evidence.store import ObjectStore
from activities.ticket.aggregate import Follower
from activities.ticket.commands import PostgresTicketActivities
from contracts.command import SignedCommand
from contracts.signing import sign
from policy.command.message import Command, request_hash
from policy.evidence.model import LookUp, SignedPut, StoredObject, Upload
from policy.model import Actor, ActorType, Role
from policy.rules.bundle import Bundle, load_bundle
from runtime.postgres.pool import Connection, Pool

KEY = b"k" * 32
WINDOW = {"start": "2099-11-21T09:00:00.000Z", "end": "2099-11-21T11:00:00.000Z"}
CHECKLIST = dict.fromkeys(
    (
        *("billing_authorization", "onsite_photos_after", "parts_used_or_needed"),
        *("resolution_status", "work_performed"),
    ),
    True,
)
EVIDENCE_KEYS = (
    *("note_adjustments_and_test_cycles", "photo_after_latched_alignment"),
    *("photo_before_door_edge_and_strike", "signature_or_no_signature_reason"),
)
ANSWER = """
SELECT code, response_code, response_text, decision, ticket_id
  FROM command_log WHERE command_id = $1
"""
ADD_ACCOUNT = "INSERT INTO accounts (name) VALUES ('Account') RETURNING id"
ADD_SITE = """
INSERT INTO sites (account_id, name, address1, city, region)
VALUES ($1, 'Site', '1 Street', 'City', 'CA') RETURNING id
"""
ADD_TECHNICIAN = """
INSERT INTO technicians (id, name, active, home_region) VALUES ($1, $2, $3, $4)
"""
ADD_SKILL = "INSERT INTO technician_skills VALUES ($1, $2)"


class Answer(NamedTuple):
    """What the caller of a command gets."""

    code: str | None
    status: int
    body: dict[str, Any]
    command_id: UUID

    @property
    def error(self) -> dict[str, Any]:
        """The error of a rejection."""
        error: dict[str, Any] = self.body["error"]
        return error


@dataclass
class MemoryStore:
    """An object store that holds what a test says; None stands for an outage."""

    held: dict[str, StoredObject] | None = field(default_factory=dict)
    heads: dict[str, LookUp] = field(default_factory=dict)

    async def head(self, uri: str, version_id: str | None) -> LookUp:
        """Return what the test says of `uri`."""
        del version_id
        return self.heads.get(uri, LookUp(failure="UNREACHABLE_URI", message="HTTP 404"))

    async def presign(
        self, key: str, content_type: str, size_bytes: int, sha256: str
    ) -> SignedPut | None:
        """Return a permission that nobody checks."""
        if self.held is None:
            return None
        headers = {"Content-Type": content_type, "Content-Length": str(size_bytes)}
        url = f"https://store.example/{key}?digest={sha256}"
        expires_at = datetime(2099, 1, 1, tzinfo=UTC)
        return SignedPut(bucket="evidence", url=url, headers=headers, expires_at=expires_at)

    async def accept(self, upload: Upload, *, lock: bool = True) -> StoredObject | None:
        """Return what the test says is stored."""
        del lock
        return None if self.held is None else self.held.get(upload.object_key, StoredObject())


@dataclass
class Runner:
    """One account with a site and a technician, and everything that happens there."""

    pool: Pool
    owner: Connection
    account: UUID
    site: UUID
    tech: UUID
    memory: MemoryStore = field(default_factory=MemoryStore)
    store: ObjectStore | None = None
    bundle: Bundle = field(default_factory=load_bundle)
    followers: Sequence[Follower] = ()
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Commands may run at once; their answers are read one after the other."""

    def command(
        self,
        tool: str,
        payload: Mapping[str, Any],
        ticket: UUID | None = None,
        role: Role | None = None,
        **fields: Any,  # noqa: ANN401  fields of the command
    ) -> Command:
        """Return a command as the gateway makes it."""
        rule = self.bundle.tools[tool]
        if rule.creates_ticket and ticket is None:
            ticket = uuid4()
        who = Actor(
            actor_id=f"the-{role or rule.roles[0]}",
            actor_role=role or rule.roles[0],
            actor_type=ActorType.HUMAN,
        )
        path = {"ticketId": str(ticket)} if rule.requires_ticket_id else {}
        values: dict[str, Any] = {
            "command_id": uuid4(),
            "tool": tool,
            "endpoint": rule.route,
            "actor": who,
            "ticket_id": ticket,
            "request_id": str(uuid4()),
            "request_hash": request_hash(dict(payload), path),
            "payload": dict(payload),
            "correlation_id": "correlation",
            "submitted_at": datetime.now(UTC),
        }
        return Command(**values | fields)

    async def run(
        self,
        tool: str,
        payload: Mapping[str, Any],
        ticket: UUID | None = None,
        role: Role | None = None,
        **fields: Any,  # noqa: ANN401  fields of the command
    ) -> Answer:
        """Run a command and return its recorded answer."""
        return await self.send(self.command(tool, payload, ticket, role, **fields))

    def signed(self, command: Command) -> SignedCommand:
        """Return the command as the gateway sends it."""
        return sign(KEY, command)

    def activities(self) -> PostgresTicketActivities:
        """Return the activities as the worker has them."""
        return PostgresTicketActivities(
            self.pool, self.bundle, KEY, self.store or self.memory, self.followers
        )

    async def send(self, command: Command) -> Answer:
        """Run a prepared command and return its recorded answer."""
        outcome = await self.activities().execute_command(self.signed(command))
        async with self.turn:
            row = await self.owner.fetchrow(ANSWER, command.command_id)
        assert row is not None
        assert outcome.code == row["code"]
        body = orjson.loads(row["response_text"])
        return Answer(row["code"], row["response_code"], body, command.command_id)

    async def done(
        self,
        tool: str,
        payload: Mapping[str, Any],
        ticket: UUID | None = None,
        role: Role | None = None,
    ) -> dict[str, Any]:
        """Run a command that must succeed and return its body."""
        answer = await self.run(tool, payload, ticket, role)
        assert answer.status == self.bundle.tools[tool].success_status, answer.body
        return answer.body

    async def create(self) -> UUID:
        """Create a ticket."""
        place = {"account_id": str(self.account), "site_id": str(self.site)}
        return UUID((await self.done("ticket.create", {**place, "summary": "Door"}))["id"])

    async def scheduled(self) -> UUID:
        """Create a ticket and bring it to SCHEDULED."""
        ticket = await self.create()
        ready = {"workflow_outcome": "READY_TO_SCHEDULE"}
        triage = {"priority": "ROUTINE", "incident_type": "DOOR_WONT_LATCH", **ready}
        await self.done("ticket.triage", triage, ticket)
        await self.done("schedule.propose", {"options": [WINDOW]}, ticket)
        await self.done("schedule.confirm", WINDOW, ticket)
        return ticket

    async def in_progress(self) -> UUID:
        """Create a ticket and bring it to IN_PROGRESS."""
        ticket = await self.scheduled()
        await self.done("assignment.dispatch", {"tech_id": str(self.tech)}, ticket)
        await self.done("tech.check_in", {"timestamp": WINDOW["start"]}, ticket)
        return ticket

    async def add_evidence(self, ticket: UUID) -> None:
        """Add everything that the ticket's template requires."""
        for key in EVIDENCE_KEYS:
            item = {"kind": "PHOTO", "uri": f"s3://evidence/{key}", "evidence_key": key}
            await self.done("closeout.add_evidence", item, ticket)

    async def completed(self) -> UUID:
        """Create a ticket and bring it to COMPLETED_PENDING_VERIFICATION."""
        ticket = await self.in_progress()
        await self.add_evidence(ticket)
        await self.done("tech.complete", {"checklist_status": CHECKLIST}, ticket)
        return ticket

    async def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Return rows as dictionaries, whichever tenant they belong to."""
        found = []
        for row in await self.owner.fetch(sql, *values):
            fields = dict(row)
            for name in ("payload", "candidates", "artifact_payload", "evidence", "metadata"):
                if isinstance(fields.get(name), str):
                    fields[name] = orjson.loads(fields[name])
            found.append(fields)
        return found

    async def row(self, sql: str, *values: object) -> dict[str, Any]:
        """Return the only row."""
        rows = await self.rows(sql, *values)
        assert len(rows) == 1, rows
        return rows[0]

    async def audit(self, command_id: UUID) -> dict[str, Any]:
        """Return the audit row of a command."""
        return await self.row("SELECT * FROM audit_events WHERE command_id = $1", command_id)

    async def add_technician(
        self, name: str, region: str | None = "CA", skill: str = "DEFAULT", *, active: bool = True
    ) -> UUID:
        """Add a technician."""
        tech = uuid4()
        await self.owner.execute(ADD_TECHNICIAN, tech, name, active, region)
        await self.owner.execute(ADD_SKILL, tech, skill)
        return tech


async def build_runner(pool: Pool, owner: Connection) -> Runner:
    """Return a runner with its account, site and technician."""
    account = await owner.fetchval(ADD_ACCOUNT)
    site = await owner.fetchval(ADD_SITE, account)
    runner = Runner(pool, owner, account, site, uuid4())
    runner.tech = await runner.add_technician("Tess")
    return runner
