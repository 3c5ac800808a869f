"""What follows a failed delivery, row by row."""

from datetime import timedelta

import pytest

from policy.delivery.retry import OutboxStatus, RetryRules, after_failure

RULES = RetryRules(max_attempts=6, base_ms=5000, max_ms=30_000)


@pytest.mark.parametrize(
    ("attempts_before", "status", "seconds"),
    [
        (0, OutboxStatus.PENDING, 5),
        (1, OutboxStatus.PENDING, 10),
        (2, OutboxStatus.PENDING, 20),
        (3, OutboxStatus.PENDING, 30),
        (4, OutboxStatus.PENDING, 30),
        (5, OutboxStatus.DEAD_LETTER, 30),
        (9, OutboxStatus.DEAD_LETTER, 30),
        (10**6, OutboxStatus.DEAD_LETTER, 30),
    ],
)
def test_the_wait_doubles_up_to_its_maximum_and_the_last_attempt_ends_it(
    attempts_before: int, status: OutboxStatus, seconds: int
) -> None:
    after = after_failure(RULES, attempts_before)
    assert (after.status, after.attempt_count) == (status, attempts_before + 1)
    assert after.delay == timedelta(seconds=seconds)


def test_without_a_base_nothing_is_waited_for() -> None:
    rules = RetryRules(max_attempts=6, base_ms=0, max_ms=0)
    assert after_failure(rules, 3).delay == timedelta()
