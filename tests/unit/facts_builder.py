"""TicketFacts under which every command is allowed somewhere, and what is decided on them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from policy.assignment.roster import RosterEntry
from policy.command.decide import asked, decide
from policy.command.effects import Decision, Denial, Effects
from policy.command.message import Command, request_hash
from policy.command.payload import parse_payload
from policy.deadlines.hold_notes import HoldSnapshot
from policy.delivery.rows import OutboxRow
from policy.evidence.model import Evidence, SignedUpload, StoredObject, Upload
from policy.model import Actor, ActorType, Role, Site, State, Ticket
from policy.rules.bundle import Bundle, load_bundle
from policy.ticket.case import TicketCase
from policy.ticket.checks import JUDGE
from policy.ticket.effects import TicketEffects
from policy.ticket.facts import Approval, CompletionContext, NamedTicket, TicketFacts
from tests.unit.payloads import (
    ACCOUNT,
    APPROVAL,
    AUDIT,
    COMMAND,
    COMPLETION,
    END,
    EVIDENCE_KEYS,
    HOLD,
    NEW_IDS,
    OUTBOX,
    PAYLOADS,
    REQUEST,
    SHA256,
    SITE,
    SNAPSHOT_ROW,
    START,
    TECH,
    TICKET,
    UPLOAD,
    UPLOAD_KEY,
    uuid_of,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=1)


@cache
def bundle() -> Bundle:
    """Return the shipped bundle."""
    return load_bundle()


def ticket(state: State = State.NEW, **fields: Any) -> Ticket:  # noqa: ANN401  columns
    """Return a ticket that is scheduled, assigned and of a type with a template."""
    columns: dict[str, Any] = {
        "id": TICKET,
        "tenant_id": "default",
        "account_id": ACCOUNT,
        "site_id": SITE,
        "state": state,
        "incident_type": "DOOR_WONT_LATCH",
        "summary": "Door does not latch",
        "scheduled_start": NOW + timedelta(hours=21),
        "scheduled_end": NOW + timedelta(hours=23),
        "assigned_tech_id": TECH,
        "assigned_provider_id": uuid_of(20),
        "version": 7,
        "created_at": EARLIER,
        "updated_at": EARLIER,
    }
    return Ticket(**columns | fields)


def evidence(key: str | None = None, **fields: Any) -> Evidence:  # noqa: ANN401  columns
    """Return an evidence row that answers `key`."""
    columns: dict[str, Any] = {
        "id": UUID(int=len(key or "")),
        "ticket_id": TICKET,
        "kind": "PHOTO",
        "uri": f"s3://evidence/{key or 'photo'}.jpg",
        "metadata": {"evidence_key": key} if key else {},
        "created_at": EARLIER,
    }
    return Evidence(**columns | fields)


def technician(**fields: Any) -> RosterEntry:  # noqa: ANN401  columns
    """Return a technician who can take any job in CA."""
    columns: dict[str, Any] = {
        "id": TECH,
        "name": "Tess",
        "active": True,
        "home_region": "CA",
        "skills": ("DEFAULT",),
        "regions": (),
        "active_load": 0,
    }
    return RosterEntry(**columns | fields)


def hold(**fields: Any) -> HoldSnapshot:  # noqa: ANN401  columns
    """Return a hold of a ticket that was READY_TO_SCHEDULE; its window is still ahead."""
    columns: dict[str, Any] = {
        "id": SNAPSHOT_ROW,
        "hold_sequence_id": HOLD,
        "hold_state": "READY_TO_SCHEDULE",
        "scheduled_start": None,
        "scheduled_end": None,
        "hold_reason_notes": f'{{"confirmation_window":{{"end":"{END}","start":"{START}"}}}}',
        "created_at": EARLIER,
    }
    return HoldSnapshot(**columns | fields)


def facts(the_ticket: Ticket | None, **overrides: Any) -> TicketFacts:  # noqa: ANN401  facts
    """Return facts under which every command is allowed in its from-states."""
    person = technician()
    found: dict[str, Any] = {
        "now": NOW,
        "ticket": the_ticket,
        "audit_id": AUDIT,
        "new_ids": NEW_IDS,
        "account_exists": True,
        "site": Site(id=SITE, account_id=ACCOUNT, region="CA", timezone="America/Los_Angeles"),
        "technician": person,
        "roster": (person,),
        "approval": Approval(id=APPROVAL, status="PENDING", return_state="IN_PROGRESS"),
        "evidence": tuple(evidence(key) for key in EVIDENCE_KEYS),
        "completion": CompletionContext(tool_name="tech.complete", request=COMPLETION),
        "hold": hold(),
        "presigned": SignedUpload(
            upload_id=UPLOAD,
            bucket="evidence",
            object_key=UPLOAD_KEY,
            url="https://store.example/put",
            headers={"Content-Length": "7"},
            expires_at=NOW + timedelta(minutes=15),
        ),
        "upload": upload(),
        "stored": StoredObject(
            size_bytes=7, sha256=SHA256, content_type="image/jpeg", version_id="v1"
        ),
        "named_ticket": NamedTicket(account_id=ACCOUNT, site_id=SITE),
        "outbox": OutboxRow(
            id=OUTBOX,
            status="DEAD_LETTER",
            aggregate_type="ticket",
            aggregate_id=str(TICKET),
            ticket_id=TICKET,
        ),
    }
    return TicketFacts(**found | overrides)


def upload(**fields: Any) -> Upload:  # noqa: ANN401  columns
    """Return the announced upload of seven bytes."""
    columns: dict[str, Any] = {
        "id": UPLOAD,
        "ticket_id": TICKET,
        "bucket": "evidence",
        "object_key": UPLOAD_KEY,
        "kind": "PHOTO",
        "evidence_key": "photo_after_latched_alignment",
        "content_type": "image/jpeg",
        "size_bytes": 7,
        "sha256": SHA256,
        "evidence_item_id": None,
    }
    return Upload(**columns | fields)


def actor(role: Role | None = None, **fields: Any) -> Actor:  # noqa: ANN401  fields
    """Return an actor of the default tenant without limits."""
    who: dict[str, Any] = {
        "actor_id": "someone",
        "actor_role": role or Role.DISPATCHER,
        "actor_type": ActorType.HUMAN,
    }
    return Actor(**who | fields)


def command(
    tool: str,
    who: Actor | None = None,
    payload: Mapping[str, Any] | None = None,
) -> Command:
    """Return a command as the gateway makes it; without a payload the smallest valid one."""
    rule = bundle().tools[tool]
    body = dict(PAYLOADS[tool] if payload is None else payload)
    has_ticket = rule.requires_ticket_id or rule.creates_ticket
    path = {"ticketId": str(TICKET)} if rule.requires_ticket_id else {}
    return Command(
        command_id=COMMAND,
        tool=tool,
        endpoint=rule.route,
        actor=who or actor(rule.roles[0]),
        ticket_id=TICKET if has_ticket else None,
        request_id=str(REQUEST),
        request_hash=request_hash(body, path),
        payload=body,
        correlation_id="correlation",
        submitted_at=NOW,
    )


def judge(
    tool: str,
    state: State = State.NEW,
    payload: Mapping[str, Any] | None = None,
    who: Actor | None = None,
    **overrides: Any,  # noqa: ANN401  facts
) -> Decision:
    """Return the decision on one command; `overrides` replace facts, `ticket` included."""
    given = {"ticket": ticket(state)} | overrides
    known = facts(given.pop("ticket"), **given)
    return decided(bundle(), known, command(tool, who, payload))


def decided(rules: Bundle, known: TicketFacts, call: Command) -> Decision:
    """Return the decision on a command about a ticket."""
    return decide(rules, known, call, asked(rules, call), JUDGE)


def allowed(decision: Decision) -> TicketEffects:
    """Return the effects of a decision that must be an allowance."""
    assert isinstance(decision, Effects), decision
    return TicketEffects.of(decision)


def denied(decision: Decision) -> Denial:
    """Return the denial of a decision that must be one."""
    assert isinstance(decision, Denial), decision
    return decision


def case_of(tool: str, the_ticket: Ticket, **overrides: Any) -> TicketCase[Any]:  # noqa: ANN401
    """Return the case of a command with its smallest valid payload."""
    call = command(tool)
    payload = parse_payload(bundle(), tool, call.payload)
    assert not isinstance(payload, Denial)
    known = facts(the_ticket, **overrides)
    return TicketCase(bundle(), bundle().tools[tool], call, known, payload)
