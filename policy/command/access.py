"""Scope: whose accounts and sites an actor may touch (contract 4.6)."""

from uuid import UUID

from policy.codes import Code
from policy.command.effects import Denial
from policy.model import Actor


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
