"""Delivery of outbox messages: what follows a failed attempt (contract 14.2)."""

from datetime import timedelta
from enum import StrEnum

from policy.model import Frozen

MILLISECOND = timedelta(milliseconds=1)


class OutboxStatus(StrEnum):
    """What became of a message."""

    PENDING = "PENDING"
    SENT = "SENT"
    DEAD_LETTER = "DEAD_LETTER"


class RetryRules(Frozen):
    """How often a message is tried, and how long is waited in between."""

    max_attempts: int
    base_ms: int
    max_ms: int


class Retry(Frozen):
    """The row after a failed attempt; `delay` counts from the failure."""

    status: OutboxStatus
    attempt_count: int
    delay: timedelta


def after_failure(rules: RetryRules, attempts_before: int) -> Retry:
    """Return what follows the failure of attempt number `attempts_before + 1`.

    The wait doubles with every attempt, up to the maximum.
    """
    attempt = attempts_before + 1
    doublings = min(attempt - 1, rules.max_ms.bit_length())
    delay = min(rules.max_ms, rules.base_ms << doublings) * MILLISECOND
    dead = attempt >= rules.max_attempts
    status = OutboxStatus.DEAD_LETTER if dead else OutboxStatus.PENDING
    return Retry(status=status, attempt_count=attempt, delay=delay)
