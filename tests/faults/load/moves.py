"""What a client could do next with a ticket, drawn from a seed."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from policy.model import Role
from policy.rules.bundle import Bundle
from policy.values import format_datetime

Body = dict[str, Any]
CHECKLIST = (
    "billing_authorization",
    "onsite_photos_after",
    "parts_used_or_needed",
    "resolution_status",
    "work_performed",
)
PHOTOS = (
    "note_adjustments_and_test_cycles",
    "photo_after_latched_alignment",
    "photo_before_door_edge_and_strike",
)
CONTENT = b"what the photo shows"
ENDINGS = frozenset({"ticket.cancel", "ticket.close", "ticket.force_close"})
STRAY_SHARE, ENDING_SHARE, EXPIRED_HOLD_SHARE, OVERDUE_SHARE = 0.12, 0.12, 0.4, 0.2


def drawn(seed: int, *names: object) -> Random:
    """Return the chances of one of those who draw from a seed, apart from all others'."""
    return Random("/".join(map(str, (seed, *names))))  # noqa: S311  repeatable, not secret


@dataclass
class Known:
    """What the clients of one ticket know of it, and share."""

    place: Mapping[str, str]
    technician: str
    ticket: str | None = None
    state: str | None = None
    holds: list[str] = field(default_factory=list)
    approvals: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    photos: int = 0


@dataclass(frozen=True)
class Move:
    """One command to be sent."""

    tool: str
    role: Role
    body: Body


def creation(known: Known, number: int) -> Move:
    """Return the command that a ticket begins with."""
    body = {**known.place, "summary": f"Door {number} does not latch"}
    return Move("ticket.create", Role.DISPATCHER, body)


def next_move(bundle: Bundle, known: Known, draw: Random) -> Move:
    """Return what fits the ticket's state as far as it is known; now and then what does not."""
    rules = bundle.tools
    tools = [tool for tool in BODIES if known.state in (rules[tool].from_states or ())]
    if draw.random() > ENDING_SHARE:
        tools = [tool for tool in tools if tool not in ENDINGS]
    if not tools or draw.random() < STRAY_SHARE:
        tools = [tool for tool in BODIES if tool not in ENDINGS]
    tool = draw.choice(tools)
    role = draw.choice([role for role in rules[tool].roles if role is not Role.AGENT])
    return Move(tool, role, BODIES[tool](known, draw))


def learn(known: Known, move: Move, answer: Body) -> None:
    """Take over what an answer says."""
    ticket = answer.get("ticket", answer)
    if isinstance(ticket, dict) and "state" in ticket:
        known.state = ticket["state"]
    if move.tool == "ticket.create":
        known.ticket = answer.get("id", known.ticket)
    if "hold_id" in answer:
        known.holds.append(answer["hold_id"])
    if isinstance(answer.get("approval"), dict):
        known.approvals.append(answer["approval"]["id"])
    if move.tool == "evidence.presign":
        known.uploads.append(answer["uri"])


def _window(draw: Random, first_hour: int = 24) -> Body:
    start = datetime.now(UTC) + timedelta(hours=first_hour + draw.randrange(3) * 4)
    return {"start": format_datetime(start), "end": format_datetime(start + timedelta(hours=2))}


def _triage(_: Known, draw: Random) -> Body:
    outcome = draw.choice(["TRIAGED", "READY_TO_SCHEDULE", "READY_TO_SCHEDULE"])
    priority = draw.choice(["URGENT", "ROUTINE"])
    return {"priority": priority, "incident_type": "DOOR_WONT_LATCH", "workflow_outcome": outcome}


def _visit(draw: Random) -> Body:
    """Return when to come; a visit of days ago has missed all its deadlines."""
    return _window(draw, -48 if draw.random() < OVERDUE_SHARE else 24)


def _hold(_: Known, draw: Random) -> Body:
    """Hold; a window of the past lets the timer roll it back at once."""
    expired = draw.random() < EXPIRED_HOLD_SHARE
    window = _window(draw, -48 if expired else 24)
    return {"hold_reason": "CUSTOMER_PENDING", "confirmation_window": window}


def _newest(names: list[str]) -> str:
    return names[-1] if names else "00000000-0000-4000-8000-000000000000"


def _photo(known: Known, _: Random) -> Body:
    known.photos += 1
    key = PHOTOS[known.photos % len(PHOTOS)]
    uri = f"s3://evidence/{known.ticket}/{known.photos}"
    return {"kind": "PHOTO", "uri": uri, "evidence_key": key}


def _upload(known: Known, _: Random) -> Body:
    known.photos += 1
    return {
        "kind": "PHOTO",
        "evidence_key": PHOTOS[known.photos % len(PHOTOS)],
        "content_type": "image/png",
        "size_bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }


def _completion(_: Known, __: Random) -> Body:
    checklist = dict.fromkeys(CHECKLIST, True)
    return {"checklist_status": checklist, "no_signature_reason": "Nobody was there"}


BODIES: Mapping[str, Callable[[Known, Random], Body]] = {
    "ticket.triage": _triage,
    "schedule.propose": lambda _, draw: {"options": [_visit(draw), _visit(draw)]},
    "schedule.confirm": lambda _, draw: _visit(draw),
    "schedule.hold": _hold,
    "schedule.release": lambda known, _: {"customer_confirmation_id": _newest(known.holds)},
    "schedule.rollback": lambda known, _: {"confirmation_id": _newest(known.holds)},
    "assignment.dispatch": lambda known, _: {"tech_id": known.technician},
    "tech.check_in": lambda _, draw: {"timestamp": _window(draw)["start"]},
    "tech.request_change": lambda _, __: {"approval_type": "PROPOSAL", "reason": "Worn out"},
    "approval.decide": lambda known, draw: {
        "approval_id": _newest(known.approvals),
        "decision": draw.choice(["APPROVED", "DENIED"]),
    },
    "closeout.add_evidence": _photo,
    "evidence.presign": _upload,
    "evidence.finalize": lambda known, _: {"uri": _newest(known.uploads)},
    "tech.complete": _completion,
    "qa.verify": lambda _, draw: {
        "timestamp": _window(draw)["end"],
        "result": draw.choice(["PASS", "PASS", "FAIL"]),
    },
    "billing.generate_invoice": lambda _, __: {},
    "dispatch.force_hold": lambda _, __: {"reason": "Wrong part"},
    "dispatch.resume": lambda _, draw: {
        "resume_to": draw.choice(["IN_PROGRESS", "READY_TO_SCHEDULE"])
    },
    "ticket.close": lambda _, __: {"reason": "done"},
    "ticket.force_close": lambda _, __: {
        "override_code": "OVERRIDE-1",
        "override_reason": "The customer moved out yesterday",
        "approver_role": "dispatcher",
    },
    "ticket.cancel": lambda _, __: {"reason": "Not needed any more"},
}
