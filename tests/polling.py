"""Waiting in tests: for a fact, with a deadline, never for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.02


async def eventually(
    question: Callable[[], Awaitable[T | None]],
    *,
    within: float = 20,
    every: float = POLL_SECONDS,
    what: str = "the fact",
) -> T:
    """Ask until the answer is truthy and return it; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not (answer := await question()):
        assert time.monotonic() < deadline, f"{what} did not come true within {within} s"
        await asyncio.sleep(every)
    return answer
