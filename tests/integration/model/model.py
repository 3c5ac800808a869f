"""The pure model of the system: `decide` on dictionaries, and the rows that must come of it.

What no model can know (the instant of a decision, random ids) it is told; everything else it says.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from contracts.ticket import new_ticket_id
from policy.audit.row import Chain, chained
from policy.codes import Code
from policy.command.decide import asked, decide, role_denial
from policy.command.effects import Denial, Effects
from policy.command.message import Command, request_hash
from policy.command.writes import Write
from policy.deadlines.hold_notes import HoldSnapshot
from policy.delivery.rows import InsertOutbox
from policy.evidence.model import Evidence
from policy.evidence.writes import InsertEvidence, InsertException, SealEvidence
from policy.model import State, Ticket
from policy.rules.bundle import Bundle
from policy.ticket.checks import JUDGE
from policy.ticket.effects import TicketEffects
from policy.ticket.facts import Approval, CompletionContext, PastTransition, TicketFacts
from policy.ticket.shape import ticket_shape
from policy.ticket.writes import (
    CancelApprovals,
    DecideApproval,
    InsertApproval,
    InsertHold,
    UpsertArtifact,
)
from policy.values import format_datetime
from tests.integration.model.calls import Answer, Call, Row, Seen, World

COMPLETIONS = {"tech.complete", "closeout.candidate", "dispatch.manual_bypass"}
ENTITLED = {"qa", "approver"}


@dataclass
class Model:
    """The tables in memory."""

    bundle: Bundle
    world: World
    tickets: dict[UUID, Ticket] = field(default_factory=dict)
    audit: defaultdict[UUID, list[Row]] = field(default_factory=lambda: defaultdict(list))
    transitions: defaultdict[UUID, list[PastTransition]] = field(
        default_factory=lambda: defaultdict(list)
    )
    log: dict[UUID, Row] = field(default_factory=dict)
    stored: dict[tuple[str, str, str], Row] = field(default_factory=dict)
    approvals: dict[UUID, Row] = field(default_factory=dict)
    evidence: defaultdict[UUID, list[Evidence]] = field(default_factory=lambda: defaultdict(list))
    exceptions: list[InsertException] = field(default_factory=list)
    holds: defaultdict[UUID, list[HoldSnapshot]] = field(default_factory=lambda: defaultdict(list))
    outbox: dict[str, InsertOutbox] = field(default_factory=dict)
    packets: dict[UUID, UpsertArtifact] = field(default_factory=dict)

    def judge(self, call: Call, seen: Seen) -> Answer:
        """Return the answer to a call, and change the rows as it must."""
        command = self._command(call, seen)
        rule = self.bundle.tools[call.tool]
        if call.actor.actor_role not in rule.roles:
            denial = role_denial(self.bundle, call.tool, call.actor.actor_role)
            return self._deny(command, seen, denial)
        known = self.stored.get((call.actor.actor_id, rule.route, call.key))
        if known is not None and known["request_hash"] == command.request_hash:
            return Answer(known["response_code"], known["response_body"], replayed=True)
        if known is not None:
            return self._deny(command, seen, Denial(code=Code.IDEMPOTENCY_PAYLOAD_MISMATCH))
        facts = self._facts(command, seen)
        decision = decide(self.bundle, facts, command, asked(self.bundle, command), JUDGE)
        if isinstance(decision, Effects):
            decision = self._outbox_conflict(decision) or decision
        if isinstance(decision, Denial):
            return self._deny(command, seen, decision)
        return self._allow(command, seen, facts, TicketEffects.of(decision))

    def _command(self, call: Call, seen: Seen) -> Command:
        rule = self.bundle.tools[call.tool]
        path = {"ticketId": str(call.ticket_id)} if rule.requires_ticket_id else {}
        ticket_id = call.ticket_id
        if rule.creates_ticket:
            ticket_id = new_ticket_id(call.actor, rule.route, UUID(call.key))
        return Command(
            command_id=seen.command_id,
            tool=call.tool,
            endpoint=rule.route,
            actor=call.actor,
            ticket_id=ticket_id,
            request_id=call.key,
            request_hash=request_hash(call.payload, path),
            payload=call.payload,
            correlation_id=seen.correlation_id,
            submitted_at=seen.submitted_at,
        )

    def _facts(self, command: Command, seen: Seen) -> TicketFacts:
        ticket_id = command.ticket_id or uuid4()
        window = {name: command.payload.get(name) for name in ("start", "end")}
        confirmed = [
            row["payload"]["confirmation_window"]
            for row in self.audit[ticket_id]
            if row["tool_name"] == "schedule.confirm"
        ]
        holds = self.holds[ticket_id]
        return TicketFacts(
            now=seen.decided_at,
            ticket=self.tickets.get(ticket_id),
            audit_id=seen.audit_id,
            new_ids=seen.new_ids,
            account_exists=True,
            site=self.world.site,
            technician=self.world.technicians.get(_uuid(command.payload.get("tech_id"))),
            approval=self._approval(ticket_id, _uuid(command.payload.get("approval_id"))),
            pending_approvals=tuple(self.pending(ticket_id)),
            evidence=tuple(self.evidence[ticket_id]),
            excepted_keys=self._excepted(ticket_id, seen.decided_at),
            completion=self._completion(ticket_id),
            earlier_confirmations=confirmed.count(window),
            transitions=tuple(self.transitions[ticket_id]),
            hold=holds[-1] if holds else None,
        )

    def pending(self, ticket_id: UUID) -> list[UUID]:
        """Return the ids of the ticket's pending approvals."""
        return [
            key
            for key, row in self.approvals.items()
            if row["ticket_id"] == ticket_id and row["status"] == "PENDING"
        ]

    def _approval(self, ticket_id: UUID, approval_id: UUID) -> Approval | None:
        row = self.approvals.get(approval_id)
        if row is None or row["ticket_id"] != ticket_id:
            return None
        state = row["evidence"].get("return_state")
        return Approval(id=approval_id, status=row["status"], return_state=state)

    def _excepted(self, ticket_id: UUID, now: datetime) -> frozenset[str]:
        return frozenset(
            key
            for granted in self.exceptions
            if granted.ticket_id == ticket_id and granted.granted_role in ENTITLED
            if granted.expires_at is not None and granted.expires_at > now
            for key in granted.evidence_keys
        )

    def _completion(self, ticket_id: UUID) -> CompletionContext | None:
        for row in reversed(self.audit[ticket_id]):
            completed = row["after_state"] == State.COMPLETED_PENDING_VERIFICATION
            if completed and row["tool_name"] in COMPLETIONS:
                request = row["payload"]["request"]
                return CompletionContext(tool_name=row["tool_name"], request=request)
        return None

    def _outbox_conflict(self, effects: Effects) -> Denial | None:
        for write in effects.writes:
            if isinstance(write, InsertOutbox) and write.idempotency_key in self.outbox:
                details = {"event_type": write.event_type, "idempotency_key": write.idempotency_key}
                return Denial(code=Code.OUTBOX_CONFLICT, details=details)
        return None

    def _deny(self, command: Command, seen: Seen, denial: Denial) -> Answer:
        body = denial.body(command.request_id, command.correlation_id)
        self.log[seen.command_id] = {
            "decision": "DENY",
            "code": denial.code,
            "dimension": denial.dimension,
            "response_code": denial.status,
            "response_body": body,
        }
        return Answer(denial.status, dict(body))

    def _allow(
        self, command: Command, seen: Seen, facts: TicketFacts, effects: TicketEffects
    ) -> Answer:
        ticket = effects.ticket
        assert ticket is not None
        status = self.bundle.tools[command.tool].success_status
        body = dict(effects.body or ticket_shape(self.bundle, ticket, facts.now, None))
        answer = {"response_code": status, "response_body": body}
        verdict = {"decision": "ALLOW", "code": None, "dimension": None}
        self.log[seen.command_id] = verdict | answer
        place = (command.actor.actor_id, command.endpoint, command.request_id)
        bound = {"request_hash": command.request_hash, "command_id": seen.command_id}
        self.stored[place] = bound | answer
        self.tickets[ticket.id] = ticket
        row = self._audit_row(command, seen, effects, ticket)
        self.audit[ticket.id].append(row)
        self.transitions[ticket.id] += [
            PastTransition(from_state=source, to_state=target, occurred_at=row["created_at"])
            for source, target in effects.pairs
        ]
        for write in effects.writes:
            self._write(write, facts.now)
        return Answer(status, body)

    def _audit_row(
        self, command: Command, seen: Seen, effects: TicketEffects, ticket: Ticket
    ) -> Row:
        chain = self.audit[ticket.id]
        last = chain[-1] if chain else {}
        head = Chain(
            last.get("seq"), last.get("hash"), last.get("created_at"), self.world.redaction_key
        )
        actor = command.actor
        event = {
            "id": seen.audit_id,
            "ticket_id": ticket.id,
            "actor_type": actor.actor_type.value,
            "actor_id": actor.actor_id,
            "actor_role": actor.actor_role.value,
            "tool_name": command.tool,
            "request_id": UUID(command.request_id),
            "correlation_id": command.correlation_id,
            "trace_id": None,
            "before_state": effects.before,
            "after_state": ticket.state,
            "payload": {
                "endpoint": command.endpoint,
                "requested_at": format_datetime(command.submitted_at),
                "request": command.payload,
                **effects.audit,
            },
            "tenant_id": actor.tenant_id,
            "command_id": seen.command_id,
            "policy_bundle_sha256": self.bundle.sha256,
        }
        return chained(event, head, seen.decided_at)

    def _write(self, write: Write, now: datetime) -> None:
        match write:
            case InsertApproval() | DecideApproval() | CancelApprovals():
                self._write_approval(write)
            case InsertEvidence():
                rows = self.evidence[write.ticket_id]
                rows.append(Evidence(**write.model_dump()))
                rows.sort(key=lambda row: (row.created_at, row.id))
            case SealEvidence():
                self._seal(write)
            case InsertHold():
                known = {name: getattr(write, name, now) for name in HoldSnapshot.model_fields}
                self.holds[write.ticket_id].append(HoldSnapshot(**known))
            case InsertException():
                self.exceptions.append(write)
            case InsertOutbox():
                self.outbox[write.idempotency_key] = write
            case UpsertArtifact():
                self.packets[write.ticket_id] = write
            case _:
                raise NotImplementedError(type(write).__name__)

    def _write_approval(self, write: InsertApproval | DecideApproval | CancelApprovals) -> None:
        match write:
            case InsertApproval():
                self.approvals[write.id] = {**write.model_dump(), "status": "PENDING"}
            case DecideApproval():
                row = self.approvals[write.id]
                row |= {"status": write.status, "reason": write.reason or row["reason"]}
            case CancelApprovals():
                for key in self.pending(write.ticket_id):
                    self.approvals[key]["status"] = "CANCELLED"

    def _seal(self, write: SealEvidence) -> None:
        sealed = {
            "is_immutable": True,
            "immutable_reason": "closeout_verification",
            "immutable_by": write.immutable_by,
            "immutable_at": write.immutable_at,
        }
        self.evidence[write.ticket_id] = [
            row if row.is_immutable else row.model_copy(update=sealed)
            for row in self.evidence[write.ticket_id]
        ]


def _uuid(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        return UUID(int=0)
