"""Any command between processes: its message, its id, what becomes of it and who is told."""

from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import BaseModel, ConfigDict

from policy.command.message import Command
from policy.model import Actor

NOTIFY_CHANNEL = "command"
AUTOMATION_HEADER = "x-dispatch-automation"
"""Sent, with any value, by a client that acts without a person: it obeys the autonomy ladder."""
CLOCK_CHANGED = "clock.changed"
"""Signals a workflow that what is due may have moved."""
_COMMAND_SPACE = uuid5(NAMESPACE_URL, "real-dispatch/command")


def command_id(
    actor: Actor, endpoint: str, request_id: UUID, request_hash: str, rejections: int
) -> UUID:
    """Return the id of a command: equal calls share it until one of them is rejected.

    So concurrent repeats on any gateway join one command, and a repeat after a rejection is new.
    """
    parts = (actor.tenant_id, actor.actor_id, endpoint, request_id, request_hash, rejections)
    return uuid5(_COMMAND_SPACE, "\n".join(map(str, parts)))


class Message(BaseModel):
    """Base of every message: immutable; unknown fields of a newer sender are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SignedCommand(Message):
    """A command with the MAC of the gateway that accepted it (see `contracts.signing`).

    `trace_parent` is the gateway's span while it traces; it is not signed and decides nothing.
    """

    command: Command
    mac: str = ""
    trace_parent: str | None = None


class View(Message):
    """What a workflow keeps of its subject: each kind adds what operators see of it.

    `version` rises with every change. `due_at` is the next instant at which something is due,
    `due_for` what; None when nothing is ahead. After a `terminal` one no command can follow.
    """

    version: int
    terminal: bool = False
    due_at: datetime | None = None
    due_for: str | None = None


class Outcome(Message):
    """What became of a command: each kind adds its view. `code` is None when it was allowed."""

    command_id: UUID
    tool: str
    code: str | None = None
