"""A command: one call of a mutating tool, as it travels from the gateway to the activity."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue

from policy.canonical import sha256_hex
from policy.model import Actor, Frozen

TENANT, TICKET = "tenant", "ticket"
"""The kinds of subjects that a command's own fields tell; every other kind is named."""


class Subject(Frozen):
    """What a command is about: one thing of a kind, which one workflow owns."""

    kind: str
    id: str

    @classmethod
    def of_ticket(cls, tenant_id: str, ticket_id: UUID | None) -> Self:
        """Return a ticket as a subject, or its tenant where there is none."""
        if ticket_id is None:
            return cls(kind=TENANT, id=tenant_id)
        return cls(kind=TICKET, id=str(ticket_id))

    @property
    def workflow_id(self) -> str:
        """The id of the workflow that owns it."""
        return f"{self.kind}-{self.id}"

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a command that is about it."""
        return {
            "ticket_id": UUID(self.id) if self.kind == TICKET else None,
            "named": None if self.kind in {TENANT, TICKET} else self,
        }


class Command(BaseModel):
    """One call of a mutating tool. `payload` is the body exactly as sent.

    A large payload travels through the database: then `payload_stored` is set and `payload` empty.
    `request_id` is the idempotency key as sent; `request_hash` binds body and path (contract 3.2).
    `automated` tells that no person asked for it: then the autonomy ladder and a pause apply.
    `named` is what the command is about if that is neither a ticket nor the tenant.
    Unknown fields are ignored, so that an older worker can read a newer gateway's commands.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    command_id: UUID
    tool: str
    endpoint: str
    actor: Actor
    ticket_id: UUID | None
    request_id: str
    request_hash: str
    payload: dict[str, Any]
    payload_stored: bool = False
    automated: bool = False
    named: Subject | None = None
    correlation_id: str
    trace_id: str | None = None
    submitted_at: datetime

    @property
    def subject(self) -> Subject:
        """What the command is about: what it names, else its ticket, else its tenant."""
        return self.named or Subject.of_ticket(self.actor.tenant_id, self.ticket_id)


def request_hash(body: JsonValue, path: Mapping[str, JsonValue]) -> str:
    """Return the hash that tells a repeat of a key from its misuse (contract 3.2)."""
    return sha256_hex({"body": body, "path": dict(path)})
