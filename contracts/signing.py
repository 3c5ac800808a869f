"""The MAC on every command: access to Temporal alone does not let anyone act as a dispatcher."""

import hmac
import json
from collections.abc import Sequence
from hashlib import sha256

from contracts.command import SignedCommand
from policy.command.message import Command, request_hash

SEPARATOR = "\x1f"


def sign(key: bytes, command: Command) -> SignedCommand:
    """Return `command` with its MAC. The payload is bound through `request_hash`."""
    return SignedCommand(command=command, mac=_mac(key, command))


def is_authentic(key: bytes, signed: SignedCommand) -> bool:
    """Whether a gateway that holds `key` accepted a command with this head."""
    claimed = signed.mac.encode(errors="replace")  # any text: strings must be ASCII to compare
    return hmac.compare_digest(_mac(key, signed.command).encode(), claimed)


def is_bound(command: Command) -> bool:
    """Whether the payload is the one that the command's head was made for."""
    return request_hash(command.payload, path_of(command)) == command.request_hash


def path_of(command: Command) -> dict[str, str]:
    """Return the path parameters of the command's route."""
    if "{ticketId}" not in command.endpoint:
        return {}
    return {"ticketId": str(command.ticket_id)}


def _mac(key: bytes, command: Command) -> str:
    actor = command.actor
    fields = (
        command.command_id,
        command.tool,
        command.endpoint,
        command.ticket_id,
        command.request_id,
        command.request_hash,
        command.correlation_id,
        command.trace_id,
        actor.actor_id,
        actor.actor_role.value,
        actor.actor_type.value,
        actor.tenant_id,
        actor.technician_id,
        _scope(actor.account_ids),
        _scope(actor.site_ids),
        *(("automated",) if command.automated else ()),
        *(("named", command.named.kind, command.named.id) if command.named else ()),
    )
    return hmac.new(key, _text([str(field) for field in fields]).encode(), sha256).hexdigest()


def _text(fields: Sequence[str]) -> str:
    """Return a text that no other fields have: JSON where one of them holds the separator."""
    separated = not any(SEPARATOR in field for field in fields)
    return SEPARATOR.join(fields) if separated else json.dumps(fields)


def _scope(ids: frozenset[object] | None) -> str:
    return "*" if ids is None else ",".join(sorted(str(each) for each in ids))
