"""Outbox messages: their identity and payload (contract 14.1)."""

from collections.abc import Mapping
from typing import Any

from policy.canonical import sha256_hex
from policy.delivery.rows import InsertOutbox
from policy.ticket.case import TicketCase


def ticket_message(  # noqa: PLR0913  one argument for each part of a message that differs
    case: TicketCase[Any],
    *,
    event_type: str,
    hash_fields: Mapping[str, Any],
    key_suffix: str,
    body: str,
    to: str | None,
) -> InsertOutbox:
    """Return the SMS that a transition sends; equal transitions share one idempotency key.

    `to` is a telephone number, None where none is known: then its delivery fails, for all to see.
    """
    ticket_id = str(case.ticket.id)
    identity = sha256_hex({"ticket_id": ticket_id, "event_type": event_type, **hash_fields})
    transition = f"{ticket_id}:{event_type}:{identity}"
    key = f"{ticket_id}:{event_type}:{transition}{key_suffix}"
    aggregate = {"aggregate_type": "ticket", "aggregate_id": ticket_id}
    cause = {"state_transition_id": transition, "transition_id": str(case.facts.audit_id)}
    payload = {
        "channel": "SMS",
        "to": to or "UNKNOWN_RECIPIENT",
        "body": body,
        **cause,
        "event_type": event_type,
        **aggregate,
        "payload": {"reason": event_type, **cause},
        "message_key": key,
    }
    return InsertOutbox(event_type=event_type, idempotency_key=key, payload=payload, **aggregate)
