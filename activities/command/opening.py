"""Opening a transaction: what is true of a command and its key once the subject's lock is had."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from policy.values import truncate_to_milliseconds


@dataclass(frozen=True)
class Opening:
    """What was true when the transaction had the lock; a kind adds its own rows.

    `decided` tells that this command was decided before, `decided_code` how. `stored_*` is the
    answer that its key has, under whatever command. `now` is the instant of the transaction.
    """

    decided: bool
    decided_code: str | None
    stored_hash: str | None
    stored_status: int | None
    stored_text: str | None
    now: datetime


def opened(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an `Opening` from a row of a kind's `begin_` function."""
    return {
        "decided": row["log_decision"] is not None,
        "decided_code": row["log_code"],
        "stored_hash": row["idem_hash"],
        "stored_status": row["idem_code"],
        "stored_text": row["idem_text"],
        "now": truncate_to_milliseconds(row["started_at"]),
    }
