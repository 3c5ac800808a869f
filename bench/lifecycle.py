"""The commands that are sent over HTTP: a short ticket of eight, and the canonical lifecycle."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import uuid4

import jwt
import orjson

from bench.load import Ticket
from bench.wire import Connection, Reply
from policy.model import Role

WINDOW = {"start": "2035-12-03T10:00:00Z", "end": "2035-12-03T12:00:00Z"}
ARRIVAL = "2035-12-03T10:05:00Z"
INCIDENT = "DOOR_WONT_LATCH"
EVIDENCE = (
    "note_adjustments_and_test_cycles",
    "photo_after_latched_alignment",
    "photo_before_door_edge_and_strike",
)
CHECKLIST = (
    "billing_authorization",
    "onsite_photos_after",
    "parts_used_or_needed",
    "resolution_status",
    "work_performed",
)
LIFECYCLE_COMMANDS = 15
TOKEN_LIFETIME = timedelta(hours=1)


@dataclass(frozen=True)
class Step:
    """One command: who sends what where, and the status it must be answered with."""

    role: Role
    path: str
    body: Mapping[str, Any]
    status: int = 200


@dataclass(frozen=True)
class Place:
    """The master data every ticket refers to."""

    account_id: str
    site_id: str
    tech_id: str


class UnexpectedAnswerError(Exception):
    """A command was not answered as the benchmark needs it."""


class Caller:
    """Sends the commands of tickets over one connection, one after the other."""

    def __init__(self, connection: Connection, tokens: Mapping[Role, str], place: Place) -> None:
        self._connection = connection
        self._headers = {role: f"Bearer {token}" for role, token in tokens.items()}
        self._place = place

    async def create(self) -> str:
        """Create a ticket and return its id."""
        reply = await self.send(create(self._place), str(uuid4()))
        return str(orjson.loads(reply.body)["id"])

    async def send(self, step: Step, key: str) -> Reply:
        """Send one command; raise `UnexpectedAnswerError` unless it is answered as it must be."""
        headers = {"Authorization": self._headers[step.role], "Idempotency-Key": key}
        reply = await self._connection.post(step.path, headers, orjson.dumps(step.body))
        if reply.status != step.status:
            raise UnexpectedAnswerError(f"{step.path}: {reply.status} {reply.body.decode()}")
        return reply

    async def short_ticket(self) -> AsyncIterator[None]:
        """Send the eight commands of a short ticket."""
        ticket_id = await self.create()
        yield
        for step in short_steps(ticket_id, self._place):
            await self.send(step, str(uuid4()))
            yield

    async def lifecycle(self) -> str:
        """Take one ticket from creation to closure and return its id."""
        ticket_id = await self.create()
        for step in opening_steps(ticket_id, self._place):
            await self.send(step, str(uuid4()))
        approval = await self.send(request_change(ticket_id), str(uuid4()))
        approval_id = orjson.loads(approval.body)["approval"]["id"]
        for step in closing_steps(ticket_id, approval_id):
            await self.send(step, str(uuid4()))
        return ticket_id


class HttpPath:
    """The gateway as it is called from outside."""

    def __init__(self, url: str, secret: str, place: Place) -> None:
        self._url = url
        self._tokens = tokens(secret)
        self._place = place

    async def caller(self, stack: AsyncExitStack) -> Caller:
        """Return a caller with a connection of its own, which `stack` closes."""
        return Caller(await Connection.open(self._url, stack), self._tokens, self._place)

    async def lanes(self, stack: AsyncExitStack, level: int) -> list[Ticket]:
        """Return lanes of short tickets."""
        return [(await self.caller(stack)).short_ticket for _ in range(level)]


def tokens(secret: str) -> dict[Role, str]:
    """Return an HS256 token for every role."""
    expires = datetime.now(UTC) + TOKEN_LIFETIME
    claims = {"exp": expires, "scope": {"account_ids": "*", "site_ids": "*"}}
    return {
        role: jwt.encode({**claims, "sub": f"bench-{role}", "role": role}, secret, "HS256")
        for role in Role
    }


def create(place: Place) -> Step:
    """Return the command that creates a ticket."""
    body = {
        "account_id": place.account_id,
        "site_id": place.site_id,
        "summary": "Rear door does not latch",
    }
    return Step(Role.DISPATCHER, "/tickets", body, status=201)


def opening_steps(ticket_id: str, place: Place) -> Iterator[Step]:
    """Yield the five commands from triage to the technician's arrival."""
    path = f"/tickets/{ticket_id}"
    triage = {"priority": "URGENT", "incident_type": INCIDENT, "ready_to_schedule": True}
    yield Step(Role.DISPATCHER, f"{path}/triage", triage)
    yield Step(Role.DISPATCHER, f"{path}/schedule/propose", {"options": [WINDOW]})
    yield Step(Role.DISPATCHER, f"{path}/schedule/confirm", WINDOW)
    yield Step(Role.DISPATCHER, f"{path}/assignment/dispatch", {"tech_id": place.tech_id})
    yield Step(Role.TECHNICIAN, f"{path}/tech/check-in", {"timestamp": ARRIVAL})


def request_change(ticket_id: str) -> Step:
    """Return the technician's wish for a larger budget."""
    body = {"approval_type": "NTE_INCREASE", "reason": "New strike", "amount_delta_cents": 12_000}
    return Step(Role.TECHNICIAN, f"/tickets/{ticket_id}/tech/request-change", body)


def evidence(ticket_id: str, key: str) -> Step:
    """Return the command that adds one piece of evidence."""
    body = {"kind": "PHOTO", "uri": f"s3://evidence/{ticket_id}/{key}", "evidence_key": key}
    return Step(Role.TECHNICIAN, f"/tickets/{ticket_id}/evidence", body, status=201)


def short_steps(ticket_id: str, place: Place) -> Iterator[Step]:
    """Yield what follows the creation of a short ticket: seven commands, the last one ends it.

    What operators see of a ticket changes with five of the eight: as often as in the lifecycle.
    """
    yield from islice(opening_steps(ticket_id, place), 4)
    yield evidence(ticket_id, EVIDENCE[0])
    yield evidence(ticket_id, EVIDENCE[1])
    yield Step(Role.DISPATCHER, f"/tickets/{ticket_id}/cancel", {"reason": "Not needed any more"})


def closing_steps(ticket_id: str, approval_id: str) -> Iterator[Step]:
    """Yield what follows the request for a change, up to the closure."""
    path = f"/tickets/{ticket_id}"
    approval = {"approval_id": approval_id, "decision": "APPROVED"}
    yield Step(Role.APPROVER, f"{path}/approval/decide", approval)
    for key in EVIDENCE:
        yield evidence(ticket_id, key)
    complete = {
        "checklist_status": dict.fromkeys(CHECKLIST, True),
        "no_signature_reason": "The customer had left",
    }
    yield Step(Role.TECHNICIAN, f"{path}/tech/complete", complete)
    verify = {"timestamp": ARRIVAL, "result": "PASS"}
    yield Step(Role.QA, f"{path}/qa/verify", verify)
    yield Step(Role.FINANCE, f"{path}/billing/generate-invoice", {})
    yield Step(Role.DISPATCHER, f"{path}/close", {"reason": "Done"})
