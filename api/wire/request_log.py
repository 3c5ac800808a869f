"""What a request leaves in the log: filled in on its way, written once at its end."""

from dataclasses import dataclass
from uuid import UUID

from api.wire.context import RequestContext

UNMATCHED = "UNMATCHED"


@dataclass
class RequestLog:
    """The fields of contract 15.1 that are known only while the request is served."""

    context: RequestContext
    endpoint: str = UNMATCHED
    tool_name: str | None = None
    ticket_id: str | None = None
    command_id: UUID | None = None
    replay: bool = False
    error_code: str | None = None
    message: str | None = None
    reason: str | None = None
    actor_type: str | None = None
    actor_id: str | None = None
    actor_role: str | None = None
    tenant_id: str | None = None
    automated: bool = False
    is_command: bool = False
    counted: bool = False

    def identify(
        self, *, actor_id: str, actor_type: str, actor_role: str, tenant_id: str, automated: bool
    ) -> None:
        """Remember who calls."""
        self.actor_id, self.actor_type, self.actor_role = actor_id, actor_type, actor_role
        self.tenant_id = tenant_id
        self.automated = self.context.automated or automated
