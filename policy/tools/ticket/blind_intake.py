"""ticket.blind_intake (contract 7.2)."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from policy.canonical import sha256_hex
from policy.codes import Code
from policy.command.effects import Decision, Denial
from policy.model import Priority, State, Ticket
from policy.rules.bundle import Bundle
from policy.rules.vocabulary import type_warnings
from policy.ticket.case import TicketCase, TicketTool
from policy.ticket.effects import TicketEffects
from policy.ticket.facts import Need
from policy.ticket.new_ticket import place_denial, reserved_id
from policy.values import (
    NAME_LIMIT,
    Boolean,
    Cents,
    Name,
    PayloadModel,
    Percent,
    Text,
    Uuid,
    format_datetime,
)

PHONE_DIGITS = range(7, 17)
_NO_DIGIT = re.compile(r"[^0-9]")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


def _phone(value: object) -> str:
    written = value if isinstance(value, str) and len(value) <= NAME_LIMIT else ""
    digits = _NO_DIGIT.sub("", written)
    if len(digits) not in PHONE_DIGITS:
        raise ValueError("must be a telephone number of 7 to 16 digits")
    return digits


def _email(value: object) -> str:
    address = value.strip().lower() if isinstance(value, str) else ""
    if len(address) > NAME_LIMIT or _EMAIL.fullmatch(address) is None:
        raise ValueError(f"must be an e-mail address of at most {NAME_LIMIT} characters")
    return address


Phone = Annotated[str, PlainValidator(_phone), WithJsonSchema({"type": "string"})]
Email = Annotated[
    str,
    PlainValidator(_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": NAME_LIMIT}),
]


class Payload(PayloadModel):
    """What an agent heard from a caller it does not know."""

    account_id: Uuid
    site_id: Uuid
    summary: Text
    incident_type: Name
    customer_name: Name
    priority: Priority
    identity_confidence: Percent
    classification_confidence: Percent
    contact_phone: Phone | None = None
    contact_email: Email | None = None
    description: Text | None = None
    nte_cents: Cents = 0
    sop_handoff_acknowledged: Boolean = False
    sop_handoff_prompt: Text | None = None

    @property
    def signature(self) -> str:
        """The identity of the intake: who calls about what, however it is spelt."""
        return sha256_hex(
            {
                "account_id": str(self.account_id),
                "site_id": str(self.site_id),
                "incident_type": self.incident_type.upper(),
                "summary": self.summary.lower(),
                "customer_name": self.customer_name.lower(),
                "contact_phone": self.contact_phone,
                "contact_email": self.contact_email,
            }
        )


def check(_bundle: Bundle, payload: Payload) -> Denial | None:
    """Refuse an intake that leaves no way to reach the customer."""
    if payload.contact_phone is None and payload.contact_email is None:
        details = {"missing_contact_channel": True}
        return Denial(code=Code.BLIND_INTAKE_VALIDATION_FAILED, details=details)
    return None


def decide(case: TicketCase[Payload]) -> Decision:
    """Create the ticket, ready to be scheduled if nothing about it is doubtful."""
    denial = place_denial(case, case.payload) or _duplicate_denial(case)
    if denial is not None:
        return denial
    payload, intake = case.payload, case.bundle.intake
    doubts = _doubts(case)
    target = State.TRIAGED if doubts else State.READY_TO_SCHEDULE
    audit = {
        "state_recommendation": target.value,
        "readiness": {"ready": not doubts, "readiness_reasons": doubts},
        "identity_signature": payload.signature,
        "policy": {
            "identity_confidence_threshold": intake.identity_confidence_threshold,
            "classification_confidence_threshold": intake.classification_confidence_threshold,
        },
        "sop_handoff_required": bool(doubts),
        "sop_handoff_acknowledged": payload.sop_handoff_acknowledged,
    }
    ticket = _ticket(case, target)
    warnings = type_warnings(case.bundle, payload.incident_type)
    pairs, body = ((None, target),), case.told(warnings)(ticket)
    return TicketEffects(ticket=ticket, before=None, pairs=pairs, audit=audit, body=body)


def _duplicate_denial(case: TicketCase[Payload]) -> Denial | None:
    duplicate = case.facts.duplicate
    window = case.bundle.intake.duplicate_window_minutes
    if duplicate is None or duplicate.created_at < case.facts.now - timedelta(minutes=window):
        return None
    return Denial(
        code=Code.DUPLICATE_INTAKE,
        details={
            "duplicate_ticket_id": str(duplicate.id),
            "duplicate_ticket_state": duplicate.state.value,
            "duplicate_created_at": format_datetime(duplicate.created_at),
            "identity_signature": case.payload.signature,
            "duplicate_within_minutes": window,
        },
    )


def _doubts(case: TicketCase[Payload]) -> list[str]:
    payload, intake = case.payload, case.bundle.intake
    reasons = {
        "IDENTITY_CONFIDENCE": payload.identity_confidence < intake.identity_confidence_threshold,
        "CLASSIFICATION_CONFIDENCE": payload.classification_confidence
        < intake.classification_confidence_threshold,
        "SOP_HANDOFF_REQUIRED": not payload.sop_handoff_acknowledged,
    }
    return [reason for reason, holds in reasons.items() if holds]


def _ticket(case: TicketCase[Payload], target: State) -> Ticket:
    payload, doubtful = case.payload, target is State.TRIAGED
    prompt = payload.sop_handoff_prompt or case.bundle.intake.sop_handoff_prompt
    stored: dict[str, Any] = payload.model_dump(
        include={
            *("account_id", "site_id", "summary", "description", "incident_type", "priority"),
            *("customer_name", "nte_cents", "identity_confidence", "classification_confidence"),
        }
    )
    return Ticket(
        id=reserved_id(case),
        tenant_id=case.actor.tenant_id,
        state=target,
        customer_phone=payload.contact_phone,
        customer_email=payload.contact_email,
        identity_signature=payload.signature,
        sop_handoff_required=doubtful,
        sop_handoff_acknowledged=not doubtful,
        sop_handoff_prompt=prompt if doubtful else None,
        created_at=case.facts.now,
        updated_at=case.facts.now,
        **stored,
    )


TOOL = TicketTool(
    payload=Payload,
    decide=decide,
    needs=frozenset({Need.PLACE, Need.DUPLICATE}),
    check=check,
)
