"""The cells of the toolset, (tool, role, state), as requests, and what each must answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import uuid4

from policy.codes import CODES, Code
from policy.model import Role, State
from policy.rules.bundle import ToolRule, load_bundle
from policy.values import format_datetime
from runtime.postgres.pool import Connection
from tests.integration.servers.gateway import TestGateway
from tests.unit.payloads import CHECKLIST, EVIDENCE_KEYS, PAYLOADS

BUNDLE = load_bundle()
WINDOW = {"start": "2099-11-21T09:00:00.000Z", "end": "2099-11-21T11:00:00.000Z"}
TOMORROW = format_datetime(datetime.now(UTC) + timedelta(days=1))
HOLD_TARGETS = {
    "schedule.hold": "PENDING_CUSTOMER_CONFIRMATION",
    "schedule.release": None,  # no hold, nothing to restore
    "schedule.rollback": None,
}
# What policy still refuses in a cell that role and state allow: nothing was uploaded.
REFUSED = {"evidence.finalize": Code.EVIDENCE_UPLOAD_NOT_FOUND}
AFTER_COMPLETION = ("qa.verify", "ticket.close", "ticket.force_close")
TICKETS = """
INSERT INTO tickets (id, account_id, site_id, state, incident_type, summary, scheduled_start,
                     scheduled_end, assigned_tech_id)
SELECT id, $3, $4, state::ticket_state, 'DOOR_WONT_LATCH', 'Door', now() + interval '1 day',
       now() + interval '25 hours', $5
  FROM unnest($1::uuid[], $2::text[]) AS cell (id, state)
"""
APPROVALS = """
INSERT INTO approvals (id, ticket_id, requested_by, approval_type)
SELECT id, id, 'technician-1', 'PROPOSAL' FROM tickets
 WHERE id = ANY ($1::uuid[]) AND state = 'APPROVAL_REQUIRED'
"""
HOLDS = """
INSERT INTO schedule_hold_snapshots (ticket_id, hold_sequence_id, requested_by, request_id,
                                     hold_reason_code, hold_state, hold_reason_notes)
SELECT id, id, 'dispatcher-1', id, 'CUSTOMER_PENDING', 'SCHEDULED',
       '{"confirmation_window":{"end":"2099-01-01T00:00:00Z","start":"2098-01-01T00:00:00Z"}}'
  FROM tickets WHERE id = ANY ($1::uuid[]) AND state = 'PENDING_CUSTOMER_CONFIRMATION'
"""
EVIDENCE = """
INSERT INTO evidence_items (ticket_id, kind, uri, metadata)
SELECT id, 'PHOTO', 's3://evidence/' || key, jsonb_build_object('evidence_key', key)
  FROM tickets, unnest($2::text[]) AS wanted (key)
 WHERE id = ANY ($1::uuid[]) AND state = 'IN_PROGRESS'
"""
DEAD_LETTERS = """
INSERT INTO dispatch_outbox (id, aggregate_type, aggregate_id, event_type, payload,
                             idempotency_key, status)
SELECT id, 'ticket', id, 'test', '{}', id::text, 'DEAD_LETTER' FROM unnest($1::uuid[]) AS row (id)
"""
SET_STATE = "UPDATE tickets SET state = $2::text::ticket_state WHERE id = $1::text::uuid"


@dataclass(frozen=True)
class Cell:
    """One cell; `ticket` is the ticket of the call, or the one thing that it is about."""

    tool: str
    role: Role
    state: State | None
    ticket: str = field(default_factory=lambda: str(uuid4()))

    @property
    def rule(self) -> ToolRule:
        """The tool's row of the registry."""
        return BUNDLE.tools[self.tool]

    @property
    def path(self) -> str:
        """The path of the call."""
        return self.rule.route.replace("{ticketId}", self.ticket)

    @property
    def name(self) -> str:
        """What the call is known by, as its correlation id."""
        return f"{self.tool}:{self.role}:{self.state}:{self.ticket}"

    @property
    def is_for_role(self) -> bool:
        """Whether the role may use the tool."""
        return self.role in self.rule.roles

    @property
    def is_open(self) -> bool:
        """Whether role and state allow the call."""
        states = self.rule.from_states
        return self.is_for_role and (states is None or self.state in states)

    @property
    def code(self) -> Code | None:
        """The code that refuses the call."""
        if self.is_open:
            return REFUSED.get(self.tool)
        if not self.is_for_role:
            return Code.FORBIDDEN
        if self.tool in HOLD_TARGETS:
            return Code.SCHEDULE_HOLD_STATE_CONFLICT
        return Code.INVALID_STATE_TRANSITION

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self.rule.success_status if self.code is None else CODES[self.code].status

    @property
    def error(self) -> dict[str, Any]:
        """The fields of the error that the contract fixes."""
        if self.code is None:
            return {}
        dimension = CODES[self.code].dimension
        found = {"code": self.code, **self._extras()}
        return found if dimension is None else {**found, "policy_error": {"dimension": dimension}}

    def _extras(self) -> Mapping[str, Any]:
        rule = self.rule
        if self.code is Code.FORBIDDEN:
            return {"actor_role": self.role, "allowed_roles": list(rule.roles)}
        if self.code is Code.SCHEDULE_HOLD_STATE_CONFLICT:
            return {"from_state": self.state, "to_state": HOLD_TARGETS[self.tool]}
        if self.code is Code.INVALID_STATE_TRANSITION:
            states = list(rule.from_states or ())
            target = rule.result_state
            return {
                "from_state": self.state,
                "allowed_from_states": states,
                "to_state": target,
            }
        return {}

    def payload(self, gateway: TestGateway) -> dict[str, Any]:
        """Return a payload that is valid, and allowed wherever role and state allow the tool."""
        place = {"account_id": gateway.account_id, "site_id": gateway.site_id}
        given: Mapping[str, dict[str, Any]] = {
            "ticket.create": place,
            "ticket.blind_intake": {**place, "customer_name": self.ticket},
            "schedule.propose": {"options": [WINDOW]},
            "schedule.confirm": WINDOW,
            "schedule.hold": {"confirmation_window": WINDOW},
            "schedule.release": {"customer_confirmation_id": self.ticket},
            "schedule.rollback": {"confirmation_id": self.ticket},
            "assignment.dispatch": {"tech_id": gateway.tech_id},
            "approval.decide": {"approval_id": self.ticket},
            "ticket.force_close": {"approver_role": self.role},
            "escalation.snooze": {"until": TOMORROW},
            "ops.autonomy.pause": {"scope_type": "INCIDENT", "incident_type": self.ticket},
            "ops.autonomy.rollback": {"scope_type": "INCIDENT", "incident_type": self.ticket},
            "outbox.replay": {"outbox_id": self.ticket},
        }
        return PAYLOADS.get(self.tool, {}) | given.get(self.tool, {})


def every_cell() -> Iterator[Cell]:
    """Yield every cell. A refused call leaves its ticket alone, so all such share one a state."""
    shared = {state: str(uuid4()) for state in State}
    for tool, rule in BUNDLE.tools.items():
        states: tuple[State | None, ...] = tuple(State) if rule.requires_ticket_id else (None,)
        for role, state in product(Role, states):
            cell = Cell(tool, role, state)
            if state is not None and (cell.code is not None or not rule.mutating):
                cell = Cell(tool, role, state, shared[state])
            yield cell


async def seed(gateway: TestGateway, owner: Connection, cells: list[Cell]) -> None:
    """Put the tickets of the cells into their states by SQL, with what their tools refer to."""
    states = {cell.ticket: cell.state for cell in cells if cell.state is not None}
    names = list(states)
    place = (gateway.account_id, gateway.site_id, gateway.tech_id)
    await owner.execute(TICKETS, names, list(states.values()), *place)
    await owner.execute(APPROVALS, names)
    await owner.execute(HOLDS, names)
    await owner.execute(EVIDENCE, names, EVIDENCE_KEYS)
    await owner.execute(DEAD_LETTERS, [c.ticket for c in cells if c.tool == "outbox.replay"])


async def complete(gateway: TestGateway, owner: Connection, cells: list[Cell]) -> None:
    """Complete the work of the tickets whose tools judge how it was completed."""
    for cell in cells:
        if cell.is_open and cell.tool in AFTER_COMPLETION and cell.state is not None:
            await owner.execute(SET_STATE, cell.ticket, "IN_PROGRESS")
            await owner.execute(EVIDENCE, [cell.ticket], EVIDENCE_KEYS)
            body = {"checklist_status": CHECKLIST}
            gateway.done(f"/tickets/{cell.ticket}/tech/complete", body)
            await owner.execute(SET_STATE, cell.ticket, cell.state.value)
