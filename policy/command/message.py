"""A command: one call of a mutating tool, as it travels from the gateway to the activity."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue

from policy.canonical import sha256_hex
from policy.model import Actor


class Command(BaseModel):
    """One call of a mutating tool. `payload` is the body exactly as sent.

    A large payload travels through the database: then `payload_stored` is set and `payload` empty.
    `request_id` is the idempotency key as sent; `request_hash` binds body and path (contract 3.2).
    `automated` tells that no person asked for it: then the autonomy ladder and a pause apply.
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
    correlation_id: str
    trace_id: str | None = None
    submitted_at: datetime


def request_hash(body: JsonValue, path: Mapping[str, JsonValue]) -> str:
    """Return the hash that tells a repeat of a key from its misuse (contract 3.2)."""
    return sha256_hex({"body": body, "path": dict(path)})
