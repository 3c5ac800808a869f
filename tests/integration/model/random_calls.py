"""Random calls: mostly what somebody could sensibly do next, often enough what nobody should."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from policy.model import Actor, ActorType, Role, State, Ticket
from policy.values import format_datetime
from tests.integration.model.calls import Call
from tests.integration.model.model import Model

CHECKLIST = (
    "billing_authorization",
    "onsite_photos_after",
    "parts_used_or_needed",
    "resolution_status",
    "work_performed",
)
EVIDENCE_KEYS = (
    "note_adjustments_and_test_cycles",
    "photo_after_latched_alignment",
    "photo_before_door_edge_and_strike",
    "signature_or_no_signature_reason",
)
INCIDENT_TYPES = ("DOOR_WONT_LATCH", "DOOR_WONT_LATCH", "DOOR_WONT_LATCH", "UNHEARD_OF")
OPEN_TICKETS = 4
REPEATS, MISUSES = 0.1, 0.05
Body = dict[str, Any]


class Caller:
    """Draws calls from a seed; `run` keeps its actors apart from those of other walks."""

    def __init__(self, seed: int, model: Model, place: Mapping[str, str], run: str) -> None:
        self.random = random.Random(seed)  # noqa: S311  repeatable, not secret
        self._model = model
        self._place = place
        self._run = run
        self._made: list[Call] = []
        self._start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)

    def next(self) -> Call:
        """Return the next call: a new one, a repeat, or the misuse of a key."""
        call, chance = self._fresh(), self.random.random()
        rivals = [each for each in self._made if each.tool == call.tool]
        if rivals and chance < MISUSES:
            call = replace(call, key=self.random.choice(rivals).key)
        elif self._made and chance < MISUSES + REPEATS:
            call = self.random.choice(self._made)
        self._made.append(call)
        return call

    def _fresh(self) -> Call:
        ticket = self._ticket()
        tool = self._tool(ticket)
        payload = self._payload(tool, ticket)
        if self.random.random() < 0.05:
            payload = self._spoiled(payload)
        ticket_id = ticket.id if ticket else None
        if self.random.random() < 0.02:
            ticket_id = self._uuid()
        if tool == "ticket.create":
            ticket_id = None
        elif ticket_id is None:
            ticket_id = self._uuid()
        return Call(tool, self._actor(tool), ticket_id, payload, str(self._uuid()))

    def _ticket(self) -> Ticket | None:
        tickets = list(self._model.tickets.values())
        alive = [each for each in tickets if each.state not in {State.CLOSED, State.CANCELLED}]
        if len(alive) < OPEN_TICKETS:
            alive = [*alive, None]  # type: ignore[list-item]
        return self.random.choice(tickets if tickets and self.random.random() < 0.05 else alive)

    def _tool(self, ticket: Ticket | None) -> str:
        if ticket is None:
            return "ticket.create"
        tools = [tool for tool in PAYLOADS if tool != "ticket.create"]
        if self.random.random() < 0.25:
            return self.random.choice(tools)
        rules = self._model.bundle.tools
        fitting = [tool for tool in tools if ticket.state in (rules[tool].from_states or ())]
        rare = {"ticket.cancel"}
        likely = [tool for tool in fitting if tool not in rare or self.random.random() < 0.1]
        return self.random.choice(likely or tools)

    def _actor(self, tool: str) -> Actor:
        roles = self._model.bundle.tools[tool].roles
        role = self.random.choice(roles if self.random.random() < 0.93 else list(Role))
        nowhere = self.random.random() < 0.02
        return Actor(
            actor_id=f"{self._run}-{role}",
            actor_role=role,
            actor_type=ActorType.HUMAN,
            account_ids=frozenset({self._uuid()}) if nowhere else None,
        )

    def _payload(self, tool: str, ticket: Ticket | None) -> Body:
        return PAYLOADS[tool](self, ticket)

    def _spoiled(self, payload: Body) -> Body:
        if not payload or self.random.random() < 0.2:
            return {**payload, "reason": "a\0b"}
        name = self.random.choice(sorted(payload))
        wrong: list[Any] = [None, 7.5, [], {}, "", "nonsense", True]
        return {**payload, name: self.random.choice(wrong)}

    def _uuid(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def window(self) -> Body:
        """Return one of a few windows in the future."""
        start = self._start + timedelta(hours=self.random.randrange(3) * 4)
        end = start + timedelta(hours=2)
        return {"start": format_datetime(start), "end": format_datetime(end)}

    def choose(self, values: Sequence[Any]) -> Any:  # noqa: ANN401  any JSON value
        """Return one of the values."""
        return self.random.choice(values)

    def create(self, _: Ticket | None) -> Body:
        """Return a creation at the site."""
        return {**self._place, "summary": self.choose(["Door does not latch", "Tür klemmt"])}

    def triage(self, _: Ticket | None) -> Body:
        """Return a triage to any of its targets."""
        return {
            "priority": self.choose(["EMERGENCY", "URGENT", "ROUTINE"]),
            "incident_type": self.choose(INCIDENT_TYPES),
            "workflow_outcome": self.choose(["TRIAGED", "READY_TO_SCHEDULE", "APPROVAL_REQUIRED"]),
        }

    def dispatch(self, _: Ticket | None) -> Body:
        """Return a dispatch in any mode, to somebody who may not exist."""
        technicians = [*self._model.world.technicians, self._uuid()]
        return {
            "tech_id": str(self.random.choice(technicians)),
            "dispatch_mode": self.choose(["STANDARD", "EMERGENCY_BYPASS", None]),
            "dispatch_rationale": self.choose(["The door stands open", " "]),
            "dispatch_confirmation": self.choose([True, True, False]),
        }

    def decision(self, ticket: Ticket | None) -> Body:
        """Return a decision on an approval of this ticket or of another."""
        pending = self._model.pending(ticket.id) if ticket else []
        known = [*pending, *pending, *self._model.approvals, self._uuid()]
        return {
            "approval_id": str(self.random.choice(known)),
            "decision": self.choose(["APPROVED", "DENIED"]),
        }

    def hold_id(self, ticket: Ticket | None) -> str:
        """Return the id of the newest hold, or of none."""
        holds = self._model.holds[ticket.id] if ticket else []
        known = [hold.hold_sequence_id for hold in holds[-1:] * 4]
        return str(self.random.choice([*known, self._uuid()]))

    def evidence(self, _: Ticket | None) -> Body:
        """Return evidence for one of the required keys."""
        key = self.choose(EVIDENCE_KEYS)
        return {"kind": "PHOTO", "uri": f"s3://evidence/{key}", "evidence_key": key}

    def completion(self, _: Ticket | None) -> Body:
        """Return a completion that mostly lacks nothing of its own."""
        checklist = dict.fromkeys(CHECKLIST, True)
        checklist[self.choose(CHECKLIST)] = self.choose([True, True, True, False])
        return {
            "checklist_status": checklist,
            "no_signature_reason": self.choose(["Nobody was there", ""]),
        }


PAYLOADS: Mapping[str, Callable[[Caller, Ticket | None], Body]] = {
    "ticket.create": Caller.create,
    "ticket.triage": Caller.triage,
    "ticket.request_info": lambda _, __: {"questions": ["Which door?"]},
    "schedule.propose": lambda caller, _: {"options": [caller.window(), caller.window()]},
    "schedule.confirm": lambda caller, _: caller.window(),
    "schedule.hold": lambda caller, _: {
        "hold_reason": "CUSTOMER_PENDING",
        "confirmation_window": caller.window(),
    },
    "schedule.release": lambda caller, ticket: {"customer_confirmation_id": caller.hold_id(ticket)},
    "schedule.rollback": lambda caller, ticket: {"confirmation_id": caller.hold_id(ticket)},
    "assignment.dispatch": Caller.dispatch,
    "tech.check_in": lambda caller, _: {"timestamp": caller.window()["start"]},
    "tech.request_change": lambda caller, _: {
        "approval_type": caller.choose(["NTE_INCREASE", "PROPOSAL"]),
        "reason": "The strike is worn out",
    },
    "approval.decide": Caller.decision,
    "closeout.add_evidence": Caller.evidence,
    "closeout.evidence_exception": lambda caller, _: {
        "exception_reason": "No camera on site",
        "evidence_refs": [caller.choose(EVIDENCE_KEYS)],
        "expires_at": caller.choose(["2001-01-01", caller.window()["end"], None]),
    },
    "tech.complete": Caller.completion,
    "closeout.candidate": Caller.completion,
    "dispatch.manual_bypass": lambda _, __: {"bypass_rationale": "The tablet was lost"},
    "dispatch.force_hold": lambda _, __: {"reason": "Wrong part"},
    "dispatch.resume": lambda caller, _: {
        "resume_to": caller.choose(["IN_PROGRESS", "READY_TO_SCHEDULE"])
    },
    "dispatch.force_unassign": lambda _, __: {},
    "qa.verify": lambda caller, _: {
        "timestamp": caller.window()["end"],
        "result": caller.choose(["PASS", "PASS", "FAIL"]),
    },
    "qa.return": lambda caller, _: {
        "reason": "Not good enough",
        "findings": [{"key": caller.choose(EVIDENCE_KEYS), "note": "Blurred"}],
    },
    "ticket.reclassify": lambda caller, _: {
        "priority": caller.choose(["EMERGENCY", "URGENT", "ROUTINE", None]),
        "incident_type": caller.choose([*INCIDENT_TYPES, None]),
        "reason": "Seen on site",
    },
    "billing.generate_invoice": lambda _, __: {},
    "reopen_after_verification": lambda _, __: {"reason": "The door jams again"},
    "ticket.close": lambda _, __: {"reason": "done"},
    "ticket.force_close": lambda caller, _: {
        "override_code": "OVERRIDE-1",
        "override_reason": "The customer moved out yesterday",
        "approver_role": caller.choose(["dispatcher", "approver"]),
    },
    "ticket.cancel": lambda _, __: {"reason": "Not needed any more"},
}
