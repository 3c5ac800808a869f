"""The rows of `audit_events`: every writer chains them by the one rule of contract 13.2."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from policy.audit.chain import GENESIS
from policy.audit.redaction import redact
from policy.audit.shape import timeline_shape
from policy.canonical import sha256_hex
from policy.values import truncate_to_milliseconds

TICK = timedelta(milliseconds=1)


class Chain(NamedTuple):
    """The head of an audit chain: the newest row's seq, hash and time; all None when it is new.

    `redaction_key` is the installation's: what follows the head is redacted under it.
    """

    seq: int | None
    hash: str | None
    at: datetime | None
    redaction_key: bytes


def chained(event: Mapping[str, Any], chain: Chain, now: datetime) -> dict[str, Any]:
    """Return `event` as the row that follows the head of its chain.

    `event` has every column but created_at, seq and the hashes. Its payload is redacted.
    """
    at = truncate_to_milliseconds(now)
    if chain.at is not None and at <= chain.at:
        at = chain.at + TICK
    row = {
        **event,
        "payload": redact(event["payload"], chain.redaction_key),
        "created_at": at,
        "seq": (chain.seq or 0) + 1,
        "prev_hash": chain.hash or GENESIS,
    }
    return {**row, "hash": sha256_hex(timeline_shape(row))}
