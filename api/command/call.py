"""A tool call as the pipeline gets it, and what one look-up knows of its key."""

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from starlette.datastructures import Headers

from api.wire.context import RequestContext
from api.wire.request_log import RequestLog
from policy.rules.bundle import ToolRule


@dataclass(frozen=True)
class Call:
    """One tool call: what the route or `POST /tools/{name}` makes of a request."""

    tool: str
    rule: ToolRule
    ticket_id: UUID | None
    body: Any
    context: RequestContext
    headers: Headers
    request_log: RequestLog

    @property
    def path(self) -> dict[str, str]:
        """The path parameters, as they are hashed."""
        return {"ticketId": str(self.ticket_id)} if self.rule.requires_ticket_id else {}


class Found(NamedTuple):
    """What one look-up knows of a key, and of the ticket that the route names."""

    idem_tenant: str | None
    idem_hash: str | None
    idem_code: int | None
    idem_text: str | None
    idem_command: UUID | None
    rejections: int
    open_hash: str | None
    account_id: UUID | None
    site_id: UUID | None
    state: str | None
