"""Autonomy controls: what ops.autonomy.pause and ops.autonomy.rollback share (contract 7.15)."""

from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from pydantic import model_validator

from policy.autonomy.writes import InsertAutonomyHistory, UpsertAutonomy
from policy.codes import Code
from policy.command.access import scope_denial
from policy.command.case import Case
from policy.command.effects import Decision, Denial, Effects
from policy.rules.vocabulary import noted, type_warnings
from policy.values import ClosedPayload, Name, Text, Uuid, format_datetime, identifier


class Scope(StrEnum):
    """What a control covers."""

    GLOBAL = "GLOBAL"
    INCIDENT = "INCIDENT"
    TICKET = "TICKET"


class ControlPayload(ClosedPayload):
    """The scope; nothing but the fields of that scope may be sent."""

    scope_type: Scope = Scope.GLOBAL
    incident_type: Name | None = None
    ticket_id: Uuid | None = None
    reason: Text | None = None

    @model_validator(mode="after")
    def _fields_of_the_scope(self) -> Self:
        if (self.incident_type is not None) != (self.scope_type is Scope.INCIDENT):
            raise ValueError("incident_type belongs to the scope INCIDENT, and only there")
        if (self.ticket_id is not None) != (self.scope_type is Scope.TICKET):
            raise ValueError("ticket_id belongs to the scope TICKET, and only there")
        return self

    @property
    def incident(self) -> str | None:
        """The incident type as stored."""
        return None if self.incident_type is None else self.incident_type.upper()


def control(case: Case[Any, ControlPayload], *, paused: bool) -> Decision:
    """Return the effects of pausing, or of letting go again, what the payload's scope covers."""
    denial = _ticket_denial(case)
    if denial is not None:
        return denial
    earlier, (_, history_id) = case.facts.control, case.facts.new_ids
    was_paused = earlier is not None and earlier.is_paused
    row = _row(case, paused=paused)
    said = _said(case, paused=paused)
    history = InsertAutonomyHistory(
        id=history_id,
        control_state_id=row.id,
        action=said["action"],
        previous_is_paused=was_paused,
        next_is_paused=paused,
        payload=said,
        **_common(case),
    )
    now = {"previous_is_paused": was_paused, "current_is_paused": paused}
    return Effects(
        audit={
            **now,
            "control_state_id": str(row.id),
            "control_history_id": str(history_id),
            "scope": said,
        },
        writes=(row, history),
        body=noted(
            {
                "action": said["action"],
                "scope": autonomy_shape(row),
                **now,
                "history_id": str(history_id),
            },
            type_warnings(case.bundle, case.payload.incident_type),
        ),
    )


def _row(case: Case[Any, ControlPayload], *, paused: bool) -> UpsertAutonomy:
    earlier, (new_id, _) = case.facts.control, case.facts.new_ids
    return UpsertAutonomy(
        id=new_id if earlier is None else earlier.id,
        is_paused=paused,
        created_at=case.facts.now if earlier is None else earlier.created_at,
        updated_at=case.facts.now,
        **_common(case),
    )


def autonomy_shape(row: UpsertAutonomy) -> dict[str, Any]:
    """Return S."""
    return {
        "id": str(row.id),
        "scope_type": row.scope_type,
        "incident_type": row.incident_type,
        "ticket_id": identifier(row.ticket_id),
        "is_paused": row.is_paused,
        "reason": row.reason,
        "actor_type": row.actor_type,
        "actor_id": row.actor_id,
        "actor_role": row.actor_role,
        "request_id": str(row.request_id),
        "correlation_id": row.correlation_id,
        "trace_id": row.trace_id,
        "created_at": format_datetime(row.created_at),
        "updated_at": format_datetime(row.updated_at),
    }


def _ticket_denial(case: Case[Any, ControlPayload]) -> Denial | None:
    if case.payload.scope_type is not Scope.TICKET:
        return None
    ticket = case.facts.named_ticket
    if ticket is None:
        return Denial(code=Code.TICKET_NOT_FOUND)
    return scope_denial(case.actor, ticket.account_id, ticket.site_id)


def _said(case: Case[Any, ControlPayload], *, paused: bool) -> dict[str, Any]:
    payload = case.payload
    return {
        "action": "pause" if paused else "rollback",
        "scope_type": payload.scope_type.value,
        "incident_type": payload.incident,
        "ticket_id": identifier(payload.ticket_id),
        "reason": payload.reason,
    }


def _common(case: Case[Any, ControlPayload]) -> dict[str, Any]:
    payload, command = case.payload, case.command
    ticket_id: UUID | None = payload.ticket_id
    return {
        "scope_type": payload.scope_type.value,
        "incident_type": payload.incident,
        "ticket_id": ticket_id,
        "reason": payload.reason,
        "actor_type": case.actor.actor_type.value,
        "actor_id": case.actor.actor_id,
        "actor_role": case.actor.actor_role.value,
        "request_id": case.request_uuid,
        "correlation_id": command.correlation_id,
        "trace_id": command.trace_id,
    }
