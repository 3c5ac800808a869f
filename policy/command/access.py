"""Scope and technician binding: whose ticket an actor may touch (contract 4.6, 4.7)."""

from uuid import UUID

from policy.codes import Code
from policy.command.effects import Denial
from policy.model import Actor, Role

BOUND_TOOLS = frozenset(
    {"tech.check_in", "tech.request_change", "tech.complete", "tech.job_packet"}
)


def scope_denial(actor: Actor, account_id: UUID, site_id: UUID) -> Denial | None:
    """Return why `actor` may not touch this account and site, or None."""
    for field, target, allowed in (
        ("account_id", account_id, actor.account_ids),
        ("site_id", site_id, actor.site_ids),
    ):
        if allowed is None or target in allowed:
            continue
        details = {"scope_field": field, "target_id": str(target)} if allowed else {}
        return Denial(code=Code.FORBIDDEN_SCOPE, details=details)
    return None


def binding_denial(actor: Actor, tool: str, assigned_tech_id: UUID | None) -> Denial | None:
    """Return why a technician may not act on a job assigned to `assigned_tech_id`, or None."""
    if tool not in BOUND_TOOLS or actor.actor_role is not Role.TECHNICIAN:
        return None
    if actor.technician_id is None or actor.technician_id == assigned_tech_id:
        return None
    target = None if assigned_tech_id is None else str(assigned_tech_id)
    details = {"scope_field": "technician_id", "target_id": target}
    return Denial(code=Code.FORBIDDEN_SCOPE, details=details)
