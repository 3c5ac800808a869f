"""What a request leaves in the log: filled in on its way, written once at its end."""

from dataclasses import dataclass
from uuid import UUID

from api.identity.identity import Identity
from api.wire.context import RequestContext

UNMATCHED = "UNMATCHED"


@dataclass
class Trail:
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

    def identify(self, identity: Identity) -> None:
        """Remember who calls."""
        self.actor_type = identity.actor_type
        self.actor_id = identity.actor_id
        self.actor_role = identity.actor_role
        self.tenant_id = identity.tenant_id
        self.automated = self.context.automated or identity.automated
