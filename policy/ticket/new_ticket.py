"""The place of a new ticket: its account and site (contract 7.1)."""

from typing import Any, Protocol
from uuid import UUID

from policy.codes import Code
from policy.command.access import scope_denial
from policy.command.effects import Denial
from policy.ticket.case import TicketCase


class _Placed(Protocol):
    @property
    def account_id(self) -> UUID: ...
    @property
    def site_id(self) -> UUID: ...


def place_denial(case: TicketCase[Any], payload: _Placed) -> Denial | None:
    """Return why a new ticket cannot stand at this account and site, or None."""
    scope = scope_denial(case.actor, payload.account_id, payload.site_id)
    if scope is not None:
        return scope
    account_id, site_id = str(payload.account_id), str(payload.site_id)
    if not case.facts.account_exists:
        return Denial(code=Code.ACCOUNT_NOT_FOUND, details={"account_id": account_id})
    if case.facts.site is None:
        return Denial(code=Code.SITE_NOT_FOUND, details={"site_id": site_id})
    if case.facts.site.account_id != payload.account_id:
        details = {"account_id": account_id, "site_id": site_id}
        return Denial(code=Code.SITE_ACCOUNT_MISMATCH, details=details)
    return None


def reserved_id(case: TicketCase[Any]) -> UUID:
    """Return the id that the gateway reserved for a new ticket."""
    if case.command.ticket_id is None:
        raise LookupError("a new ticket needs a reserved id")
    return case.command.ticket_id
