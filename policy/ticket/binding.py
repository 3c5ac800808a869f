"""Binding: a technician acts on the job that is assigned to them (contract 4.7)."""

from uuid import UUID

from policy.codes import Code
from policy.command.effects import Denial
from policy.model import Actor, Role

BOUND_TOOLS = frozenset(
    {"tech.check_in", "tech.request_change", "tech.complete", "tech.job_packet"}
)


def binding_denial(actor: Actor, tool: str, assigned_tech_id: UUID | None) -> Denial | None:
    """Return why a technician may not act on a job assigned to `assigned_tech_id`, or None."""
    return job_denial(actor, assigned_tech_id) if tool in BOUND_TOOLS else None


def job_denial(actor: Actor, assigned_tech_id: UUID | None) -> Denial | None:
    """Return why a job assigned to `assigned_tech_id` is none of a technician's, or None."""
    if actor.actor_role is not Role.TECHNICIAN:
        return None
    if actor.technician_id is None or actor.technician_id == assigned_tech_id:
        return None
    target = None if assigned_tech_id is None else str(assigned_tech_id)
    details = {"scope_field": "technician_id", "target_id": target}
    return Denial(code=Code.FORBIDDEN_SCOPE, details=details)
