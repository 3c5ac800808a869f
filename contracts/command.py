"""Any command between processes: its message, its id, the channel of its outcome."""

from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import BaseModel, ConfigDict

from policy.command.message import Command
from policy.model import Actor

NOTIFY_CHANNEL = "command"
AUTOMATION_HEADER = "x-dispatch-automation"
"""Sent, with any value, by a client that acts without a person: it obeys the autonomy ladder."""
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
